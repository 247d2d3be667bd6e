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
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from mme2e.container import (
    CONTAINER_TICKS_PER_S,
    Damage,
    Orientation,
    decoded,
    open_container,
    start_of_clock_s,
    video_stream,
)
from mme2e.corpora.utterance import Region
from mme2e.errors import MediaError

TIME_TOLERANCE_S = 1e-4  # timestamps are rounded to the container's ticks; a frame this late is still in time
SEEK_GAP_S = 4.0  # decoding 4 s of video costs about as much as a jump and the run-up from its key frame
BREAK_OFF_S = 0.5  # containers round the durations that they tell; a video shorter than that by more was cut off
DECODER_THREADS = 2  # more threads hold more frames in memory and gain little beside worker processes


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture of a video.

    Attributes:
        time_s: When the picture comes on display, seconds on the container's clock.
        requested_s: Time that was asked for; the picture is the one on display then.
        image: (height, width, 3) uint8 RGB, upright.
    """

    time_s: float
    requested_s: float
    image: np.ndarray


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
            first = next(decoded(container, video), None)
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
    times = itertools.takewhile(lambda time_s: time_s < end_s - 1e-9, _times_from(start_s, frame_interval_ms))
    return list(times)


def read_frames(
    path: Path | str, times_s: Sequence[float], region: Region | None = None, *, damage: Damage | None = None
) -> Iterator[Frame]:
    """The frame on display at each time. One pass through the file, two frames in memory.

    A time before the first frame gets the first frame; times after the last frame has ended yield nothing.

    Args:
        path: Video file.
        times_s: Ascending, seconds on the container's clock; equal times are allowed.
        region: Part of the upright picture to return; None is all of it.
        damage: Is told what was wrong up to the frame that came last; what a jump over a gap passes stays unseen.

    Raises:
        MediaError: The file cannot be read, has no picture, or `region` does not fit into it.
        ValueError: The times do not ascend.
    """
    if any(later < earlier for earlier, later in itertools.pairwise(times_s)):
        raise ValueError("times_s must ascend")
    return _frames_at(path, times_s, region, damage)


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


def cut_region(image: np.ndarray, region: Region | None, path: Path | str) -> np.ndarray:
    """Cuts a region out of an upright image, (height, width, 3) uint8; the result is contiguous, and a copy if cut.

    Raises:
        MediaError: The region does not fit into the image; the message names `path`.
    """
    if region is not None:
        height_px, width_px = image.shape[:2]
        right_px, bottom_px = region.x_px + region.width_px, region.y_px + region.height_px
        fits = 0 <= region.x_px < right_px <= width_px and 0 <= region.y_px < bottom_px <= height_px
        if not fits:
            raise MediaError(f"{path}: {region} does not fit into a picture of {width_px}x{height_px} px")
        image = image[region.y_px : bottom_px, region.x_px : right_px].copy()
    return np.ascontiguousarray(image)


class _VideoCursor:
    """Stands in one video, moves forward and knows which frame is on display."""

    def __init__(self, path: Path | str, damage: Damage) -> None:
        self._path = path
        self._damage = damage
        self._seek_gap_s = SEEK_GAP_S
        self._open()

    def _open(self) -> None:
        """Stands on the first frame."""
        self._container = open_container(self._path)
        self._stream = video_stream(self._container)
        if self._stream is None:
            self.close()
            raise MediaError(f"{self._path} has no picture")
        self._stream.thread_type = "AUTO"
        self._stream.thread_count = DECODER_THREADS
        self._origin_s = start_of_clock_s(self._container)
        self._frame_duration_s = float(1 / (self._stream.average_rate or self._stream.guessed_rate or 25))
        self._decoded_s: float | None = None
        self._frames = decoded(self._container, self._stream, self._damage)
        first = self._decode()
        if first is None:
            self.close()
            raise MediaError(f"{self._path} has a video stream, but no frame of it can be decoded")
        # Asked of one frame only: a frame whose side data was looked at is part of a reference cycle, and hundreds of
        # them would wait in memory for the garbage collector.
        self.orientation = Orientation.of(first[1])
        self._on_display, self._upcoming = first, self._decode()

    def close(self) -> None:
        self._container.close()

    def move_to(self, time_s: float) -> tuple[float, Any] | None:
        """Moves forward to a time.

        Returns:
            The frame on display and since when, in seconds; None when the last frame has ended.
        """
        if self._upcoming is not None and time_s - self._upcoming[0] > self._seek_gap_s:
            self._jump(time_s)
        while self._upcoming is not None and self._upcoming[0] <= time_s + TIME_TOLERANCE_S:
            self._on_display, self._upcoming = self._upcoming, self._decode()
        if self._upcoming is None and time_s > self._end_s() - TIME_TOLERANCE_S:
            self._look_for_break()
            return None
        return self._on_display

    def _look_for_break(self) -> None:
        """Compares where the picture ended with what the container tells of it."""
        if self._stream.duration is not None:
            start = self._stream.start_time or 0
            told_end_s = float((start + self._stream.duration) * self._stream.time_base) - self._origin_s
        elif self._container.duration is not None and len(self._container.streams) == 1:
            told_end_s = self._container.duration / CONTAINER_TICKS_PER_S
        else:  # what is told may be the end of the sound
            return
        if self._end_s() < told_end_s - BREAK_OFF_S:
            self._damage.broke_off_s, self._damage.told_end_s = self._end_s(), told_end_s

    def _end_s(self) -> float:
        """When the frame on display, being the last, ends."""
        shown_s, frame = self._on_display
        duration_s = float((frame.duration or 0) * (frame.time_base or 0))
        return shown_s + (duration_s or self._frame_duration_s)

    def _decode(self) -> tuple[float, Any] | None:
        """The next frame with its time in seconds; None at the end."""
        frame = next(self._frames, None)
        if frame is None:
            return None
        ticks = frame.pts if frame.pts is not None else frame.dts
        if ticks is not None:
            time_s = float(ticks * frame.time_base) - self._origin_s
        else:  # a raw stream has no timestamps: there, and only there, frames are counted
            time_s = 0.0 if self._decoded_s is None else self._decoded_s + self._frame_duration_s
            self._seek_gap_s = math.inf
        self._decoded_s = time_s
        return time_s, frame

    def _jump(self, time_s: float) -> None:
        """Goes to the key frame before a time, if the file can."""
        left_s, lost_packets = self._on_display[0], self._damage.lost_packets
        try:
            self._container.seek(round((time_s + self._origin_s) * CONTAINER_TICKS_PER_S))
            self._frames = decoded(self._container, self._stream, self._damage)
            found = self._decode()
        except (av.FFmpegError, OSError):
            found = None
        if found is None or found[0] > time_s + TIME_TOLERANCE_S:  # not to be trusted: decode all from the start
            self._damage.lost_packets = lost_packets
            self.close()
            self._open()
            self._seek_gap_s = math.inf
            return
        if found[0] <= left_s:  # no key frame between: the jump went back and won nothing
            self._seek_gap_s *= 2
        self._on_display, self._upcoming = found, self._decode()


def _frames_at(
    path: Path | str, times_s: Iterable[float], region: Region | None, damage: Damage | None
) -> Iterator[Frame]:
    cursor = _VideoCursor(path, damage if damage is not None else Damage())
    try:
        converted: Any = None
        image = np.empty((0, 0, 3), dtype=np.uint8)
        for time_s in times_s:
            shown = cursor.move_to(time_s)
            if shown is None:
                return
            shown_s, frame = shown
            if frame is not converted:
                upright = cursor.orientation.apply(frame.to_ndarray(format="rgb24"))
                image, converted = cut_region(upright, region, path), frame
            yield Frame(time_s=shown_s, requested_s=time_s, image=image)
    finally:
        cursor.close()
