"""Going forward through one video: which frame is on display when."""

import math
from pathlib import Path
from typing import Any

import av

from mme2e.errors import MediaError
from mme2e.media.container import (
    CONTAINER_TICKS_PER_S,
    Damage,
    Orientation,
    decoded,
    demuxed,
    open_container,
    start_of_clock_s,
    video_stream,
)
from mme2e.media.packets import TIME_TOLERANCE_S, PacketsAhead

SEEK_GAP_S = 4.0  # decoding 4 s of video costs about as much as a jump and the run-up from its key frame
BREAK_OFF_S = 0.5  # containers round the durations that they tell; a video shorter than that by more was cut off
THREADED_PX = 1 << 20  # larger pictures are decoded by two threads; for smaller ones that doubles the work
LARGE_THREADS = 2  # more threads hold more frames in memory and gain little beside worker processes


class VideoCursor:
    """Stands in one video, moves forward and knows which frame is on display.

    Args:
        path: Video file.
        damage: Is told what is wrong with what is decoded.

    Attributes:
        orientation: Of the first frame: which way is up.

    Raises:
        MediaError: The file cannot be read or has no picture.
    """

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
        size_px = self._stream.width * self._stream.height
        self._stream.thread_type = "AUTO"
        self._stream.thread_count = LARGE_THREADS if size_px > THREADED_PX else 1
        self._ticks, self._per_s = self._stream.time_base.as_integer_ratio()
        self._origin_s = start_of_clock_s(self._container)
        self._frame_duration_s = float(1 / (self._stream.average_rate or self._stream.guessed_rate or 25))
        self._decoded_s: float | None = None
        self._start_decoding()
        first = self._decode()
        if first is None:
            self.close()
            raise MediaError(f"{self._path} has a video stream, but no frame of it can be decoded")
        # Asked of one frame only: a frame whose side data was looked at is part of a reference cycle, and hundreds of
        # them would wait in memory for the garbage collector.
        self.orientation = Orientation.of(first[1])
        self._on_display = first

    def _start_decoding(self) -> None:
        packets = demuxed(self._container, self._stream, self._damage)
        self._packets = PacketsAhead(packets, self._stream, self._seconds)
        self._frames = decoded(self._packets, self._damage)
        self._upcoming: tuple[float, Any] | None = None  # decoded, and not in time
        self._ended = False

    def _seconds(self, ticks: int) -> float:
        return ticks * self._ticks / self._per_s - self._origin_s

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def move_to(self, time_s: float) -> tuple[float, Any] | None:
        """Moves forward to a time.

        Returns:
            The frame on display and since when, in seconds; None when the last frame has ended.
        """
        if not self._ended and time_s - self._on_display[0] > self._seek_gap_s:
            self._jump(time_s)
        self._packets.look(time_s)
        while not self._is_on_display(time_s):
            if self._upcoming is None:
                self._upcoming = self._decode()
                self._ended = self._upcoming is None
            if self._upcoming is None or self._upcoming[0] > time_s + TIME_TOLERANCE_S:
                break
            self._on_display, self._upcoming = self._upcoming, None
        if self._ended and time_s > self._end_s() - TIME_TOLERANCE_S:
            self._look_for_break()
            return None
        return self._on_display

    def _is_on_display(self, time_s: float) -> bool:
        """Whether the packets ahead tell, before any more of them are decoded, that no other frame comes in time."""
        newest_s = self._packets.newest_s()
        return newest_s is not None and abs(newest_s - self._on_display[0]) < TIME_TOLERANCE_S / 100

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
            time_s = self._seconds(ticks)
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
            self._start_decoding()
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
        self._on_display = found
