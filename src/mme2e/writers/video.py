"""The recording with its answer drawn in: faces, names, decisions, probabilities and what is said.

Every frame keeps its time stamp, also where the frame rate varies, and audio packets are copied as they are where the
new container can hold them. Frames are upright and have square pixels. One pass, in constant memory.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from mme2e.atomic import replacing
from mme2e.errors import MediaError, UserError
from mme2e.inference.timeline import FaceAt, Person, Segment, Timeline
from mme2e.media.container import Orientation, decoded, shown_size
from mme2e.media.source import MediaSource
from mme2e.writers.palette import emotion_colours, rgb
from mme2e.writers.video_labels import (
    Label,
    Planes,
    draw_box,
    face_label,
    panel,
    subtitle,
    subtitle_pages,
    to_yuv,
)

LONGEST_GAP_S = 1.0
"""Between two sightings of a face that are further apart it is not drawn."""

HELD_S = 0.2
"""So long before its first and after its last sighting a face is drawn where it was seen."""

FINEST_TICKS_PER_S = 10_000_000
"""Of a film's clock: it counts long films in 64 bits, but some players do not."""

LABELS_KEPT = 64
"""Drawn labels that are kept in memory; one of a segment is drawn once and laid on all its frames."""

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".m4v": "mp4"}
_COPIED_AUDIO = {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}
"""Codecs that players expect in MP4; other audio becomes AAC."""

_H264_OPTIONS = {"preset": "superfast", "crf": "21", "bf": "0"}
_NO_DECISION = "#b4bac4"


def annotate(timeline: Timeline, video: Path, out: Path, *, progress: Callable[[float], None] | None = None) -> None:
    """Writes the video with boxes, names, decisions, probabilities and subtitles, and its audio as it is.

    The file appears whole or not at all.

    Args:
        timeline: Of this video.
        video: The recording.
        out: `.mp4`, `.m4v` or `.mov`.
        progress: Is given the time that was reached, in seconds, after each frame.

    Raises:
        MediaError: The recording cannot be read, or has no video that can be decoded.
        UserError: `out` has another suffix, is the recording itself, or cannot be written.
    """
    out = Path(out)
    if out.suffix.lower() not in _FORMATS:
        raise UserError(f"{out}: an annotated video is written as {', '.join(_FORMATS)}, not '{out.suffix}'")
    if not out.parent.is_dir():
        raise UserError(f"{out} cannot be written: there is no folder {out.parent}")
    if out.is_dir() or (out.exists() and Path(video).exists() and out.samefile(video)):
        raise UserError(f"{out} is {'a folder' if out.is_dir() else 'the recording itself'}: give another name")
    source = MediaSource(video)
    try:
        with replacing(out) as temporary:
            _Annotator(timeline, source, progress).write(temporary, _FORMATS[out.suffix.lower()])
    except (OSError, av.FFmpegError) as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        source.close()


