"""One recording in one pass: of a list of intervals the sampled frames and the audio, in a single stream of events.

    for event in read_recording("talk.mp4", [Interval(start_s=1.0, end_s=3.5)], ReadSettings(frame_interval_ms=500)):
        if isinstance(event, Frame): ...       # belongs to the intervals event.intervals
        else: ...                              # an IntervalEnd: audio, and what was wrong

`mme2e.media.decoder.DecoderProcess` has the same method and runs it in a child process.
"""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mme2e.errors import MediaError
from mme2e.media.audio import SAMPLE_RATE_HZ, read_audio
from mme2e.media.container import Damage
from mme2e.media.region import Region
from mme2e.media.video import Frame, probe, read_wanted, times_between


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A part of a recording that is asked for.

    Attributes:
        start_s: Seconds from the start of the recording.
        end_s: None: to the end of what can be decoded, whatever the file claims.
        region: Part of the picture to return; None is all of it.
        audio_channel: Channel to take before anything is mixed, from 0; None mixes all.
    """

    start_s: float = 0.0
    end_s: float | None = None
    region: Region | None = None
    audio_channel: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReadSettings:
    """What is read of a recording, and how.

    Attributes:
        frame_interval_ms: Time between two sampled frames.
        video: Whether frames are asked for.
        audio: Whether audio is asked for.
        video_track: Number among the video tracks, from 0; None: the one that a player takes.
        audio_track: The same of the audio tracks.
        square_pixels: Whether frames are scaled to square pixels, as a player shows them; else as they are stored.
    """

    frame_interval_ms: float = 500.0
    video: bool = True
    audio: bool = True
    video_track: int | None = None
    audio_track: int | None = None
    square_pixels: bool = True


@dataclass(frozen=True, kw_only=True)
class StreamReport:
    """What became of the video, or of the audio, of one interval.

    Attributes:
        missing: Why there is nothing of it, or no more of it, in one line; None where nothing went wrong.
        unreadable: Whether that is because the file is damaged, as opposed to having no such track or channel.
        damage: What was damaged on the way, in a few words; empty without damage.
        remarks: What is worth knowing: that there are several tracks, that a leap of the clock was closed, that
            channels cancel, that the audio is silent.
        end_s: Where the track ended, if that is before the end of the interval; else None.
    """

    missing: str | None = None
    unreadable: bool = False
    damage: str = ""
    remarks: tuple[str, ...] = ()
    end_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class IntervalEnd:
    """All of an interval has been read; its frames came before.

    Attributes:
        position: Of the interval in the list that was asked for.
        end_s: As asked for; of an open end, where the longer one of video and audio ended.
        samples: (samples,) int16 of its audio, 16 kHz mono; sample i belongs to `start_s` + i / 16000.
        frames: How many frames it got.
        video: What became of its video.
        audio: What became of its audio.
    """

    position: int
    end_s: float
    samples: np.ndarray
    frames: int
    video: StreamReport
    audio: StreamReport


def read_recording(
    path: Path | str, intervals: Sequence[Interval], settings: ReadSettings
) -> Iterator[Frame | IntervalEnd]:
    """Reads intervals of a recording. One pass; memory holds the audio of the intervals that are open, and two frames.

    A fault of the audio does not cost the video, nor the other way round: each has its report.

    Args:
        path: File with video, audio or both.
        intervals: In any order; they may overlap. Without an end: to the end of what can be decoded.
        settings: What is asked for.

    Yields:
        `Frame`s in the order of their requested times (one for each time and region, `Frame.intervals` are those that
        it belongs to), and an `IntervalEnd` for each interval as soon as it is complete.

    Raises:
        MediaError: The file cannot be read at all.
        ValueError: An interval starts before 0 or ends before its start.
    """
    for interval in intervals:
        if interval.start_s < 0 or (interval.end_s is not None and interval.end_s < interval.start_s):
            raise ValueError(f"interval {interval.start_s} s to {interval.end_s} s: expected 0 <= start_s <= end_s")
    media = probe(path)
    frames = [0] * len(intervals)
    last_frame_s = 0.0
    damage = Damage()
    misfits: dict[Region, str] = {}
    video_fault: MediaError | None = None
    if settings.video and media.has_video:
        asked = _asked(intervals, settings.frame_interval_ms)
        try:
            for frame in read_wanted(path, asked, damage=damage, misfits=misfits):
                for position in frame.intervals:
                    frames[position] += 1
                last_frame_s = frame.requested_s
                yield frame
        except MediaError as error:
            video_fault = error
    for position, interval in enumerate(intervals):
        samples = np.zeros(0, dtype=np.int16)
        audio = StreamReport(missing="the file has no audio" if settings.audio and not media.has_audio else None)
        if settings.audio and media.has_audio:
            try:
                samples = read_audio(
                    path, start_s=interval.start_s, end_s=interval.end_s, channel=interval.audio_channel
                )
            except MediaError as error:
                audio = StreamReport(missing=str(error), unreadable=True)
        video = StreamReport(
            missing="the file has no video" if settings.video and not media.has_video else None, damage=str(damage)
        )
        misfit = None if interval.region is None else misfits.get(interval.region)
        if video_fault is not None or misfit is not None:
            video = StreamReport(missing=misfit or str(video_fault), unreadable=True, damage=str(damage))
        audio_end_s = interval.start_s + len(samples) / SAMPLE_RATE_HZ
        video_end_s = last_frame_s + settings.frame_interval_ms / 1000 if frames[position] else interval.start_s
        end_s = max(audio_end_s, video_end_s) if interval.end_s is None else interval.end_s
        yield IntervalEnd(
            position=position, end_s=end_s, samples=samples, frames=frames[position], video=video, audio=audio
        )


def _asked(
    intervals: Sequence[Interval], frame_interval_ms: float
) -> Iterator[tuple[float, Region | None, tuple[int, ...]]]:
    """Times of all intervals in their order, each with the region to show then and the intervals that ask for it."""
    each = [
        ((time_s, position) for time_s in times_between(interval.start_s, interval.end_s, frame_interval_ms))
        for position, interval in enumerate(intervals)
    ]
    for time_s, group in itertools.groupby(heapq.merge(*each), key=lambda one: one[0]):
        by_region: dict[Region | None, list[int]] = {}
        for _, position in group:
            by_region.setdefault(intervals[position].region, []).append(position)
        for region, positions in by_region.items():
            yield time_s, region, tuple(positions)
