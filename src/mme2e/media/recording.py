"""One recording in one pass: of a list of intervals the sampled frames and the audio, in a single stream of events.

    for event in read_recording("talk.mp4", [Interval(start_s=1.0, end_s=3.5)], ReadSettings(frame_interval_ms=500)):
        if isinstance(event, Frame): ...       # belongs to the intervals event.intervals
        else: ...                              # an IntervalEnd: audio, and what was wrong

`mme2e.media.decoder.DecoderProcess` has the same method and runs it in a child process.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mme2e.errors import MediaError
from mme2e.media.audio import checked_samples, remark_silence
from mme2e.media.audio_cuts import AudioCollector, AudioCut, collect
from mme2e.media.cursor import VideoCursor
from mme2e.media.glance import Glance, glance_times
from mme2e.media.notes import Damage
from mme2e.media.region import Region
from mme2e.media.resampling import SAMPLE_RATE_HZ
from mme2e.media.source import MediaSource
from mme2e.media.video import Frame, Wanted, frames_on_display, times_between
from mme2e.media.wav import claimed_wav_s, plain_wav


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A part of a recording that is asked for.

    Attributes:
        start_s: Seconds from the start of the recording.
        end_s: None: to the end of what can be decoded, whatever the file claims.
        region: Part of the frame to return; None is all of it.
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
        glance_interval_ms: Time between two small grey images of all of the frame (`mme2e.media.glance`), at multiples
            of it that lie in an interval; None: none are asked for.
    """

    frame_interval_ms: float = 500.0
    video: bool = True
    audio: bool = True
    video_track: int | None = None
    audio_track: int | None = None
    square_pixels: bool = True
    glance_interval_ms: float | None = None


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


RecordingEvent = Frame | Glance | IntervalEnd


def read_recording(
    path: Path | str,
    intervals: Sequence[Interval],
    settings: ReadSettings,
    *,
    on_packet: Callable[[], None] | None = None,
) -> Iterator[RecordingEvent]:
    """Reads intervals of a recording. One pass; memory holds the audio of the intervals that are open, and two frames.

    A fault of the audio does not cost the video, nor the other way round: each has its report.

    Args:
        path: File with video, audio or both.
        intervals: In any order; they may overlap. Without an end: to the end of what can be decoded.
        settings: What is asked for.
        on_packet: Is called for every packet: reading goes on.

    Yields:
        `Frame`s in the order of their requested times (one for each time and region, `Frame.intervals` are those that
        it belongs to), and an `IntervalEnd` for each interval as soon as it is complete. Where they are asked for,
        `Glance`s among the frames, in the order of time.

    Raises:
        MediaError: The file cannot be read at all.
        ValueError: An interval starts before 0 or ends before its start.
    """
    for interval in intervals:
        if interval.start_s < 0 or (interval.end_s is not None and interval.end_s < interval.start_s):
            raise ValueError(f"interval {interval.start_s} s to {interval.end_s} s: expected 0 <= start_s <= end_s")
    return _Reading(path, intervals, settings, on_packet).events()