class Overlay:
    """What lies over the frame of a time.

    Args:
        timeline: What to draw.
        width_px: Of the frames, even.
        height_px: Of the frames, even.
    """

    def __init__(self, timeline: Timeline, width_px: int, height_px: int) -> None:
        self._size = width_px, height_px
        self._letters_px = max(9, round(min(width_px, 1.5 * height_px) / 46))
        self._colours = emotion_colours(timeline.label_names, dark=True)
        self._people = {person.id: person for person in timeline.people}
        self._tracks = {person.id: _Track(person) for person in timeline.people if person.faces}
        self._segments = sorted(timeline.segments, key=lambda segment: segment.start_s)
        self._next = 0
        self._current: list[tuple[int, Segment]] = []
        self._panel = lru_cache(LABELS_KEPT)(self._make_panel)
        self._subtitle = lru_cache(LABELS_KEPT)(lambda page: Label.of(subtitle(page, round(1.15 * self._letters_px))))
        self._face = lru_cache(LABELS_KEPT)(self._make_face_label)

    def draw(self, planes: Planes, time_s: float) -> None:
        """Draws on a frame; times ascend."""
        self._move_to(time_s)
        self._draw_faces(planes, time_s)
        edge = self._letters_px
        top = edge
        for number, _ in self._current:
            label = self._panel(number)
            if top + label.height_px > self._size[1] and top > edge:
                break
            label.lay(planes, edge, top)
            top += label.height_px + edge // 2
        bottom = self._size[1] - edge
        for _, segment in reversed(self._current):
            page = _page_at(self._pages(segment), segment, time_s)
            if page:
                label = self._subtitle(page)
                bottom -= label.height_px
                label.lay(planes, (self._size[0] - label.width_px) // 2, bottom)
                bottom -= edge // 2

    def _move_to(self, time_s: float) -> None:
        while self._next < len(self._segments) and self._segments[self._next].start_s <= time_s:
            self._current.append((self._next, self._segments[self._next]))
            self._next += 1
        self._current = [each for each in self._current if each[1].end_s > time_s]

    def _draw_faces(self, planes: Planes, time_s: float) -> None:
        of_person = {segment.person: segment for _, segment in self._current if segment.person}
        for person, track in self._tracks.items():
            box = track.at(time_s)
            if box is None:
                continue
            segment = of_person.get(person)
            colour = self._colour_of(segment)
            draw_box(planes, box, to_yuv(colour), max(2, self._letters_px // 5))
            name = self._name(person)
            label = self._face(f"{name}: {segment.decision}" if segment else name, colour)
            top = round(box[1]) - label.height_px
            label.lay(planes, max(0, round(box[0])), top if top >= 0 else max(0, round(box[1])))

    def _colour_of(self, segment: Segment | None) -> tuple[int, int, int]:
        """Of the decision; grey where there is none."""
        decided = segment.decided if segment and not segment.uncertain else ()
        return rgb(self._colours.get(decided[0], _NO_DECISION) if decided else _NO_DECISION)

    def _name(self, person: str | None) -> str:
        found = self._people.get(person or "")
        return (found.name or found.id) if found else (person or "")

    def _pages(self, segment: Segment) -> list[str]:
        width_px = round(0.8 * self._size[0])
        return subtitle_pages(segment.text, round(1.15 * self._letters_px), width_px) if segment.text else []

    def _make_panel(self, number: int) -> Label:
        segment = self._segments[number]
        name = segment.speaker or self._name(segment.person)
        return Label.of(panel(segment, name, self._colours, self._letters_px))

    def _make_face_label(self, text: str, colour: tuple[int, int, int]) -> Label:
        return Label.of(face_label(text, colour, self._letters_px, self._size[0] // 2))


def _page_at(pages: list[str], segment: Segment, time_s: float) -> str:
    """The piece of the text that is said at a time, as if all letters took equally long."""
    if not pages:
        return ""
    share = (time_s - segment.start_s) / max(segment.end_s - segment.start_s, 1e-9)
    place, total = 0.0, sum(map(len, pages))
    for page in pages:
        place += len(page)
        if share * total < place:
            return page
    return pages[-1]


class _Track:
    """Where a person's face is at any time."""

    def __init__(self, person: Person) -> None:
        self._faces = sorted(person.faces, key=lambda face: face.time_s)
        self._times_s = [face.time_s for face in self._faces]

    def at(self, time_s: float) -> tuple[float, float, float, float] | None:
        after = bisect_right(self._times_s, time_s)
        earlier = self._faces[after - 1] if after else None
        later = self._faces[after] if after < len(self._faces) else None
        if earlier and later and later.time_s - earlier.time_s <= LONGEST_GAP_S:
            return _between(earlier, later, time_s)
        if earlier and time_s - earlier.time_s <= HELD_S:
            return earlier.box
        return later.box if later and later.time_s - time_s <= HELD_S else None


def _between(earlier: FaceAt, later: FaceAt, time_s: float) -> tuple[float, float, float, float]:
    share = (time_s - earlier.time_s) / max(later.time_s - earlier.time_s, 1e-9)
    x1, y1, x2, y2 = (a + share * (b - a) for a, b in zip(earlier.box, later.box, strict=True))
    return x1, y1, x2, y2


class _Annotator:
    """Reads the packets of a recording once, and writes them into a new file."""

    def __init__(self, timeline: Timeline, source: MediaSource, progress: Callable[[float], None] | None) -> None:
        self._timeline = timeline
        self._source = source
        self._progress = progress
        if source.video is None:
            raise MediaError(f"{source.path} has no video: there is nothing to draw on")

    def write(self, path: Path, container_format: str) -> None:
        size_px, orientation = self._first_look()
        width_px, height_px = size_px[::-1] if orientation.transpose else size_px
        even = width_px + width_px % 2, height_px + height_px % 2
        overlay = Overlay(self._timeline, *even)
        self._source.video.thread_type = "AUTO"
        with av.open(f"file:{path}", "w", format=container_format, options=self._muxing_options()) as container:
            video = self._add_video(container, even)
            audio, copied = self._add_audio(container)
            last = -1
            for kind, item in self._items(copied):
                if kind == "video":
                    ticks = self._ticks(item, last)
                    if ticks <= last:  # no player shows two frames at once
                        continue
                    last = ticks
                    planes = _upright(item, size_px, orientation)
                    time_s = float(ticks * self._source.video.time_base)
                    overlay.draw(planes, time_s)
                    frame = av.VideoFrame.from_ndarray(_packed(planes), format="yuv420p")
                    frame.pts, frame.time_base = ticks, self._source.video.time_base
                    container.mux(video.encode(frame))
                    if self._progress is not None:
                        self._progress(time_s)
                elif copied:
                    item.stream = audio
                    container.mux(item)
                else:
                    item.pts -= self._origin_ticks(self._source.audio)
                    container.mux(audio.encode(item))
            container.mux(video.encode(None))
            if audio is not None and not copied:
                container.mux(audio.encode(None))

    def _first_look(self) -> tuple[tuple[int, int], Orientation]:
        """Size of the stored frames with square pixels, and which way is up; then the file stands at its start."""
        source = self._source
        packets = (packet for packet in source.packets() if packet.stream is source.video)
        frame = next(decoded(packets, source.video_damage), None)
        if frame is None:
            raise MediaError(f"{source.path} has a video track, but no frame of it can be decoded")
        size_px = shown_size(source.video, frame.width, frame.height, source.video_damage)
        orientation = Orientation.of(frame)
        source.reopen()
        return size_px, orientation

    def _muxing_options(self) -> dict[str, str]:
        """MP4 states when a track begins in ticks of the film, which are to be fine enough for both tracks."""
        rates = [(1 / stream.time_base) for stream in (self._source.video, self._source.audio) if stream is not None]
        fine = math.lcm(*(rate.numerator for rate in rates))
        return {"movie_timescale": str(fine if fine <= FINEST_TICKS_PER_S else 90_000)}

    def _add_video(self, container: Any, size_px: tuple[int, int]) -> Any:
        source = self._source.video
        codec, options = ("libx264", _H264_OPTIONS) if "libx264" in av.codecs_available else ("mpeg4", {"qscale": "4"})
        video = container.add_stream(codec, rate=source.average_rate or 25, options=options)
        video.width, video.height = size_px
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = video.time_base = source.time_base
        for name in ("color_primaries", "color_trc", "colorspace"):
            setattr(video.codec_context, name, getattr(source.codec_context, name))
        if source.codec_context.pix_fmt == "yuv420p":  # others are turned into video's range
            video.codec_context.color_range = source.codec_context.color_range
        return video

    def _add_audio(self, container: Any) -> tuple[Any, bool]:
        """The new audio stream, None without one, and whether packets are copied."""
        source = self._source.audio
        if source is None:
            return None, False
        if source.codec_context.codec.canonical_name in _COPIED_AUDIO:
            return container.add_stream_from_template(source), True
        audio = cast(av.AudioStream, container.add_stream("aac", rate=source.codec_context.sample_rate))
        audio.codec_context.layout = source.codec_context.layout
        return audio, False

    def _items(self, copied: bool) -> Iterator[tuple[str, Any]]:
        """Video frames, and audio as packets or as frames, in the order of the file."""
        source = self._source
        origin_ticks = 0 if source.audio is None else self._origin_ticks(source.audio)
        last_dts = -math.inf
        for packet in source.packets():
            if packet.stream is source.video:
                for frame in decoded([packet], source.video_damage):
                    yield "video", frame
            elif not copied:
                for frame in decoded([packet], source.audio_damage):
                    if frame.pts is not None:
                        yield "audio", frame
            elif packet.dts is not None and packet.size and packet.dts > last_dts:
                last_dts = packet.dts
                packet.dts -= origin_ticks
                packet.pts = packet.dts if packet.pts is None else packet.pts - origin_ticks
                yield "audio", packet

    def _origin_ticks(self, stream: Any) -> int:
        """Ticks of a stream that pass before the recording begins; none where the clock begins at 0 or before."""
        return max(0, round(self._source.origin_s / stream.time_base))

    def _ticks(self, frame: Any, last: int) -> int:
        """Time stamp of a frame; a raw stream has none, and its frames are counted."""
        stream = self._source.video
        ticks = frame.pts if frame.pts is not None else frame.dts
        if ticks is not None:
            return cast(int, ticks) - self._origin_ticks(stream)
        step = round(1 / ((stream.average_rate or stream.guessed_rate or 25) * stream.time_base))
        return 0 if last < 0 else last + max(1, step)


def _upright(frame: Any, size_px: tuple[int, int], orientation: Orientation) -> Planes:
    """The frame in three planes of even size that may be drawn on.

    Args:
        frame: As decoded, of any size and pixel format.
        size_px: Width and height of the stored frame with square pixels.
        orientation: How to turn it.
    """
    width, height = size_px
    if (frame.width, frame.height, frame.format.name) != (width, height, "yuv420p"):
        frame = frame.reformat(width=width, height=height, format="yuv420p", dst_color_range="MPEG")
    planes = []
    for number, plane in enumerate(frame.planes):
        scale = 2 if number else 1
        rows, columns = -(-height // scale), -(-width // scale)
        stored = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)[:rows, :columns]
        turned = orientation.apply(stored[..., None])[..., 0]
        if not number:  # one more line where the size is odd, as wide as the colour planes already are
            turned = np.pad(turned, [(0, turned.shape[0] % 2), (0, turned.shape[1] % 2)], mode="edge")
        planes.append(np.array(turned))
    return planes[0], planes[1], planes[2]


def _packed(planes: Planes) -> np.ndarray:
    """The planes below each other, as PyAV expects frames of 4:2:0."""
    width = planes[0].shape[1]
    return np.concatenate([planes[0].ravel(), planes[1].ravel(), planes[2].ravel()]).reshape(-1, width)
