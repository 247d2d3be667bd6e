"""The recording with its answer drawn in: faces, names, decisions, probabilities and what is said.

Every frame keeps its time stamp, also where the frame rate varies, and audio packets are copied as they are where the
new container can hold them. Frames are upright and have square pixels. One pass, in constant memory.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from mme2e.atomic import replacing
from mme2e.errors import MediaError, UserError
from mme2e.inference.timeline import Timeline
from mme2e.media.container import Orientation, decoded, shown_size
from mme2e.media.source import MediaSource
from mme2e.writers.video_labels import Planes
from mme2e.writers.video_overlay import Overlay

FINEST_TICKS_PER_S = 10_000_000
"""Of a film's clock: it counts long films in 64 bits, but some players do not."""

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".m4v": "mp4"}
_COPIED_AUDIO = {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}
"""Codecs that players expect in MP4; other audio becomes AAC."""

_H264_OPTIONS = {"preset": "superfast", "crf": "21", "bf": "0"}


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