class _Reading:
    """One pass over one file."""

    def __init__(
        self,
        path: Path | str,
        intervals: Sequence[Interval],
        settings: ReadSettings,
        on_packet: Callable[[], None] | None,
    ) -> None:
        self._path = path
        self._intervals = intervals
        self._settings = settings
        self._on_packet = on_packet
        self._cuts = [
            AudioCut(start_s=interval.start_s, end_s=interval.end_s, channel=interval.audio_channel)
            for interval in intervals
        ]
        self._frames = [0] * len(intervals)
        self._lost_packets = [0] * len(intervals)
        self._audio_done = [False] * len(intervals)
        self._video_done = [False] * len(intervals)
        self._open = deque(sorted(range(len(intervals)), key=self._end_s))  # those whose video is not passed
        self._video_damage = Damage()
        self._misfits: dict[Region, str] = {}
        self._video_fault: StreamReport | None = None
        self._video_passed_s = 0.0  # no frame before this will come
        self._cursor: VideoCursor | None = None
        self._collector: AudioCollector | None = None

    def events(self) -> Iterator[RecordingEvent]:
        settings = self._settings
        if self._is_plain():
            yield from self._plain_ends()
            return
        source = MediaSource(
            self._path,
            video_track=settings.video_track,
            audio_track=settings.audio_track,
            video_damage=self._video_damage,
            on_packet=self._on_packet,
        )
        try:
            if source.video is None and source.audio is None:
                raise MediaError(f"{self._path} has neither video nor audio")
            if settings.audio and source.audio is not None:
                self._collector = AudioCollector(source, self._cuts)
            else:
                self._audio_done = [True] * len(self._intervals)
            if settings.video:
                yield from self._watch(source)
            self._video_passed_s = math.inf
            if self._collector is not None:
                yield from self._ended()
                for position in collect(source, self._collector):
                    yield from self._audio_ended(position)
        finally:
            source.close()
        yield from self._ended()

    def _is_plain(self) -> bool:
        """Whether the file is a WAV file that holds all that is asked for as it is: FFmpeg is slow with those."""
        settings = self._settings
        if not settings.audio or settings.audio_track or (settings.video and settings.video_track is not None):
            return False
        channels = {cut.channel for cut in self._cuts}
        return bool(channels) and all(plain_wav(self._path, 0, 1, channel) is not None for channel in channels)

    def _plain_ends(self) -> Iterator[IntervalEnd]:
        track_end_s = claimed_wav_s(self._path) or 0.0
        video = StreamReport(missing="the file has no video" if self._settings.video else None)
        for position in sorted(range(len(self._cuts)), key=lambda position: self._cuts[position].start_s):
            cut, interval = self._cuts[position], self._intervals[position]
            samples = plain_wav(self._path, cut.first, cut.last, cut.channel)
            if samples is None:
                raise MediaError(f"{self._path} was changed while it was read")
            remark_silence(samples, cut.damage)
            ended = interval.end_s is None or track_end_s < interval.end_s
            audio = StreamReport(remarks=tuple(cut.damage.remarks.values()), end_s=track_end_s if ended else None)
            yield IntervalEnd(
                position=position,
                end_s=max(interval.start_s, track_end_s) if interval.end_s is None else interval.end_s,
                samples=samples,
                frames=0,
                video=video,
                audio=audio,
            )

    def _watch(self, source: MediaSource) -> Iterator[RecordingEvent]:
        """The frames, and what ends on the way."""
        if source.video is None:
            self._video_fault = StreamReport(missing="the file has no video")
            return
        counted = 0
        try:
            self._cursor = VideoCursor(source, self._collector, square_pixels=self._settings.square_pixels)
            wanted = _wanted(self._intervals, self._settings)
            for frame in frames_on_display(self._cursor, wanted, self._path, self._video_damage, self._misfits):
                if isinstance(frame, Glance):
                    self._video_passed_s = frame.time_s
                    yield from self._ended()
                    yield frame
                    continue
                self._video_passed_s = frame.requested_s
                yield from self._ended()
                for position in frame.intervals:
                    self._frames[position] += 1
                for position in self._open if frame.lost_packets else ():  # they count for every region
                    if self._covers(position, frame.requested_s):
                        self._lost_packets[position] += frame.lost_packets
                counted += frame.lost_packets
                yield frame
            for position in self._open:  # what was lost after the last frame belongs to whom it was to show something
                end_s = self._intervals[position].end_s
                if end_s is None or (self._cursor.end_s is not None and end_s > self._cursor.end_s):
                    self._lost_packets[position] += max(0, self._video_damage.lost_packets - counted)
        except MediaError as error:
            self._video_fault = StreamReport(missing=str(error), unreadable=True)

    def _covers(self, position: int, time_s: float) -> bool:
        interval = self._intervals[position]
        return interval.start_s <= time_s and (interval.end_s is None or time_s < interval.end_s)

    def _ended(self) -> Iterator[IntervalEnd]:
        """The intervals of which nothing more will come."""
        if self._collector is not None:
            for position in self._collector.take_complete():
                yield from self._audio_ended(position)
        while self._open and self._end_s(self._open[0]) <= self._video_passed_s:
            position = self._open.popleft()
            self._video_done[position] = True
            if self._audio_done[position]:
                yield self._end_of(position)

    def _audio_ended(self, position: int) -> Iterator[IntervalEnd]:
        self._audio_done[position] = True
        if self._video_done[position]:
            yield self._end_of(position)

    def _end_s(self, position: int) -> float:
        end_s = self._intervals[position].end_s
        return math.inf if end_s is None else end_s

    def _end_of(self, position: int) -> IntervalEnd:
        interval, cut = self._intervals[position], self._cuts[position]
        samples, audio = self._audio_of(position)
        video = self._video_of(position)
        end_s = interval.end_s
        if end_s is None:
            video_end_s = video.end_s if video.end_s is not None else interval.start_s
            end_s = max(interval.start_s, video_end_s, interval.start_s + len(samples) / SAMPLE_RATE_HZ)
        cut.restart()  # memory
        return IntervalEnd(
            position=position, end_s=end_s, samples=samples, frames=self._frames[position], video=video, audio=audio
        )

    def _video_of(self, position: int) -> StreamReport:
        interval = self._intervals[position]
        damage = Damage(
            lost_packets=self._lost_packets[position],
            broke_off_s=self._video_damage.broke_off_s,
            claimed_end_s=self._video_damage.claimed_end_s,
        )
        end_s = None if self._cursor is None else self._cursor.end_s
        report = StreamReport(
            damage=str(damage),
            remarks=tuple(self._video_damage.remarks.values()),
            end_s=end_s if end_s is not None and (interval.end_s is None or end_s < interval.end_s) else None,
        )
        misfit = None if interval.region is None else self._misfits.get(interval.region)
        if misfit is not None:
            return replace(report, missing=misfit, unreadable=True)
        if self._video_fault is not None:
            return replace(report, missing=self._video_fault.missing, unreadable=self._video_fault.unreadable)
        return report

    def _audio_of(self, position: int) -> tuple[np.ndarray, StreamReport]:
        nothing = np.zeros(0, dtype=np.int16)
        cut, interval = self._cuts[position], self._intervals[position]
        if self._collector is None:
            return nothing, StreamReport(missing="the file has no audio" if self._settings.audio else None)
        fault = self._collector.fault(interval.audio_channel)
        if fault is not None:
            return nothing, StreamReport(missing=f"{self._path} {fault}", unreadable=True)
        try:
            samples = checked_samples(self._path, cut, self._collector.most_channels, self._settings.audio_track)
        except MediaError as error:
            return nothing, StreamReport(missing=str(error), unreadable=True)
        end_s = self._collector.end_s
        return samples, StreamReport(
            damage=str(cut.damage),
            remarks=(*self._collector.remarks(), *cut.damage.remarks.values()),
            end_s=end_s if end_s is not None and (interval.end_s is None or end_s < interval.end_s) else None,
        )


