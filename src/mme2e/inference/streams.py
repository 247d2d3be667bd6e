"""The two tracks of a recording as they go by: each is decoded once, and only what is near is kept.

The audio runs ahead of the video: where speech ends, and how a speaker sounds before and after a segment, is known from
it. Each track has its own decoder process, so that the fault of one does not cost the other.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from mme2e.errors import MediaError
from mme2e.faces.people import PersonFrame
from mme2e.inference.model_input import TRAINED_WITHOUT
from mme2e.media.mel import CHUNK_SAMPLES
from mme2e.media.mel_statistics import statistics_of
from mme2e.media.recording import Glance, Interval, IntervalEnd, ReadSettings, RecordingEvent, StreamReport
from mme2e.media.resampling import SAMPLE_RATE_HZ
from mme2e.media.video import Frame
from mme2e.perception.active_speaker import MouthMotion
from mme2e.perception.decoders import Decoders

TILE_S = 12 * CHUNK_SAMPLES / SAMPLE_RATE_HZ
"""4.8 s: audio comes in tiles of whole mel chunks, so that the statistics of tiles add up."""

VIDEO_TILE_S = 60.0
FIRST_TILES = 8
"""That are asked for at first where a file claims no length; twice as many each time that there is more."""

MOST_TILES = 3000
"""Of one request, whatever a file claims."""

NO_SAMPLES = np.zeros(0, dtype=np.int16)


def tiles_of(
    path: Path, decoders: Decoders, settings: ReadSettings, interval: Interval, tile_s: float, claimed_s: float | None
) -> Iterator[RecordingEvent]:
    """Reads a recording as intervals of equal length, one after the other, to its end.

    Args:
        path: File.
        decoders: Lend a process for as long as the iterator is open.
        settings: What is read.
        interval: The stretch to read; the ends of tiles are counted from its start.
        tile_s: Length of a tile, seconds.
        claimed_s: Length that the file claims; decides how much is asked for at once, and nothing else.

    Yields:
        Events in order; `IntervalEnd.position` counts all tiles.

    Raises:
        MediaError: The file cannot be read, or not any further.
    """
    first, last = 0, None if interval.end_s is None else _tiles_in(interval.end_s - interval.start_s, tile_s)
    left_s = (claimed_s or 0.0) - interval.start_s
    count = min(MOST_TILES, max(FIRST_TILES, _tiles_in(left_s, tile_s) + 1 if left_s > 0 else 0))
    while last is None or first < last:
        tiles = [
            replace(
                interval,
                start_s=interval.start_s + number * tile_s,
                end_s=_earlier(interval.start_s + (number + 1) * tile_s, interval.end_s),
            )
            for number in range(first, first + count if last is None else min(last, first + count))
        ]
        with decoders.borrowed() as decoder:
            for event in decoder.read_recording(path, tiles, settings):
                yield replace(event, position=first + event.position) if isinstance(event, IntervalEnd) else event
        first += len(tiles)
        count = min(MOST_TILES, 2 * count)


def _tiles_in(length_s: float, tile_s: float) -> int:
    return int(np.ceil(length_s / tile_s - 1e-9))


def _earlier(end_s: float, limit_s: float | None) -> float:
    return end_s if limit_s is None else min(end_s, limit_s)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tile:
    start_s: float
    end_s: float
    samples: np.ndarray
    report: StreamReport
    statistics: list[float] | None

    def covers(self, start_s: float, end_s: float) -> bool:
        return self.start_s < end_s and self.end_s > start_s


class _Track:
    """What the two tracks have in common: they are read on until something is known, and end once.

    Args:
        begin_s: Where reading begins, seconds.
        events: What the decoder gives; None: the track is not read.

    Attributes:
        end_s: Where the track ended; None before that is known.
        missing: Why there is none, or no more; None where nothing went wrong.
        unreadable: Whether that is because the file cannot be read.
        remarks: What is worth knowing of it, in order.
    """

    def __init__(self, begin_s: float, events: Iterator[RecordingEvent] | None) -> None:
        self.end_s: float | None = begin_s if events is None else None
        self.missing: str | None = TRAINED_WITHOUT if events is None else None
        self.unreadable = False
        self.remarks: dict[str, None] = {}
        self._events = events

    @property
    def ended(self) -> bool:
        """Whether there is no more."""
        return self.end_s is not None

    def close(self) -> None:
        """Ends the decoder process if it is in the middle of its answer."""
        if isinstance(self._events, Generator):
            self._events.close()

    def _next(self) -> RecordingEvent | None:
        """The next event; None where the track has ended now."""
        assert self._events is not None
        try:
            event = next(self._events, None)
        except MediaError as error:
            self._finish(str(error), unreadable=True)
            return None
        if event is None:
            self._finish(None)
        return event

    def _reported(self, report: StreamReport, at_s: float | None = None) -> None:
        """Takes the report of a tile, of which something may be known to be the end.

        Args:
            report: It.
            at_s: Where the track ends if the report says that nothing more comes of it; None: where it was read to.
        """
        self.remarks.update(dict.fromkeys(report.remarks))
        if report.missing is not None:
            self._finish(report.missing, at_s, unreadable=report.unreadable)
        elif report.end_s is not None:
            self._finish(None, report.end_s)

    def _finish(self, missing: str | None, at_s: float | None = None, *, unreadable: bool = False) -> None:
        self.end_s = self._read_to_s() if at_s is None else at_s
        self.missing, self.unreadable = missing, unreadable
        self.close()

    def _read_to_s(self) -> float:
        raise NotImplementedError


class AudioStream(_Track):
    """The audio of a recording, tile after tile.

    Args:
        path: File; None: no audio is read.
        decoders: Lend the decoder process.
        settings: How the file is read; what is read is decided here.
        interval: Stretch and channel.
        claimed_s: Length that the file claims.
        statistics: Whether those of the mel bands are asked for.

    Attributes:
        reached_s: Up to where it was read.
    """

    def __init__(
        self,
        path: Path | None,
        decoders: Decoders,
        settings: ReadSettings,
        interval: Interval,
        claimed_s: float | None,
        *,
        statistics: bool,
    ) -> None:
        audio = replace(settings, video=False, audio=True, video_track=None)
        whole = replace(interval, region=None)
        events = None if path is None else tiles_of(path, decoders, audio, whole, TILE_S, claimed_s)
        super().__init__(interval.start_s, events)
        self.start_s = self.reached_s = interval.start_s
        self._tiles: deque[_Tile] = deque()
        self._statistics = statistics

    def read_to(self, time_s: float) -> None:
        """Reads on until a time is reached, or the track ends."""
        while not self.ended and self.reached_s < time_s:
            event = self._next()
            if isinstance(event, IntervalEnd):
                self._add(event)

    def samples(self, start_s: float, end_s: float) -> np.ndarray:
        """(samples,) int16 between two times, as far as there are any; what was forgotten is silence."""
        end_s = min(end_s, self.reached_s if self.end_s is None else self.end_s)
        first, last = (round(time_s * SAMPLE_RATE_HZ) for time_s in (start_s, end_s))
        if last <= first:
            return NO_SAMPLES
        found = np.zeros(last - first, dtype=np.int16)
        for tile in self._tiles:
            if tile.covers(start_s, end_s):
                at = round(tile.start_s * SAMPLE_RATE_HZ) - first
                piece = tile.samples[max(0, -at) :][: len(found) - max(0, at)]
                found[max(0, at) : max(0, at) + len(piece)] = piece
        return found

    def statistics(self, start_s: float, end_s: float) -> tuple[float, ...] | None:
        """Of the mel bands, of all tiles that the time between touches; see `statistics_of`."""
        kept = [tile.statistics for tile in self._tiles if tile.statistics and tile.covers(start_s, end_s)]
        return tuple(np.sum(kept, axis=0).tolist()) if kept else None

    def reports(self, start_s: float, end_s: float) -> list[StreamReport]:
        """What was wrong with the audio between two times."""
        return [tile.report for tile in self._tiles if tile.covers(start_s, end_s)]

    def forget_before(self, time_s: float) -> None:
        """Frees what ends before a time."""
        while self._tiles and self._tiles[0].end_s < time_s:
            self._tiles.popleft()

    def _read_to_s(self) -> float:
        return self.reached_s

    def _add(self, end: IntervalEnd) -> None:
        tile_start_s = self.start_s + end.position * TILE_S
        statistics = statistics_of(end.samples) if self._statistics and len(end.samples) else None
        self._tiles.append(
            _Tile(start_s=tile_start_s, end_s=end.end_s, samples=end.samples, report=end.audio, statistics=statistics)
        )
        self.reached_s = end.end_s
        self._reported(end.audio, at_s=tile_start_s)
        if self.end_s is not None:
            self.end_s = max(self.start_s, self.end_s)


class FaceReader(Protocol):
    """What finds the faces of frames: what is used here of `mme2e.faces.people.PeopleTracker`."""

    def add(self, frame: Frame) -> Sequence[PersonFrame]:
        """Takes the next frame; returns those that are ready."""
        ...

    def finish(self) -> Sequence[PersonFrame]:
        """Those that wait."""
        ...


class FaceStream(_Track):
    """The faces of a recording, frame after frame.

    Args:
        path: File; None: no video is read.
        decoders: Lend the decoder process.
        settings: How the file is read; what is read is decided here.
        interval: Stretch and region.
        claimed_s: Length that the file claims.
        reader: Finds the faces.

    Attributes:
        frames: Those that are kept, in order.
        motion: How mouths move, where the settings have a glance interval.
        damage: When something was damaged, seconds, in order.
    """

    def __init__(
        self,
        path: Path | None,
        decoders: Decoders,
        settings: ReadSettings,
        interval: Interval,
        claimed_s: float | None,
        reader: FaceReader,
    ) -> None:
        self._step_s = settings.frame_interval_ms / 1000
        self._tile_s = max(1, int(VIDEO_TILE_S / self._step_s)) * self._step_s  # of whole steps: one grid for all
        video = replace(settings, video=True, audio=False, audio_track=None)
        events = None if path is None else tiles_of(path, decoders, video, interval, self._tile_s, claimed_s)
        super().__init__(interval.start_s, events)
        self.frames: deque[PersonFrame] = deque()
        self.motion = MouthMotion()
        self.damage: list[float] = []
        self._reader = reader
        self._ready_s = interval.start_s

    def read_to(self, time_s: float) -> None:
        """Reads on until the faces of all frames before a time are known, or the track ends."""
        while not self.ended and self._ready_s < time_s:
            match self._next():
                case Frame() as frame:
                    self.damage += [frame.requested_s] * bool(frame.lost_packets)
                    self._take(self._reader.add(frame))
                case Glance() as glance:
                    self.motion.look(glance)
                case IntervalEnd() as end:
                    self._end_of_tile(end)

    def between(self, start_s: float, end_s: float) -> list[PersonFrame]:
        """The frames between two times."""
        return [frame for frame in self.frames if start_s <= frame.time_s < end_s]

    def forget_before(self, time_s: float) -> None:
        """Frees frames before a time."""
        while self.frames and self.frames[0].time_s < time_s:
            self.frames.popleft()
        self.motion.forget(time_s)

    def _read_to_s(self) -> float:
        return self._ready_s

    def _take(self, found: Sequence[PersonFrame]) -> None:
        self.frames.extend(found)
        self.motion.locate(found)
        if found:
            self._ready_s = found[-1].time_s + self._step_s

    def _end_of_tile(self, end: IntervalEnd) -> None:
        lost = any(time_s >= end.end_s - self._tile_s for time_s in self.damage)
        if end.video.damage and not lost:  # after the last frame that was requested, or the file breaks off
            self.damage.append(self._ready_s)
        self._reported(end.video)

    def _finish(self, missing: str | None, at_s: float | None = None, *, unreadable: bool = False) -> None:
        self._take(self._reader.finish())
        self.motion.finish()
        super()._finish(missing, at_s, unreadable=unreadable)
