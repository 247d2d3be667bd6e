"""Audio frames of any format to 16 kHz mono int16, also where rate, channels or sample format change within a file."""

import math
import re
from typing import Any

import av
import numpy as np

SAMPLE_RATE_HZ = 16_000
HOLE_S = 0.1  # time stamps that leap further than this leave silence behind
LOWEST_RATE_HZ = 2_000  # what claims less would grow without end
HIGHEST_RATE_HZ = 3_100_000
MOST_PLANES = 8  # of so many and more, PyAV reads one too many
_UNKNOWN_LAYOUT = re.compile(r"\d+ channels")


class Resampler:
    """Takes the frames of a track in order; a change of their format, or a hole in their times, starts a new run.

    Frames are resampled packed, as in a file: PyAV reads planes past the eighth from memory that is not theirs.

    Args:
        channel: Channel to take, from 0. None mixes all: as FFmpeg weighs them where their places are known, else all
            alike. A frame with one channel stands for every channel; one that lacks the channel is silence.

    Attributes:
        channels: How many the last frame had.
    """

    def __init__(self, channel: int | None) -> None:
        self._channel = channel
        self.channels = 0
        self._mixed_by_ffmpeg = False
        self.restart()

    def restart(self) -> None:
        """Forgets what was put in; the next frame may come from anywhere in the file."""
        self._position = 0  # of the next sample that comes out, at 16 kHz
        self._source_end_s = 0.0
        self._rate, self._form = 0, ""
        self._layout: Any = None
        self._resampler: Any = None

    def push(self, frame: Any, time_s: float | None) -> list[tuple[int, np.ndarray]]:
        """Puts a frame in.

        Args:
            frame: Of PyAV.
            time_s: When it begins, from the start of the recording; None: where the one before ended.

        Returns:
            Positions at 16 kHz and the samples there, (samples,) int16.
        """
        rate, layout, form, pieces = frame.sample_rate, frame.layout, frame.format.name, []
        frame_s = self._source_end_s if time_s is None else time_s
        hole = self._layout is None or abs(frame_s - self._source_end_s) > HOLE_S
        if hole or rate != self._rate or form != self._form or layout != self._layout:
            pieces = self.finish()
            if hole:
                self._source_end_s = frame_s
            self._position = round(self._source_end_s * SAMPLE_RATE_HZ)
            self._start(layout)
            self._rate, self._form, self._layout = rate, form, layout
        self._source_end_s += frame.samples / rate
        return pieces + self._take(frame)

    def finish(self) -> list[tuple[int, np.ndarray]]:
        """What is left of the run; the next frame starts another."""
        pieces = [] if self._resampler is None else self._take(None)
        self._resampler = self._layout = None
        return pieces

    def _start(self, layout: Any) -> None:
        self.channels = layout.nb_channels
        known = self.channels <= 2 or not _UNKNOWN_LAYOUT.fullmatch(layout.name)
        self._mixed_by_ffmpeg = self.channels == 1 or (self._channel is None and known)
        self._resampler = _resampler("mono" if self._mixed_by_ffmpeg else layout.name)

    def _take(self, frame: Any) -> list[tuple[int, np.ndarray]]:
        pieces = []
        for resampled in self._resample(frame):
            samples = resampled.to_ndarray()[0]
            if not self._mixed_by_ffmpeg:
                samples = self._one_of(samples.reshape(-1, self.channels))
            pieces.append((self._position, samples))
            self._position += len(samples)
        return pieces

    def _resample(self, frame: Any) -> list[Any]:
        try:
            resampled: list[Any] = self._resampler.resample(frame)
        except (av.FFmpegError, ValueError):
            if not self._mixed_by_ffmpeg or frame is None or self.channels == 1:
                raise
            self._mixed_by_ffmpeg = False  # it knows their places and not how to mix them
            self._resampler = _resampler(frame.layout.name)
            resampled = self._resampler.resample(frame)
        return resampled

    def _one_of(self, samples: np.ndarray) -> np.ndarray:
        """Of (samples, channels) one."""
        if self._channel is None:
            return np.rint(samples.mean(axis=1)).astype(np.int16)
        if self._channel >= self.channels:
            return np.zeros(len(samples), dtype=np.int16)
        return samples[:, self._channel].copy()


def _resampler(layout: str) -> Any:
    return av.AudioResampler(format="s16", layout=layout, rate=SAMPLE_RATE_HZ)


def peak(samples: np.ndarray) -> int:
    """Largest magnitude of (samples,) int16; 0 without any."""
    return max(int(samples.max()), -int(samples.min())) if len(samples) else 0


def channel_peak(frame: Any) -> float:
    """Largest magnitude in any channel of a frame, as int16 has it; where PyAV cannot say, infinity."""
    if frame.format.is_planar and frame.layout.nb_channels >= MOST_PLANES:
        return math.inf
    try:
        samples = frame.to_ndarray()
    except ValueError:  # 64-bit integers
        return math.inf
    if samples.dtype == np.uint8:
        middle, full = 128.0, 128.0
    else:
        middle, full = 0.0, 1.0 if samples.dtype.kind == "f" else -float(np.iinfo(samples.dtype).min)
    return max(float(samples.max()) - middle, middle - float(samples.min())) / full * 32768
