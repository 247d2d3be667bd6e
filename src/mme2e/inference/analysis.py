"""A recording of any length to the segments of its timeline, in one pass, as soon as each is known.

    analysis = Analysis(recognizer, Path("talk.mp4"), AnalysisSettings(), transcript=Transcript(...))
    for done in analysis.run(): ...          # groups of segments, in the order of time
    timeline = analysis.timeline()

Audio runs ahead of the video; memory holds the audio that normalises a segment (`SURROUNDINGS_S` on both sides), its
face crops, and nothing of what is over.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.config import AnalysisSettings
from mme2e.faces.face_crop import FaceCrop
from mme2e.faces.people import PeopleTracker, PersonFrame
from mme2e.inference.batching import Inference
from mme2e.inference.model_input import TRAINED_WITHOUT, SegmentInput, normalises_over_recording, uses
from mme2e.inference.people import People, with_largest_alone
from mme2e.inference.quality import audio_flags, face_flags
from mme2e.inference.recognizer import SURROUNDINGS_S, Recognizer
from mme2e.inference.request import WHOLE, Progress
from mme2e.inference.result import Emotion
from mme2e.inference.segments import Planned, is_given, plan
from mme2e.inference.smoothing import smoothed
from mme2e.inference.streams import TILE_S, AudioStream, FaceStream
from mme2e.inference.timeline import Evidence, PersonChoice, Segment, Timeline
from mme2e.media.recording import Interval, ReadSettings, StreamReport
from mme2e.media.video import Frame
from mme2e.perception.active_speaker import loudness, speaker_of
from mme2e.perception.observation import Observation
from mme2e.perception.stopwatch import Stopwatch
from mme2e.records import from_plain, plain
from mme2e.transcripts.cues import Transcript, Turn
from mme2e.transcripts.sentences import sentences

GROUP = 8
"""Segments that go through the model together."""

GLANCE_INTERVAL_MS = 80.0
"""Between two looks at mouths: twelve a second, several for every syllable."""

NOBODY_SPEAKS = "nobody speaks"
SILENT = "the audio is silent"
SOMEBODY_ELSE_SPEAKS = "somebody else speaks"

_LEAST_SHARE = 0.25
"""Of a segment's frames in which a person must be seen to be its speaker, where several are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """A segment with what the model is given for it."""

    planned: Planned
    person: int | None
    chosen_by: PersonChoice | None
    confidence: float | None
    observation: Observation
    flags: tuple[str, ...]
    frames: int
    speaks: bool