def _wanted(intervals: Sequence[Interval], settings: ReadSettings) -> Iterator[Wanted | float]:
    """What is to be shown, in the order of time; glances after the frames of the same time."""
    frames: Iterator[Wanted | float] = _wanted_frames(intervals, settings.frame_interval_ms)
    if settings.glance_interval_ms is None:
        return frames
    spans = [(interval.start_s, interval.end_s) for interval in intervals]
    glances: Iterator[Wanted | float] = glance_times(spans, settings.glance_interval_ms)
    return heapq.merge(frames, glances, key=lambda each: each if isinstance(each, float) else each[0])


def _wanted_frames(intervals: Sequence[Interval], frame_interval_ms: float) -> Iterator[Wanted]:
    """Times of all intervals in their order, each with the region to show then and the intervals that ask for it."""
    each = [
        zip(times_between(interval.start_s, interval.end_s, frame_interval_ms), itertools.repeat(position))
        for position, interval in enumerate(intervals)
    ]
    for time_s, group in itertools.groupby(heapq.merge(*each), key=lambda one: one[0]):
        by_region: dict[Region | None, list[int]] = {}
        for _, position in group:
            by_region.setdefault(intervals[position].region, []).append(position)
        for region, positions in by_region.items():
            yield time_s, region, tuple(positions)
