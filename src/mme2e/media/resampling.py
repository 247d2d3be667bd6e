"""Audio frames of any format to 16 kHz mono int16, also where rate, channels or sample format change within a file."""

import re
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

SAMPLE_RATE_HZ = 16_000
HOLE_S = 0.1  # time stamps that leap further than this leave silence behind
LOWEST_RATE_HZ = 2_000  # what claims less would grow without end
HIGHEST_RATE_HZ = 3_100_000
_UNKNOWN_LAYOUT = re.compile(r"\d+ channels")


class Resampler:
    """Takes the frames of a track in order; a change of their format, or a hole in their times, starts a new run.

    Frames are resampled packed, as in a file: PyAV reads planes past the eighth from memory that is not theirs.

    Args:
        channel: Channel to take, from 0. None mixes all: as FFmpeg weighs them where their places are known, else all
            alike. A frame with one channel stands for every channel; one that lacks the channel is silence.

    Attributes:
        position: Of the next sample that comes out, at 16 kHz from the start of the recording.
    """

    def __init__(self, channel: int | None) -> None:
        self._channel = channel
        self._channels = 0
        self._mixed_by_ffmpeg = False
        self.restart()

    def restart(self) -> None:
        """Forgets what was put in; the next frame may come from anywhere in the file."""
        self.position = 0
        self._source_end_s = 0.0
        self._format: tuple[str, int, str] | None = None
        self._resampler: Any = None

    def push(self, frame: Any, time_s: float | None) -> Iterator[tuple[int, np.ndarray]]:
        """Puts a frame in.

        Args:
            frame: Of PyAV.
            time_s: When it begins, from the start of the recording; None: where the one before ended.

        Yields:
            Positions at 16 kHz and the samples there, (samples,) int16.
        """
        rate = frame.sample_rate
        if frame.samples == 0:
            return
        frame_s = self._source_end_s if time_s is None else time_s
        found = (frame.format.name, rate, frame.layout.name)
        hole = self._format is None or abs(frame_s - self._source_end_s) > HOLE_S
        if hole or found != self._format:
            yield from self.finish()
            if hole:
                self._source_end_s = frame_s
            self.position = round(self._source_end_s * SAMPLE_RATE_HZ)
            self._start(frame)
            self._format = found
        self._source_end_s += frame.samples / rate
        yield from self._take(frame)

    def finish(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields what is left of the run; the next frame starts another."""
        if self._resampler is not None:
            yield from self._take(None)
        self._resampler = self._format = None

    def _start(self, frame: Any) -> None:
        self._channels = frame.layout.nb_channels
        known = self._channels <= 2 or not _UNKNOWN_LAYOUT.fullmatch(frame.layout.name)
        self._mixed_by_ffmpeg = self._channels == 1 or (self._channel is None and known)
        self._resampler = _resampler("mono" if self._mixed_by_ffmpeg else frame.layout.name)

    def _take(self, frame: Any) -> Iterator[tuple[int, np.ndarray]]:
        for resampled in self._resample(frame):
            samples = resampled.to_ndarray()[0]
            if not self._mixed_by_ffmpeg:
                samples = self._one_of(samples.reshape(-1, self._channels))
            yield self.position, samples
            self.position += len(samples)

    def _resample(self, frame: Any) -> list[Any]:
        try:
            resampled: list[Any] = self._resampler.resample(frame)
        except (av.FFmpegError, ValueError):
            if not self._mixed_by_ffmpeg or frame is None or self._channels == 1:
                raise
            self._mixed_by_ffmpeg = False  # it knows their places and not how to mix them
            self._resampler = _resampler(frame.layout.name)
            resampled = self._resampler.resample(frame)
        return resampled

    def _one_of(self, samples: np.ndarray) -> np.ndarray:
        """Of (samples, channels) one."""
        if self._channel is None:
            return np.rint(samples.mean(axis=1)).astype(np.int16)
        if self._channel >= self._channels:
            return np.zeros(len(samples), dtype=np.int16)
        return samples[:, self._channel].copy()


def _resampler(layout: str) -> Any:
    return av.AudioResampler(format="s16", layout=layout, rate=SAMPLE_RATE_HZ)
