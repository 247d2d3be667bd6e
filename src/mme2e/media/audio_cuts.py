"""Stretches of one audio track, collected while its packets pass by."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np

from mme2e.media.container import NO_MEMORY, claimed_end_s
from mme2e.media.notes import Damage
from mme2e.media.resampling import (
    HIGHEST_RATE_HZ,
    LOWEST_RATE_HZ,
    SAMPLE_RATE_HZ,
    Resampler,
    channel_peak,
    peak,
)
from mme2e.media.source import MediaSource

SEEK_FROM_S = 10.0  # what starts later is jumped to; what is earlier is decoded from the start
SEEK_RUN_UP_S = 1.0  # codecs with memory (AAC, MP3, Opus) need some packets before they sound right
BREAK_OFF_S = 0.5  # containers round the lengths that they claim; a track that is shorter by more was cut off
COUNTED_FORMATS = {"aac", "mp3", "ogg", "flac"}
CONTINUOUS_FORMATS = {"flac", "wav", "w64", "aiff", "ogg"}
SHORT_HOLE_S = 0.02
QUIET_PEAK = 1000  # a mix that is louder was not cancelled
LISTEN_EVERY = 4  # frames, a tenth of a second: channels that cancel do so all the time


class JumpError(Exception):
    """A jump in the file led past what was to be read: it has to be read from its start."""


@dataclass
class AudioCut:
    """A stretch of audio that is asked for, and what of it was found.

    Attributes:
        start_s: Seconds from the start of the recording.
        end_s: None: to the end.
        channel: Channel to take, from 0; None mixes all.
        damage: What was damaged in it.
        channel_peak: Loudest sample of any channel, of -32768 to 32767, where mixing gave next to nothing.
    """

    start_s: float = 0.0
    end_s: float | None = None
    channel: int | None = None
    damage: Damage = field(default_factory=Damage)
    channel_peak: float = 0.0
    _pieces: list[tuple[int, np.ndarray]] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Its first sample at 16 kHz, from the start of the recording."""
        return round(self.start_s * SAMPLE_RATE_HZ)

    @property
    def last(self) -> int | None:
        """The sample after its last one; None without an end."""
        return None if self.end_s is None else round(self.end_s * SAMPLE_RATE_HZ)

    def add(self, position: int, piece: np.ndarray) -> None:
        """Adds what may overlap it: (samples,) int16 and where they begin."""
        if position + len(piece) > self.first:
            self._pieces.append((position, piece))

    def restart(self) -> None:
        """Forgets what was found."""
        self._pieces.clear()
        self.damage.lost_packets = 0

    def samples(self) -> np.ndarray:
        """(samples,) int16; silence where the track has none before its end."""
        first, last = self.first, self.last
        end = max((position + len(piece) for position, piece in self._pieces), default=first)
        samples = np.zeros(max(0, (end if last is None else min(end, last)) - first), dtype=np.int16)
        for position, piece in self._pieces:
            piece = piece[max(0, first - position) :]
            at = max(0, position - first)
            samples[at : at + len(piece)] = piece[: max(0, len(samples) - at)]
        return samples


