"""One pass over a recording: frames to face crops, audio beside them, an observation for each interval.

Decoding happens in a child process (`mme2e.media.decoder`), which may die of a damaged file: that costs what this file
was to give. Where video and audio of one file are read together and the child dies, each is read again for itself, so
that a fault of the one does not cost the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np

from mme2e.errors import MediaError
from mme2e.faces.face_crop import FaceCrop
from mme2e.media.recording import Interval, IntervalEnd, ReadSettings, StreamReport
from mme2e.media.region import Region
from mme2e.media.video import Frame
from mme2e.perception.decoders import Decoders
from mme2e.perception.observation import Observation, count_frames
from mme2e.perception.stopwatch import Stopwatch

Event = Frame | IntervalEnd
Seen = tuple[IntervalEnd, tuple[FaceCrop, ...]]
"""The end of an interval's video and its crops."""

NO_SAMPLES = np.zeros(0, dtype=np.int16)


class Tracker(Protocol):
    """What is used of `mme2e.faces.tracker.FaceTracker`."""

    def crops(self, frames: Iterable[Frame]) -> Iterator[FaceCrop]:
        """One crop a frame; those of one region in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Senses:
    """What perceiving takes.

    Attributes:
        tracker: Finds the faces; None where no video is read.
        decoders: Read the files.
        stopwatch: Counts the stages "decode" (video, and audio of the same file), "faces" and "audio" (of other files).
    """

    tracker: Tracker | None
    decoders: Decoders
    stopwatch: Stopwatch


def perceive(
    video: Path | None,
    audios: Sequence[Path | None],
    intervals: Sequence[Interval],
    settings: ReadSettings,
    senses: Senses,
) -> Iterator[Observation]:
    """Follows the face of each region through all intervals of a recording, and cuts the audio of each.

    A file is opened once, whatever the intervals; video and audio of one file are read together. Memory holds what
    belongs to the intervals that are open.

    Args:
        video: File with the video; None: none is asked for.
        audios: File with the audio of each interval; None: none is asked for.
        intervals: In any order; they may overlap.
        settings: How files are read; its `video` and `audio` are decided here.
        senses: Decoders and face tracker.

    Yields:
        One observation for each interval, as soon as it is complete. What cannot be read is in its notes.

    Raises:
        ValueError: An interval starts before 0 or ends before its start.
    """
    call = _Call(video, audios, intervals, settings, senses)
    left = set(range(len(intervals)))
    if video is not None and video in audios:
        try:
            for end, faces in call.faces(call.read(video, sorted(left), video=True, audio=True)):
                heard = end if audios[end.position] == video else call.heard(end.position)
                left.remove(end.position)
                yield call.observation(end.position, (end, faces), heard)
        except MediaError:
            call.listen_apart(left)
    if not left:
        return
    if video is None:
        for position in sorted(left, key=lambda p: (intervals[p].start_s, p)):
            yield call.observation(position, None, call.heard(position))
        return
    for end, faces in call.faces(call.read_in_any_case(video, sorted(left), video=True)):
        yield call.observation(end.position, (end, faces), call.heard(end.position))


class _Call:
    """What `perceive` was called with, and the audio files that it is reading beside the video."""

    def __init__(
        self,
        video: Path | None,
        audios: Sequence[Path | None],
        intervals: Sequence[Interval],
        settings: ReadSettings,
        senses: Senses,
    ) -> None:
        self._video, self._audios = video, audios
        self._intervals, self._settings, self._senses = intervals, settings, senses
        self._listening: dict[Path, Iterator[Event]] = {}
        self._ahead: dict[int, IntervalEnd] = {}
        self._to_come: dict[Path, int] = {}
        self._left = set(range(len(intervals)))

    def listen_apart(self, left: set[int]) -> None:
        """From now on the audio of the video's own file is read for itself, that of the intervals that are left."""
        self._left = set(left)

    def heard(self, position: int) -> IntervalEnd | None:
        """The audio of an interval that has a file of its own for it; None where there is none."""
        path = self._audios[position]
        if path is None:
            return None
        if path not in self._listening:
            same = [p for p, audio in enumerate(self._audios) if audio == path and p in self._left]
            self._listening[path] = self.read_in_any_case(path, same, audio=True)
            self._to_come[path] = len(same)
        with self._senses.stopwatch.stage("audio"):
            while position not in self._ahead:
                end = next(self._listening[path])
                if isinstance(end, IntervalEnd):
                    self._ahead[end.position] = end
                    self._to_come[path] -= 1
            if not self._to_come[path]:
                # To the end, so that the decoder process is free for the next recording: one that is left in the middle
                # of its answer has to be ended.
                next(self._listening[path], None)
        return self._ahead.pop(position)

    def read(
        self, path: Path, positions: Sequence[int], *, video: bool = False, audio: bool = False
    ) -> Iterator[Event]:
        """Events of the intervals at some positions.

        Raises:
            MediaError: The file cannot be read, or not any further.
        """
        settings = replace(
            self._settings,
            video=video,
            audio=audio,
            # A track that is not asked for is not missed either.
            video_track=self._settings.video_track if video else None,
            audio_track=self._settings.audio_track if audio else None,
            glance_interval_ms=None,
        )
        asked = [self._intervals[position] for position in positions]
        with self._senses.decoders.borrowed() as decoder:
            for event in decoder.read_recording(path, asked, settings):
                if isinstance(event, Frame):
                    yield replace(event, intervals=tuple(positions[i] for i in event.intervals))
                elif isinstance(event, IntervalEnd):
                    yield replace(event, position=positions[event.position])

    def read_in_any_case(
        self, path: Path, positions: Sequence[int], *, video: bool = False, audio: bool = False
    ) -> Iterator[Event]:
        """As `read`; where the file cannot be read any further the intervals end there, and their reports say why."""
        frames = dict.fromkeys(positions, 0)
        newest_s = 0.0
        try:
            for event in self.read(path, positions, video=video, audio=audio):
                if isinstance(event, Frame):
                    newest_s = event.requested_s + self._settings.frame_interval_ms / 1000
                    for position in event.intervals:
                        frames[position] += 1
                else:
                    del frames[event.position]
                yield event
        except MediaError as error:
            fault = StreamReport(missing=str(error), unreadable=True)
            for position, count in frames.items():
                interval = self._intervals[position]
                yield IntervalEnd(
                    position=position,
                    end_s=max(interval.start_s, newest_s if count else 0.0)
                    if interval.end_s is None
                    else interval.end_s,
                    samples=NO_SAMPLES,
                    frames=count,
                    video=fault if video else StreamReport(),
                    audio=fault if audio else StreamReport(),
                )

    def faces(self, events: Iterator[Event]) -> Iterator[Seen]:
        """Follows the faces through the frames; an interval comes out when its end and its last crop are there."""
        events = self._senses.stopwatch.each("decode", events)
        for event in events:
            if isinstance(event, Frame):
                break
            yield event, ()  # no frame came before: there is nothing to follow yet
        else:
            return
        ends: dict[int, IntervalEnd] = {}
        found: dict[int, list[FaceCrop]] = defaultdict(list)
        asked: dict[tuple[float, Region | None], tuple[int, ...]] = {}

        def frames() -> Iterator[Frame]:
            for each in chain([event], events):
                if isinstance(each, Frame):
                    asked[each.requested_s, each.region] = each.intervals
                    yield each
                else:
                    ends[each.position] = each

        assert self._senses.tracker is not None
        for crop in self._senses.stopwatch.each("faces", self._senses.tracker.crops(frames())):
            for position in asked.pop((crop.time_s, crop.region)):
                found[position].append(crop)
            for position in [p for p, end in ends.items() if len(found[p]) == end.frames]:
                yield ends.pop(position), tuple(found.pop(position))
        for position, end in ends.items():
            yield end, tuple(found[position])

    def observation(self, position: int, seen: Seen | None, heard: IntervalEnd | None) -> Observation:
        """Puts together what was seen and what was heard."""
        interval = self._intervals[position]
        ends_s = [end.end_s for end in (seen[0] if seen else None, heard) if end is not None]
        end_s = max(ends_s, default=interval.start_s) if interval.end_s is None else interval.end_s
        audio = self._audios[position]
        return Observation(
            position=position,
            start_s=interval.start_s,
            end_s=end_s,
            open_ended=interval.end_s is None,
            faces=seen[1] if seen else (),
            frames_expected=count_frames(interval.start_s, end_s, self._settings.frame_interval_ms),
            samples=heard.samples if heard else NO_SAMPLES,
            video_file=self._video,
            audio_file=audio,
            video=_by_name(seen[0].video, self._video) if seen else StreamReport(),
            audio=_by_name(heard.audio, audio) if heard else StreamReport(),
        )


def _by_name(report: StreamReport, path: Path | None) -> StreamReport:
    """The report with the file's name in place of its path: it is one of many lines about the same folder."""
    if report.missing is None or path is None:
        return report
    missing = report.missing.replace(str(path), path.name)
    return replace(report, missing=missing if path.name in missing else f"{path.name}: {missing}")