class Analysis:
    """The analysis of one recording; for one thread.

    Args:
        recognizer: The model.
        path: File with video, with audio, or both.
        settings: How it is cut into segments, and what is found out about each.
        transcript: What is said, with times; None when not known.
        turns: Who speaks when; empty when not known.
        recognise: Speech recognition: what is said in samples that begin at a time; None where nobody asked.
        interval: Stretch, region and channel to analyse.
        video_track: Number among the video tracks, from 0; the one that a player takes when None.
        audio_track: The same of the audio tracks.
        words_from: Where the words come from.
        progress: What an earlier, interrupted analysis has found.

    Attributes:
        claimed_s: Length that the file claims; None where it claims none.
        reached_s: Up to where segments are known.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        path: Path,
        settings: AnalysisSettings,
        *,
        transcript: Transcript | None = None,
        turns: Sequence[Turn] = (),
        recognise: Callable[[np.ndarray, float], str | None] | None = None,
        interval: Interval = WHOLE,
        video_track: int | None = None,
        audio_track: int | None = None,
        words_from: str = "",
        progress: Progress | None = None,
    ) -> None:
        recognizer.require_recordings()
        self._recognizer, self._path, self._settings = recognizer, path, settings
        self._cues = () if transcript is None else sentences(transcript, settings.longest_s)
        self._remarks = () if transcript is None else transcript.remarks
        self._turns = tuple(turns)
        self._recognise = recognise
        self._interval = interval
        self._words_from = words_from
        self._stopwatch = Stopwatch()
        info = recognizer.info
        self._reads_video, self._reads_audio = uses(info, "visual"), uses(info, "acoustic")
        self._step_ms = float(info.frame_interval_ms)
        self._read = ReadSettings(
            frame_interval_ms=self._step_ms,
            video_track=video_track,
            audio_track=audio_track,
            square_pixels=info.face.mode != "reference",
        )
        with recognizer.decoders.borrowed() as decoder:
            media = decoder.probe(path, video_track=video_track, square_pixels=self._read.square_pixels)
        self.claimed_s = media.duration_s
        self._has_video, self._has_audio = media.has_video, media.has_audio
        self.reached_s = interval.start_s if progress is None else progress.reached_s
        self._noted_s = self.reached_s
        self._segments: list[Segment] = []
        self._people = People(progress, only_largest=not settings.people)
        self._tracker = self._make_tracker(None if progress is None else progress.tracker)
        if progress is not None:
            self._segments = [from_plain(Segment, segment, name="a segment") for segment in progress.segments]
        self._handed_out = len(self._segments)
        self._audio: AudioStream | None = None
        self._faces: FaceStream | None = None
        self._complete = False
        self._duration_s = 0.0

    def _make_tracker(self, state: dict[str, Any] | None) -> "PeopleTracker | _Nobody":
        return PeopleTracker(self._recognizer.detector(), state=state) if self._reads_video else _Nobody()

    def run(self) -> Iterator[tuple[Segment, ...]]:
        """Analyses to the end of the recording.

        Yields:
            Groups of segments as soon as they are known, in the order of their starts.

        Raises:
            MediaError: The file cannot be read at all, or has no such track.
        """
        begin_s = self._interval.start_s
        # Segments that are known beforehand may overlap: the next one may begin as early as the last one that is done.
        given = is_given(self._settings, self._cues)
        done = sum(segment.chosen_by != "asked" for segment in self._segments) if given else 0
        go_on_s = self._segments[-1].start_s if done else self.reached_s
        # The same frames and tiles as without an interruption.
        start = replace(self._interval, start_s=_on_grid(go_on_s, begin_s, self._step_ms / 1000))
        statistics = normalises_over_recording(self._recognizer.info)
        decoders = self._recognizer.decoders
        hears = self._has_audio
        # The audio before it is heard once more after an interruption: it normalises what follows.
        heard_from_s = max(begin_s, start.start_s - SURROUNDINGS_S * statistics)
        audio_from = replace(start, start_s=_on_grid(heard_from_s, begin_s, TILE_S))
        audio = AudioStream(
            self._path if hears else None, decoders, self._read, audio_from, self.claimed_s, statistics=statistics
        )
        read = self._read
        if self._settings.people and hears and self._reads_video:
            read = replace(read, glance_interval_ms=GLANCE_INTERVAL_MS)
        sees = self._reads_video and self._has_video
        faces = FaceStream(self._path if sees else None, decoders, read, start, self.claimed_s, self._tracker)
        if not hears:
            audio.missing = "the file has no audio"
        if self._reads_video and not sees:
            faces.missing = "the file has no video"
        self._audio, self._faces = audio, faces
        try:
            group: list[_Asked] = []
            planned = plan(
                self._settings,
                audio,
                faces,
                self._cues,
                self._recognise,
                begin_s if given else self.reached_s,
                self._interval.end_s,
            )
            first = True
            for segment in self._stopwatch.each("audio", islice(planned, done, None)):
                group += self._perceive(segment)
                # The first answer comes at once; later ones in groups, which the model is quicker with.
                if len(group) >= (1 if first else GROUP):
                    yield self._answer(group)
                    group, first = [], False
            if group:
                yield self._answer(group)
            if not self._segments:
                yield from self._whole(audio, faces)
            self._note_faces(math.inf)
            self._complete = True
            self._duration_s = max(audio.end_s or 0.0, faces.end_s or 0.0, self.reached_s)
        finally:
            audio.close()
            faces.close()

    def _whole(self, audio: AudioStream, faces: FaceStream) -> Iterator[tuple[Segment, ...]]:
        """A recording that is too short for any segment, or a single photograph, is one."""
        start_s = self._interval.start_s
        faces.read_to(np.inf)
        end_s = max(audio.end_s or 0.0, faces.end_s or 0.0, start_s)
        last = faces.frames[-1].time_s if faces.frames else start_s
        asked = self._perceive(Planned(start_s=start_s, end_s=max(end_s, last + 1e-6), kind="whole"))
        if asked:
            yield self._answer([replace(each, planned=replace(each.planned, end_s=end_s)) for each in asked])

    def _perceive(self, planned: Planned) -> list[_Asked]:
        """What is seen and heard in a segment, once for each person that is asked about."""
        assert self._audio is not None
        assert self._faces is not None
        audio, faces = self._audio, self._faces
        start_s, end_s = planned.start_s, planned.end_s
        if normalises_over_recording(self._recognizer.info):
            with self._stopwatch.stage("audio"):
                audio.read_to(end_s + SURROUNDINGS_S)
        with self._stopwatch.stage("faces"):
            faces.read_to(end_s)
        frames = faces.between(start_s, end_s)
        if not frames:  # shorter than the distance of two frames: the one on display
            frames = faces.between(start_s - self._step_ms / 1000, end_s)[-1:]
        if not self._settings.people:
            frames = [with_largest_alone(frame) for frame in frames]
        seen: dict[int, list[FaceCrop]] = defaultdict(list)
        for frame in frames:
            for face in frame.faces:
                seen[face.person].append(face.crop)
        speaks = planned.kind != "no speech"
        turn = self._turn(start_s, end_s)
        if turn and not planned.speaker:
            planned = replace(planned, speaker=turn)
        samples = audio.samples(start_s, end_s)
        person, how, confidence = self._choose(planned, frames, seen, samples, speaks)
        self._note_faces(end_s)
        if person is not None and speaks:
            self._people.spoke(person, end_s - start_s, planned.speaker)
        asked = [self._ask(planned, person, how, confidence, seen, frames, samples, speaks=speaks)]
        if self._settings.per_person:
            for other in sorted(set(seen) - {person}):
                asked.append(
                    self._ask(planned, other, "asked", None, seen, frames, samples, speaks=False, other=speaks)
                )
        forget_s = start_s - 2 * self._settings.longest_s
        faces.forget_before(forget_s)
        audio.forget_before(start_s - SURROUNDINGS_S)
        return asked

    def _choose(
        self,
        planned: Planned,
        frames: Sequence[PersonFrame],
        seen: dict[int, list[FaceCrop]],
        samples: np.ndarray,
        speaks: bool,
    ) -> tuple[int | None, PersonChoice | None, float | None]:
        """Whose face is read."""
        if not seen:
            return None, None, None
        often = {p: crops for p, crops in seen.items() if len(crops) >= _LEAST_SHARE * len(frames)} or seen
        if len(often) == 1:
            return next(iter(often)), "only", 1.0
        largest = max(often, key=lambda p: np.median([_area(crop) for crop in often[p]]))
        if not speaks:
            return largest, "largest", None
        assert self._faces is not None
        motions = self._faces.motion.between(planned.start_s, planned.end_s)
        heard = loudness(samples, start_s=planned.start_s) if len(samples) else None
        choice = speaker_of({person: motion for person, motion in motions.items() if person in often}, heard)
        if choice is None or choice.how == "only":  # of several in sight, the mouth of one at most was seen
            return largest, "largest", 1 / len(often)
        return choice.person, choice.how, choice.confidence

    def _ask(
        self,
        planned: Planned,
        person: int | None,
        how: PersonChoice | None,
        confidence: float | None,
        seen: dict[int, list[FaceCrop]],
        frames: Sequence[PersonFrame],
        samples: np.ndarray,
        *,
        speaks: bool,
        other: bool = False,
    ) -> _Asked:
        assert self._audio is not None
        assert self._faces is not None
        start_s, end_s = planned.start_s, planned.end_s
        crops = tuple(seen[person]) if person is not None else ()
        reports = self._audio.reports(start_s, end_s)
        sound = audio_flags(samples, speech=speaks) if self._has_audio and not other else []
        reason = SOMEBODY_ELSE_SPEAKS if other else NOBODY_SPEAKS
        if speaks:
            reason = SILENT if len(samples) else self._audio.missing or "the audio has ended"
        heard = samples if speaks and self._reads_audio and "silence" not in sound else samples[:0]
        observation = Observation(
            position=0,
            start_s=start_s,
            end_s=end_s,
            faces=crops,
            frames_expected=len(frames),
            samples=heard,
            open_ended=True,  # that a track ends is no news in every segment: the timeline's notes say it
            video_file=self._path if self._reads_video else None,
            audio_file=self._path if self._reads_audio else None,
            video=StreamReport(missing=None if crops else self._no_face(frames)),
            audio=StreamReport(missing=None if len(heard) else reason),
            surroundings=self._audio.statistics(start_s - SURROUNDINGS_S, end_s + SURROUNDINGS_S),
        )
        flags = face_flags(crops) if self._reads_video else []
        flags += ["no speech"] * (not speaks and not other) + sound
        flags += ["no words"] * (speaks and self._has_audio and not planned.text)
        damaged = any(report.damage or report.unreadable for report in reports)
        damaged = damaged or any(start_s <= time_s < end_s for time_s in self._faces.damage)
        flags += ["damage"] * damaged
        if not speaks:
            planned = replace(planned, text=None, speaker="" if other else planned.speaker)
        return _Asked(
            planned=planned,
            person=person,
            chosen_by=how,
            confidence=confidence,
            observation=observation,
            flags=tuple(dict.fromkeys(flags)),
            frames=len(frames),
            speaks=speaks,
        )

    def _no_face(self, frames: Sequence[PersonFrame]) -> str:
        assert self._faces is not None
        if not frames:
            return self._faces.missing or "the video has ended"
        return f"no face in {len(frames)} frames"

    def _answer(self, asked: Sequence[_Asked]) -> tuple[Segment, ...]:
        """The model's answers, one for each that was asked."""
        recognizer = self._recognizer
        inputs = [recognizer.read(each.observation, each.planned.text) for each in asked]
        with self._stopwatch.stage("model"):
            inferences = recognizer.infer_many(inputs)
        reasons: list[Evidence | None] = [None] * len(inputs)
        if self._settings.evidence:
            from mme2e.inference.evidence.evidence import evidence_of  # brings libraries that draw

            with self._stopwatch.stage("evidence"):
                reasons = evidence_of(recognizer, inputs)
        segments = tuple(
            self._segment(each, read, inference, evidence)
            for each, read, inference, evidence in zip(asked, inputs, inferences, reasons, strict=True)
        )
        self._segments += segments
        self.reached_s = max(self.reached_s, *(segment.end_s for segment in segments))
        return segments

    def _segment(
        self, asked: _Asked, read: SegmentInput, inference: Inference | None, evidence: Evidence | None
    ) -> Segment:
        planned, observation = asked.planned, asked.observation
        emotions: tuple[Emotion, ...] = ()
        uncertain, missing = False, dict(read.missing)
        if "text" in missing and uses(self._recognizer.info, "text"):
            missing["text"] = self._no_text(asked)
        used: tuple[str, ...] = ()
        if inference is not None:
            used = read.used
            emotions = self._recognizer.decide(inference.logits, used)
            uncertain = self._recognizer.is_uncertain([emotion.probability for emotion in emotions])
        return Segment(
            start_s=round(planned.start_s, 3),
            end_s=round(planned.end_s, 3),
            kind=planned.kind,
            person=None if asked.person is None else f"person {asked.person}",
            chosen_by=asked.chosen_by,
            choice_confidence=None if asked.confidence is None else round(asked.confidence, 3),
            speaker=planned.speaker,
            text=planned.text,
            emotions=emotions,
            uncertain=uncertain,
            used=used,
            missing=missing,
            flags=asked.flags,
            frames=asked.frames,
            frames_with_face=len(observation.faces),
            notes=read.notes,
            evidence=evidence,
        )

    def _no_text(self, asked: _Asked) -> str:
        if not asked.speaks:
            return NOBODY_SPEAKS if "no speech" in asked.flags else SOMEBODY_ELSE_SPEAKS
        return "no words are known" if self._words_from else "no transcript was given"

    def _turn(self, start_s: float, end_s: float) -> str:
        """Who speaks most of a stretch, by the turns that were given; empty where nobody does."""
        shares: Counter[str] = Counter()
        for turn in self._turns:
            shares[turn.speaker] += max(0.0, min(end_s, turn.end_s) - max(start_s, turn.start_s))  # type: ignore[assignment]
        (name, share) = max(shares.items(), key=lambda each: each[1], default=("", 0.0))
        return name if share > 0 else ""

    def news(self) -> Progress:
        """What was found since the last call."""
        segments, self._handed_out = self._segments[self._handed_out :], len(self._segments)
        return Progress(
            reached_s=self.reached_s,
            segments=tuple(plain(segment) for segment in segments),
            faces=self._people.new_faces(),
            people=self._people.totals(),
            tracker=self._tracker.state(),
        )

    def _note_faces(self, end_s: float) -> None:
        """Keeps where faces are up to a time, also between segments."""
        assert self._faces is not None
        self._people.note(self._faces.between(self._noted_s, end_s))
        self._noted_s = max(self._noted_s, end_s)

    def timeline(self) -> Timeline:
        """The answer as far as it is known."""
        recognizer = self._recognizer
        segments = tuple(self._segments)
        if self._settings.smooth:
            segments = smoothed(segments, self._settings.smooth)
        return Timeline(
            source=self._path.name,
            duration_s=round(max(self._duration_s, self.reached_s), 3),
            label_names=tuple(recognizer.info.label_names),
            model=recognizer.identity(),
            settings=vars(self._settings) | {"abstain_below": recognizer.abstain_below},
            segments=segments,
            people=self._people.records(self._step_ms / 1000, self._tracker.thumbnail),
            words_from=self._words_from,
            notes=self._notes(),
            complete=self._complete,
            seconds={stage: round(seconds, 3) for stage, seconds in self._stopwatch.seconds.items()},
        )

    def _notes(self) -> tuple[str, ...]:
        notes = list(self._remarks)
        for name, stream in (("video", self._faces), ("audio", self._audio)):
            if stream is None:
                continue
            if stream.missing not in (None, TRAINED_WITHOUT):
                notes.append(f"{name}: {stream.missing}")
            notes += [f"{name}: {remark}" for remark in stream.remarks]
        if self._faces is not None and self._faces.damage:
            times = ", ".join(f"{time_s:.1f} s" for time_s in self._faces.damage[:5])
            notes.append(f"video is damaged at {times}{' and later' if len(self._faces.damage) > 5 else ''}")
        last_s = max((cue.end_s for cue in self._cues if cue.end_s is not None), default=0.0)
        if self._complete and last_s > self._duration_s + 1.0 and self._interval.end_s is None:
            notes.append(
                f"the transcript goes on until {last_s:.1f} s, the recording ends at {self._duration_s:.1f} s: is it "
                "of another recording?"
            )
        return tuple(dict.fromkeys(notes))


class _Nobody:
    """In place of a tracker, for models that read no video."""

    def add(self, frame: Frame) -> list[PersonFrame]:
        raise AssertionError("no frame is read")

    def finish(self) -> list[PersonFrame]:
        return []

    def state(self) -> dict[str, Any]:
        return {}

    def thumbnail(self, person: int) -> np.ndarray:
        raise KeyError(person)


def _on_grid(time_s: float, begin_s: float, step_s: float) -> float:
    """The last multiple of a step since a begin that is not after a time."""
    return begin_s + max(0, math.floor((time_s - begin_s) / step_s + 1e-6)) * step_s


def _area(crop: FaceCrop) -> float:
    x1, y1, x2, y2 = crop.box
    return (x2 - x1) * (y2 - y1)
