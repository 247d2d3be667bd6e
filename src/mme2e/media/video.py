"""Video decoding by time stamps: streaming, in constant memory, upright.

All times are seconds from the start of the recording (`mme2e.media.clock`), which video and audio of a file share.
Frames are found by their time stamps and never by counting, so that variable frame rate, missing durations and time
stamps that do not start at zero need no special care. Before the video begins there is no frame.

Damaged files: a packet that cannot be decoded is passed over, as a player does, and the frame before it stays on
display; a file that breaks off ends where it breaks off. `MediaError` means that nothing usable was found. A
`Damage` that the caller passes records what was damaged or lost.

Frames are shown as a player shows them, with square pixels, unless `square_pixels` is false: then as they are stored,
which is what the reference does.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from mme2e.errors import MediaError
from mme2e.media.container import CONTAINER_TICKS_PER_S, NO_MEMORY, audio_tracks, video_tracks
from mme2e.media.cursor import VideoCursor
from mme2e.media.glance import Glance, Glancer
from mme2e.media.notes import Damage
from mme2e.media.region import Region, cut_region
from mme2e.media.source import MediaSource


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame of a video.

    Attributes:
        time_s: When the frame comes on display, seconds on the container's clock.
        requested_s: Time that was asked for; the frame is the one on display then.
        image: (height, width, 3) uint8 RGB, upright.
        region: Part of the frame that `image` is; None is all of it.
        intervals: Positions of the intervals that it was asked for (`mme2e.media.recording`).
        lost_packets: How many packets could not be decoded since the frame before.
    """

    time_s: float
    requested_s: float
    image: np.ndarray
    region: Region | None = None
    intervals: tuple[int, ...] = ()
    lost_packets: int = 0


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """What a file holds.

    Attributes:
        duration_s: As the container claims, which may be far from the truth; None when it does not (a live recording,
            a raw stream).
        has_video: Whether there is a video stream; the cover image of a song does not count.
        has_audio: Whether there is audio.
        width_px: Width of the upright frame; 0 without video.
        height_px: Height of the upright frame; 0 without video.
        frame_rate: Mean frames a second; None when unknown.
        video_tracks: How many can be chosen from.
        audio_tracks: How many can be chosen from.
        audio_channels: Of the audio track, as it claims; 0 without audio.
    """

    duration_s: float | None
    has_video: bool
    has_audio: bool
    width_px: int
    height_px: int
    frame_rate: float | None
    video_tracks: int = 0
    audio_tracks: int = 0
    audio_channels: int = 0


def probe(
    path: Path | str, *, video_track: int | None = None, audio_track: int | None = None, square_pixels: bool = True
) -> MediaInfo:
    """Reports what a file holds. The first frame is decoded: metadata alone do not prove that one can be decoded.

    Args:
        path: Video or audio file.
        video_track: Number among the video tracks, from 0; None: the default one, else the first.
        audio_track: The same among the audio tracks.
        square_pixels: Whether width and height are those of a player, or as stored.

    Raises:
        MediaError: The file cannot be read, has neither video nor audio, or no such track.
    """
    source = MediaSource(path, video_track=video_track, audio_track=audio_track)
    try:
        container = source.container
        if source.video is None and source.audio is None:
            raise MediaError(f"{path} has neither video nor audio")
        width_px = height_px = 0
        frame_rate = None
        if source.video is not None:
            cursor = VideoCursor(source, square_pixels=square_pixels)
            width_px, height_px = cursor.upright_size()
            frame_rate = float(source.video.average_rate) if source.video.average_rate else None
        return MediaInfo(
            duration_s=None if container.duration is None else container.duration / CONTAINER_TICKS_PER_S,
            has_video=source.video is not None,
            has_audio=source.audio is not None,
            width_px=width_px,
            height_px=height_px,
            frame_rate=frame_rate,
            video_tracks=len(video_tracks(container)),
            audio_tracks=len(audio_tracks(container)),
            audio_channels=0 if source.audio is None else source.audio.codec_context.channels,
        )
    finally:
        source.close()


def frame_times(start_s: float, end_s: float, frame_interval_ms: float) -> list[float]:
    """Times start, start + interval, ... before the end, in seconds; empty when the end is not after the start."""
    return list(times_between(start_s, end_s, frame_interval_ms))


def times_between(start_s: float, end_s: float | None, frame_interval_ms: float) -> Iterator[float]:
    """As `frame_times`, one after the other; without an end they go on for ever."""
    times = _times_from(start_s, frame_interval_ms)
    return times if end_s is None else itertools.takewhile(lambda time_s: time_s < end_s - 1e-9, times)


Wanted = tuple[float, Region | None, tuple[int, ...]]
"""A time, the region to show then, and the `intervals` of its frame."""


