"""Video decoding by timestamps: streaming, in constant memory, upright.

All times are seconds on the container's own clock, which starts at 0 with the earliest timestamp in the file. Picture
and sound of one file share it. Frames are found by their timestamps and never by counting, so that variable frame
rate, missing durations and timestamps that do not start at zero need no special care.

Damaged files: a packet that cannot be decoded is passed over, as a player does, and the frame before it stays on
display; a file that breaks off ends where it breaks off. `MediaError` means that nothing usable was found. Who wants
to know hands over a `Damage`, which counts along.
Pixels are taken as square: like the reference, the sample aspect ratio is not applied.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from mme2e.errors import MediaError
from mme2e.media.container import CONTAINER_TICKS_PER_S, Damage, Orientation, frames_of, open_container, video_stream
from mme2e.media.cursor import VideoCursor
from mme2e.media.region import Region, cut_region


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a video.

    Attributes:
        time_s: When the picture comes on display, seconds on the container's clock.
        requested_s: Time that was asked for; the picture is the one on display then.
        image: (height, width, 3) uint8 RGB, upright.
        region: Part of the picture that `image` is; None is all of it.
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
        duration_s: As the container tells; None when it does not (a live recording, a raw stream).
        has_video: Whether there is a moving picture; the cover picture of a song does not count.
        has_audio: Whether there is sound.
        width_px: Width of the upright picture; 0 without video.
        height_px: Height of the upright picture; 0 without video.
        frame_rate: Mean frames a second; None when unknown.
    """

    duration_s: float | None
    has_video: bool
    has_audio: bool
    width_px: int
    height_px: int
    frame_rate: float | None


def probe(path: Path | str) -> MediaInfo:
    """Says what a file holds. The first frame is decoded: metadata alone do not tell that a picture can be shown.

    Raises:
        MediaError: The file cannot be read, or has neither picture nor sound.
    """
    with open_container(path) as container:
        video = video_stream(container)
        has_audio = len(container.streams.audio) > 0
        if video is None and not has_audio:
            raise MediaError(f"{path} has neither picture nor sound")
        duration_s = None if container.duration is None else container.duration / CONTAINER_TICKS_PER_S
        width_px = height_px = 0
        frame_rate = None
        if video is not None:
            first = next(frames_of(container, video), None)
            if first is None:
                raise MediaError(f"{path} has a video stream, but no frame of it can be decoded")
            width_px, height_px = first.width, first.height
            if Orientation.of(first).transpose:
                width_px, height_px = height_px, width_px
            frame_rate = float(video.average_rate) if video.average_rate else None
        return MediaInfo(
            duration_s=duration_s,
            has_video=video is not None,
            has_audio=has_audio,
            width_px=width_px,
            height_px=height_px,
            frame_rate=frame_rate,
        )


def frame_times(start_s: float, end_s: float, frame_interval_ms: float) -> list[float]:
    """Times start, start + interval, ... before the end, in seconds; empty when the end is not after the start."""
    return list(times_between(start_s, end_s, frame_interval_ms))


def times_between(start_s: float, end_s: float | None, frame_interval_ms: float) -> Iterator[float]:
    """As `frame_times`, one after the other; without an end they go on for ever."""
    times = _times_from(start_s, frame_interval_ms)
    return times if end_s is None else itertools.takewhile(lambda time_s: time_s < end_s - 1e-9, times)


def read_frames(
    path: Path | str, times_s: Sequence[float], region: Region | None = None, *, damage: Damage | None = None
) -> Iterator[Frame]:
    """The frame on display at each time. One pass through the file, two frames in memory.

    The frames are those that decoding all of the video gives; as little of it as possible is decoded.

    A time before the first frame gets the first frame; times after the last frame has ended yield nothing.

    Args:
        path: Video file.
        times_s: Ascending, seconds on the container's clock; equal times are allowed.
        region: Part of the upright picture to return; None is all of it.
        damage: Is told what was wrong up to the frame that came last. What needs no decoding for the frames asked for
            (`mme2e.media.packets`) stays unseen.

    Raises:
        MediaError: The file cannot be read, has no picture, or `region` does not fit into it.
        ValueError: The times do not ascend.
    """
    if any(later < earlier for earlier, later in itertools.pairwise(times_s)):
        raise ValueError("times_s must ascend")
    return _frames_at(path, times_s, region, damage)