class AudioCollector:
    """Collects cuts from the packets of a source's audio track, which come in order, or again from the start.

    Args:
        source: The open file.
        cuts: What to collect.

    Attributes:
        complete: Positions of cuts that were completed and not taken yet.
        end_s: Where the track ended; None before that is known.
        most_channels: The most channels that a frame had.
    """

    def __init__(self, source: MediaSource, cuts: Sequence[AudioCut]) -> None:
        self._source = source
        self._cuts = cuts
        self._in_order = sorted(range(len(cuts)), key=lambda position: cuts[position].start_s)
        self._done = [False] * len(cuts)
        channels = {cut.channel for cut in cuts}  # that of the mix last: it is listened to
        self._resamplers = {channel: Resampler(channel) for channel in sorted(channels, key=lambda c: c is None)}
        self.complete: list[int] = []
        self.end_s: float | None = None
        self.most_channels = 0
        self._skipped = False
        self._fault: str | None = None
        self._may_jump = source.can_seek
        self._begin()

    def _begin(self) -> None:
        self._waiting = deque(position for position in self._in_order if not self._done[position])
        self._active: list[int] = []  # begun and not complete
        self._seconds = self._source.seconds(self._source.audio)
        self._reached_s = 0.0  # time of the last packet
        self._decoded_s = 0.0  # end of the last frame
        self._due_s = 0.0  # when the next frame has to begin
        self._rate = 0  # of the last frame
        self._counts = False
        self._frames = 0
        self._decoder: Any = None  # in place of the track's own
        self._landed_before: int | None = None
        for resampler in self._resamplers.values():
            resampler.restart()

    def restart(self) -> None:
        """The file is read from its start again, without jumps: what was collected of open cuts is forgotten."""
        for cut, done in zip(self._cuts, self._done, strict=True):
            if not done:
                cut.restart()
        self._source.audio_damage.lost_packets = 0
        self._may_jump = False
        self._begin()

    @property
    def all_done(self) -> bool:
        """Whether every cut is complete."""
        return not self._waiting and not self._active

    def push(self, packet: Any) -> None:
        """Takes the next packet of the track.

        Raises:
            JumpError: The last jump led past what is asked for.
        """
        if packet.pts is not None:
            self._reached_s = self._seconds(packet.pts)
            if self._is_before_all():
                self._skipped, self._due_s = True, 0.0
                return
        if packet.is_corrupt:
            self._lose()
        try:
            for frame in self._decode(packet):
                self._take(frame)
        except MemoryError:
            self._fault = f"has audio, but {NO_MEMORY}"
            self._finish_all()
        except (av.FFmpegError, ValueError):  # what PyAV's resampler makes of formats that do not exist
            if not packet.is_corrupt:
                self._source.audio_damage.lost_packets += 1
                self._lose()

    def _decode(self, packet: Any) -> list[Any]:
        try:
            frames: list[Any] = (self._decoder or packet).decode(*([packet] if self._decoder else []))
        except av.error.InvalidDataError:
            # The header of a chained FLAC stream does not hold for what follows; without one, its frames are enough.
            if self._source.audio.codec_context.name != "flac":
                raise
            decoder: Any = av.CodecContext.create("flac", "r")
            frames = decoder.decode(packet)
            self._decoder = decoder
        return frames

    def _is_before_all(self) -> bool:
        """Whether the packet at hand is too early for any cut."""
        if self._active or not self._waiting or self._counts:
            return False
        from_s = self._cuts[self._waiting[0]].start_s - SEEK_RUN_UP_S
        return self._reached_s < from_s and from_s - self._decoded_s >= SEEK_FROM_S - SEEK_RUN_UP_S

    def _lose(self) -> None:
        """A packet was lost: counts for the cuts that it belongs to."""
        started = [position for position in self._waiting if self._cuts[position].start_s <= self._reached_s]
        for position in (*self._active, *started):
            self._cuts[position].damage.lost_packets += 1

    def _lose_frames(self) -> None:
        """Time stamps went ahead: in formats whose audio is continuous that is damage that the decoder passed over."""
        if self._due_s > 0 and self._source.container.format.name in CONTINUOUS_FORMATS and self._landed_before is None:
            self._source.audio_damage.lost_packets += 1
            self._lose()

    def _take(self, frame: Any) -> None:
        rate = frame.sample_rate
        if rate != self._rate:
            self._check_rate(rate)
        if self._fault is not None or frame.samples == 0:
            return
        time_s = None if self._counts or frame.pts is None else self._seconds(frame.pts)
        if time_s is not None and time_s - self._due_s > SHORT_HOLE_S:
            self._lose_frames()
        self._due_s = (self._due_s if time_s is None else time_s) + frame.samples / rate
        for channel, resampler in self._resamplers.items():
            pieces = resampler.push(frame, time_s)
            for position, piece in pieces:
                self._store(channel, position, piece)
        self.most_channels = max(self.most_channels, resampler.channels)
        self._frames += 1
        if self._frames % LISTEN_EVERY == 1 and resampler.channels > 1 and None in self._resamplers:
            self._listen_for_cancelling(frame, pieces)

    def _check_rate(self, rate: int) -> None:
        """Notes the first sampling rate, and what another one means."""
        if not LOWEST_RATE_HZ <= rate <= HIGHEST_RATE_HZ:
            self._fault = f"has audio that claims a sampling rate of {rate} Hz"
            self._finish_all()
        # Where time stamps are counted in samples, or made up from them, they are wrong once the rate changes.
        self._counts |= self._rate > 0 and self._source.container.format.name in COUNTED_FORMATS
        self._rate = rate

    def _listen_for_cancelling(self, frame: Any, pieces: list[tuple[int, np.ndarray]]) -> None:
        """Notes how loud the channels of a frame are that is quiet when they are mixed."""
        if max((peak(piece) for _, piece in pieces), default=0) < QUIET_PEAK:
            loudest = channel_peak(frame)
            for number in self._active:
                self._cuts[number].channel_peak = max(self._cuts[number].channel_peak, loudest)

    def _store(self, channel: int | None, position: int, piece: np.ndarray) -> None:
        end = position + len(piece)
        self._decoded_s = end / SAMPLE_RATE_HZ
        if self._landed_before is not None:
            if position > self._landed_before:
                raise JumpError
            self._landed_before = None
        while self._waiting and self._cuts[self._waiting[0]].first < end:
            self._active.append(self._waiting.popleft())
        for number in self._active[:]:
            cut = self._cuts[number]
            if cut.channel != channel:
                continue
            cut.add(position, piece)
            if cut.last is not None and position >= cut.last:  # what comes now shows that silence before it is a hole
                self._finish(number)

    def _finish(self, number: int) -> None:
        self._done[number] = True
        self._active.remove(number)
        self.complete.append(number)

    def finish(self) -> None:
        """The track has ended."""
        for channel, resampler in self._resamplers.items():
            for position, piece in resampler.finish():
                self._store(channel, position, piece)
        if self._landed_before is not None:
            raise JumpError
        self.end_s = max(self._decoded_s, self._reached_s)
        claimed_s = claimed_end_s(self._source.path, self._source.container, self._source.audio)
        unfinished = [*self._active, *self._waiting]
        for number in unfinished if self._source.broke else ():
            self._cuts[number].damage.lost_packets += 1
        if claimed_s is not None and self.end_s < claimed_s - BREAK_OFF_S:
            for damage in (self._source.audio_damage, *(self._cuts[number].damage for number in unfinished)):
                damage.broke_off_s, damage.claimed_end_s = self.end_s, claimed_s
        self._finish_all()

    def _finish_all(self) -> None:
        for number in (*self._active, *self._waiting):
            self._done[number] = True
            self.complete.append(number)
        self._active, self._waiting = [], deque()

    def fault(self, channel: int | None) -> str | None:
        """Why a cut of a channel could not be read, when the track has been; None if it could."""
        if self._fault is not None:
            return self._fault
        if not self.most_channels and not self._skipped:
            return "has an audio track, but nothing of it can be decoded"
        channels = self.most_channels or self._source.audio.layout.nb_channels
        if channel is not None and not 0 <= channel < channels:
            return f"has no channel {channel}: it has {channels}, counted from 0"
        return None

    def remarks(self) -> tuple[str, ...]:
        """What is remarkable about the track."""
        return tuple(self._source.audio_damage.remarks.values())

    def take_complete(self) -> Iterator[int]:
        """Positions of the cuts that were completed since the last call."""
        complete, self.complete = self.complete, []
        return iter(complete)

    def next_jump_s(self) -> float | None:
        """Where to go on reading, if nothing of the next seconds is needed; None otherwise."""
        if self._active or not self._waiting or not self._may_jump:
            return None
        target_s = self._cuts[self._waiting[0]].start_s - SEEK_RUN_UP_S
        return target_s if target_s - self._reached_s >= SEEK_FROM_S - SEEK_RUN_UP_S else None

    def busy_until_s(self, gap_s: float) -> float:
        """Up to when audio is needed without a break of `gap_s`, from where the file stands."""
        ends_s = [self._end_of(position) for position in self._active]
        until_s = max([self._reached_s, *ends_s])
        for position in self._waiting:
            if self._cuts[position].start_s - SEEK_RUN_UP_S > until_s + gap_s:
                break
            until_s = max(until_s, self._end_of(position))
        return until_s

    def _end_of(self, position: int) -> float:
        end_s = self._cuts[position].end_s
        return math.inf if end_s is None else end_s

    def needs_before(self, time_s: float) -> bool:
        """Whether a cut that begins before a time is open."""
        return bool(self._active) or (bool(self._waiting) and self._cuts[self._waiting[0]].start_s < time_s)

    def jump_target_s(self, time_s: float) -> float:
        """Where a jump to a time has to lead, so that the next cut is not missed."""
        if not self._waiting:
            return time_s
        return max(0.0, min(time_s, self._cuts[self._waiting[0]].start_s - SEEK_RUN_UP_S))

    def jumped(self, time_s: float) -> None:
        """The source was sought to a time."""
        self._reached_s, self._due_s = time_s, 0.0
        self._landed_before = self._cuts[self._waiting[0]].first if self._waiting else None
        for resampler in self._resamplers.values():
            resampler.restart()


def collect(source: MediaSource, collector: AudioCollector) -> Iterator[int]:
    """Reads on until all cuts are complete; what is not needed is jumped over.

    Yields:
        Positions of cuts, as they are completed.
    """
    while not collector.all_done:
        try:
            target_s = collector.next_jump_s()
            if target_s is not None:
                if not source.jump(target_s):
                    raise JumpError
                collector.jumped(target_s)
            for packet in source.packets():
                if packet.stream is source.audio:
                    collector.push(packet)
                    if collector.complete:  # the next cut may be far
                        break
            else:
                collector.finish()
        except JumpError:
            source.reopen()
            collector.restart()
        yield from collector.take_complete()
    yield from collector.take_complete()