def read_frames(
    path: Path | str,
    times_s: Sequence[float],
    region: Region | None = None,
    *,
    damage: Damage | None = None,
    video_track: int | None = None,
    square_pixels: bool = True,
) -> Iterator[Frame]:
    """The frame on display at each time. One pass through the file, two frames in memory.

    The frames are those that decoding all of the video gives; as little of it as possible is decoded.

    Times before the video begins, or after the last frame has ended, yield nothing.

    Args:
        path: Video file.
        times_s: Ascending, seconds from the start of the recording; equal times are allowed.
        region: Part of the upright frame to return; None is all of it.
        damage: Receives what was wrong up to the frame that came last. What needs no decoding for the frames asked for
            (`mme2e.media.packets`) stays unseen.
        video_track: Number among the video tracks, from 0; None: the default one, else the first.
        square_pixels: Whether frames are shown as a player shows them, or as they are stored.

    Raises:
        MediaError: The file cannot be read, has no video or no such track, or `region` does not fit into it.
        ValueError: The times do not ascend.
    """
    if any(later < earlier for earlier, later in itertools.pairwise(times_s)):
        raise ValueError("times_s must ascend")
    return _frames_of(path, ((time_s, region, ()) for time_s in times_s), damage, video_track, square_pixels)


def sample_frames(
    path: Path | str,
    frame_interval_ms: float,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    region: Region | None = None,
    damage: Damage | None = None,
    video_track: int | None = None,
    square_pixels: bool = True,
) -> Iterator[Frame]:
    """A frame every `frame_interval_ms`, from `start_s` up to `end_s` or to the video's end, known or not.

    Only `region` of it when given; the others as for `read_frames`.

    Raises:
        MediaError: The file cannot be read, has no video or no such track.
    """
    times_s = times_between(start_s, end_s, frame_interval_ms)
    return _frames_of(path, ((time_s, region, ()) for time_s in times_s), damage, video_track, square_pixels)


def _times_from(start_s: float, frame_interval_ms: float) -> Iterator[float]:
    if frame_interval_ms <= 0:
        raise ValueError(f"frame_interval_ms must be positive, not {frame_interval_ms}")
    return (start_s + i * frame_interval_ms / 1000 for i in itertools.count())


def frames_on_display(
    cursor: VideoCursor,
    wanted: Iterable[Wanted | float],
    path: Path | str,
    damage: Damage,
    misfits: dict[Region, str] | None,
) -> Iterator[Frame | Glance]:
    """Moves a cursor forward and yields the frames and glances that are asked for, until the video ends.

    Args:
        cursor: At or before the first time.
        wanted: Times, ascending, with their regions, or a time alone for a glance; it is iterated over as they are
            reached, and may have no end.
        path: For messages.
        damage: The cursor's.
        misfits: Receives regions that do not fit into the frame, with the reason; their frames are left out.

    Raises:
        MediaError: A region does not fit into the frame and there is no `misfits`.
    """
    # A frame's own converter is set up for it alone, with threads: ten times the work of converting it.
    converter, glancer = VideoReformatter(), Glancer(cursor)
    lost_before = damage.lost_packets
    converted: Any = None
    upright: np.ndarray | None = None
    images: dict[Region | None, np.ndarray] = {}
    for each in wanted:
        time_s, region, intervals = (each, None, ()) if isinstance(each, float) else each
        shown = cursor.move_to(time_s)
        if shown is None and cursor.end_s is None:  # the video has not begun
            continue
        if shown is None:
            return
        shown_s, frame = shown
        if isinstance(each, float):
            glance = glancer.look(frame, time_s)
            if glance is not None:
                yield glance
            continue
        if frame is not converted:
            converted, images = frame, {}
            try:
                width_px, height_px = cursor.shown_size(frame)
                rgb = converter.reformat(frame, width=width_px, height=height_px, format="rgb24", threads=1)
                upright = cursor.orientation.apply(rgb.to_ndarray())
            except MemoryError as error:
                raise MediaError(f"{path}: {NO_MEMORY}") from error
            except av.FFmpegError:  # damage can make a frame of colours that do not exist: the one before stays
                damage.lost_packets += 1
        if upright is None:
            continue
        if region not in images:
            try:
                images[region] = cut_region(upright, region, path)
            except MediaError as error:
                if misfits is None or region is None:
                    raise
                misfits.setdefault(region, str(error))
                continue
        yield Frame(
            time_s=shown_s,
            requested_s=time_s,
            image=images[region],
            region=region,
            intervals=intervals,
            lost_packets=max(0, damage.lost_packets - lost_before),
        )
        lost_before = damage.lost_packets


def _frames_of(
    path: Path | str,
    wanted: Iterable[Wanted],
    damage: Damage | None,
    video_track: int | None,
    square_pixels: bool,
) -> Iterator[Frame]:
    damage = damage if damage is not None else Damage()
    source = MediaSource(path, video_track=video_track, video_damage=damage)
    try:
        cursor = VideoCursor(source, square_pixels=square_pixels)
        for frame in frames_on_display(cursor, wanted, path, damage, None):
            if isinstance(frame, Frame):
                yield frame
    finally:
        source.close()