def read_regions(
    path: Path | str,
    wanted: Sequence[tuple[float, Region | None]],
    *,
    damage: Damage | None = None,
    misfits: dict[Region, str] | None = None,
) -> Iterator[Frame]:
    """As `read_frames`, for several parts of the picture in one pass.

    Args:
        path: Video file.
        wanted: Times, ascending, each with the region to return then; a time may come once for every region.
        damage: As for `read_frames`.
        misfits: Is told of regions that do not fit into the picture, with the reason; their frames are left out.

    Raises:
        MediaError: The file cannot be read, has no picture, or a region does not fit into it and there is no `misfits`.
        ValueError: The times do not ascend.
    """
    if any(later < earlier for (earlier, _), (later, _) in itertools.pairwise(wanted)):
        raise ValueError("times must ascend")
    return _frames_of(path, ((time_s, region, ()) for time_s, region in wanted), damage, misfits)


def read_wanted(
    path: Path | str,
    wanted: Iterable[tuple[float, Region | None, tuple[int, ...]]],
    *,
    damage: Damage,
    misfits: dict[Region, str],
) -> Iterator[Frame]:
    """As `read_regions`, for times that come one after the other, each with the `intervals` of its frame."""
    return _frames_of(path, wanted, damage, misfits)


def sample_frames(
    path: Path | str,
    frame_interval_ms: float,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    region: Region | None = None,
    damage: Damage | None = None,
) -> Iterator[Frame]:
    """A frame every `frame_interval_ms`, from `start_s` up to `end_s` or to the video's end, known or not.

    Only `region` of it when given; `damage` as for `read_frames`.

    Raises:
        MediaError: The file cannot be read or has no picture.
    """
    if end_s is None:
        return _frames_at(path, _times_from(start_s, frame_interval_ms), region, damage)
    return _frames_at(path, frame_times(start_s, end_s, frame_interval_ms), region, damage)


def _times_from(start_s: float, frame_interval_ms: float) -> Iterator[float]:
    if frame_interval_ms <= 0:
        raise ValueError(f"frame_interval_ms must be positive, not {frame_interval_ms}")
    return (start_s + i * frame_interval_ms / 1000 for i in itertools.count())


def _frames_at(
    path: Path | str, times_s: Iterable[float], region: Region | None, damage: Damage | None
) -> Iterator[Frame]:
    return _frames_of(path, ((time_s, region, ()) for time_s in times_s), damage, None)


def _frames_of(
    path: Path | str,
    wanted: Iterable[tuple[float, Region | None, tuple[int, ...]]],
    damage: Damage | None,
    misfits: dict[Region, str] | None,
) -> Iterator[Frame]:
    damage = damage if damage is not None else Damage()
    lost_before = damage.lost_packets
    cursor = VideoCursor(path, damage)
    # A frame's own converter is set up for it alone, with threads: ten times the work of converting it.
    converter = VideoReformatter()
    try:
        converted: Any = None
        upright: np.ndarray | None = None
        images: dict[Region | None, np.ndarray] = {}
        for time_s, region, intervals in wanted:
            shown = cursor.move_to(time_s)
            if shown is None:
                return
            shown_s, frame = shown
            if frame is not converted:
                converted, upright, images = frame, None, {}
            if region not in images:
                if upright is None:
                    upright = cursor.orientation.apply(
                        converter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                    )
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
                lost_packets=damage.lost_packets - lost_before,
            )
            lost_before = damage.lost_packets
    finally:
        cursor.close()
