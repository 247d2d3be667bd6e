"""From any recording to emotions, with the signals and settings that the run was trained with.

In three steps: `Recognizer.perceive` finds faces and audio in a file, `Recognizer.infer` runs the model on them, and
`Recognizer.decide` makes decisions of its logits. `Recognizer.predict` is all three.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from mme2e.config.analysis import DEFAULTS, AnalysisSettings
from mme2e.errors import MediaError, UserError
from mme2e.faces.detector import FaceDetector
from mme2e.faces.tracker import FaceTracker
from mme2e.inference.batching import Inference, infer_segment, infer_segments
from mme2e.inference.model_input import MODALITIES, SegmentInput, normalises_over_recording, segment_input, uses
from mme2e.inference.refusals import require_recordings
from mme2e.inference.result import Emotion, EmotionResult
from mme2e.inference.timeline import ModelIdentity, Timeline
from mme2e.media.mel_statistics import statistics_of
from mme2e.media.recording import Interval, ReadSettings
from mme2e.media.region import Region
from mme2e.models.device import resolve_device
from mme2e.perception.decoders import Decoders
from mme2e.perception.observation import Observation, Quality
from mme2e.perception.perceive import Senses, perceive
from mme2e.perception.stopwatch import Stopwatch
from mme2e.runs.confidence import check_abstain
from mme2e.runs.folder import CARD_FILE, LoadedRun, load_run
from mme2e.runs.info import RunInfo
from mme2e.runs.starter import STARTER, find_run
from mme2e.text_files import printable, read_text

SURROUNDINGS_S = 300.0
"""A model that normalises audio over the recording hears so much of it before and after an interval, so that memory and
time do not follow the recording's length."""

UTTERANCE_LIMIT_S = 30.0
"""Longer stretches get a note: the models are trained on utterances of a few seconds."""


class Recognizer:
    """A trained run, ready to use. Several threads may use it at once.

    Attributes:
        model: The plain `nn.Module`, in evaluation mode; takes a `Batch`, returns logits (batch, emotions).
        info: What the run folder contains: settings, label names, thresholds.
        tokenizer: Of the text encoder; None where the run has none.
        device: Where the model is.
        name: What to call it in answers.
        run: The run, as it was given to `load`.
        card: Its model card in Markdown; empty where it has none.
        abstain_below: Probability below which it does not decide, for runs trained with `ce`.
        decoders: Lend the processes that read files.
    """

    def __init__(
        self,
        run: LoadedRun,
        device: torch.device,
        *,
        name: str = "",
        source: str = "",
        card: str = "",
        abstain_below: float | None = None,
    ) -> None:
        self.model = run.model.to(device).eval()
        self.info = run.info
        self.tokenizer = run.tokenizer
        self.device = device
        self.name, self.run, self.card = name, source, card
        self.abstain_below = run.info.confidence.abstain_below if abstain_below is None else abstain_below
        check_abstain(self.abstain_below)
        self._making_detector = threading.Lock()
        self._detector: FaceDetector | None = None
        self.decoders = Decoders()

    def predict(
        self,
        video: str | Path,
        *,
        transcript: str | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        region: Region | None = None,
        audio_channel: int | None = None,
        video_track: int | None = None,
        audio_track: int | None = None,
    ) -> EmotionResult:
        """Recognises the emotions of one stretch of a recording, taken as one utterance.

        What is not there (no audio, no face, no text) is left out, and the result reports it.

        Args:
            video: Any file with video, with audio, or both.
            transcript: What is said; None or blank when not known.
            start_s: Start of the stretch, seconds.
            end_s: End of the stretch, seconds; the end of the recording when None.
            region: Part of the frame with the speaker; the whole frame when None.
            audio_channel: Channel with the speaker's voice, from 0; all are mixed when None.
            video_track: Number among the video tracks, from 0; the one that a player takes when None.
            audio_track: The same of the audio tracks.

        Raises:
            MediaError: The file cannot be read, or what was asked for by region, channel or track is not in it.
            UserError: The model reads hand-crafted features, or requires a transcript; the stretch is empty or starts
                after the end of the recording, or nothing that the model uses is in it.
        """
        self.require_text(transcript)
        stopwatch = Stopwatch()
        observation = self.perceive(
            video,
            start_s=start_s,
            end_s=end_s,
            region=region,
            audio_channel=audio_channel,
            video_track=video_track,
            audio_track=audio_track,
            stopwatch=stopwatch,
        )
        inference = self.infer(observation, transcript, stopwatch=stopwatch)
        return self.result(Path(video).name, observation, inference, stopwatch)

    def analyze(
        self,
        recording: str | Path,
        settings: AnalysisSettings = DEFAULTS,
        *,
        transcript: str | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
    ) -> Timeline:
        """Recognises who shows which emotion when, in a recording of any length.

        `mme2e.predict` does the same with more options, for many recordings, into files.

        Args:
            recording: Any file with video, with audio, or both.
            settings: How it is cut into segments, and what is found out about each.
            transcript: A file with times (SRT, VTT, ...), or what is said as a text, which makes the recording one
                utterance; None: subtitles beside the recording and in it, if there are any.
            start_s: Where to start, seconds.
            end_s: Where to end; the end of the recording when None.

        Raises:
            MediaError: The file cannot be read.
            UserError: The model reads hand-crafted features, or the transcript is none.
        """
        from mme2e.inference.analyse import Request, analyse
        from mme2e.transcripts.given import given_transcript

        request = Request(
            settings=settings,
            interval=Interval(start_s=start_s, end_s=end_s),
            transcript=None if transcript is None else given_transcript(transcript),
        )
        return analyse(self, Path(recording), request)

    def require_text(self, transcript: str | None) -> None:
        """Refuses a model of which no answer can be had without a transcript, before work is done for it.

        Raises:
            UserError: The model is MESM, which conditions on the text, and there is none.
        """
        if "t" in self.info.model.required_modalities and not (transcript or "").strip():
            raise UserError(
                f"{self.info.model.name} selects what it computes by the transcript, and there is none: give one, or "
                "use a run of fe2e"
            )

    def require_recordings(self) -> None:
        """Refuses a model that reads no recordings.

        Raises:
            UserError: The model reads hand-crafted features.
        """
        require_recordings(self.info)

    def perceive(
        self,
        video: str | Path,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        region: Region | None = None,
        audio_channel: int | None = None,
        video_track: int | None = None,
        audio_track: int | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> Observation:
        """The first step: the faces and the audio of a stretch, as far as the model uses them. Opens the file once.

        Args as in `predict`; `stopwatch` counts the stages.

        Raises:
            MediaError, UserError: As `predict`.
        """
        self.require_recordings()
        if start_s < 0 or (end_s is not None and end_s <= start_s):
            raise UserError(f"start_s {start_s} and end_s {end_s} are not a stretch of time: 0 <= start_s < end_s")
        path = Path(video)
        interval = Interval(start_s=start_s, end_s=end_s, region=region, audio_channel=audio_channel)
        settings = ReadSettings(
            frame_interval_ms=self.info.frame_interval_ms,
            video_track=video_track,
            audio_track=audio_track,
            square_pixels=self.info.face.mode != "reference",
        )
        reads_video, reads_audio = uses(self.info, "visual"), uses(self.info, "acoustic")
        tracker = FaceTracker(self.detector()) if reads_video else None
        senses = Senses(tracker=tracker, decoders=self.decoders, stopwatch=stopwatch or Stopwatch())
        sources = (path if reads_video else None, [path if reads_audio else None])
        (observation,) = perceive(*sources, [interval], settings, senses)
        if not (reads_video or reads_audio):  # of a recording that a model of text does not read: it must be one
            with self.decoders.borrowed() as decoder:
                decoder.probe(path)
        if normalises_over_recording(self.info) and (start_s > 0 or end_s is not None) and len(observation.samples):
            observation = replace(observation, surroundings=self._surroundings(path, interval, settings, senses))
        _check(
            observation,
            path,
            asked={
                "visual": region is not None or video_track is not None,
                "acoustic": audio_channel is not None or audio_track is not None,
            },
        )
        return observation

    def infer(
        self,
        observation: Observation,
        transcript: str | None = None,
        *,
        trace: bool = False,
        stopwatch: Stopwatch | None = None,
    ) -> Inference:
        """The second step: what the model says of what was perceived.

        Args:
            observation: Of `perceive`.
            transcript: What is said; None or blank when not known.
            trace: Whether to keep what the stages of MESM selected.
            stopwatch: Counts the stage "model".

        Raises:
            UserError: There is nothing that the model uses, the model requires a transcript, or `trace` is asked of a
                model that selects nothing.
        """
        self.require_text(transcript)
        with (stopwatch or Stopwatch()).stage("model"):
            segment = self.read(observation, transcript)
            if not segment.used:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in segment.missing.items())
                file = observation.video_file or observation.audio_file
                raise UserError(f"{file.name + ': ' if file else ''}nothing to recognise emotions from ({reasons})")
            return infer_segment(self.model, segment, self.device, trace=trace)

    def read(
        self, observation: Observation, transcript: str | None = None, *, missing: Mapping[str, str] | None = None
    ) -> SegmentInput:
        """What the model reads of a segment, for `infer_many`.

        Args:
            observation: Of `perceive`, or another with the same fields.
            transcript: What is said; None or blank when not known.
            missing: Modality -> why it must not be used, beside what the observation lacks.

        Raises:
            UserError: There is text, and the run reads text but has no tokenizer.
        """
        return segment_input(observation, transcript, self.info, self.tokenizer, missing=missing)

    def can_answer(self, segment: SegmentInput) -> bool:
        """Whether there is anything that the model uses, text included where it requires some."""
        return bool(segment.used) and not ("t" in self.info.model.required_modalities and "text" not in segment.used)

    def infer_many(self, segments: Sequence[SegmentInput]) -> list[Inference | None]:
        """As `infer`, of many segments side by side, which may have different modalities.

        Args:
            segments: Of `read`, any number; several recordings may be among them.

        Returns:
            What `infer` returns of each, in their order; None for those of which `can_answer` is false.
        """
        answers = [self.can_answer(segment) for segment in segments]
        return infer_segments(self.model, segments, self.device, answers=answers)

    def decide(self, logits: Tensor, used: Sequence[str] = MODALITIES) -> tuple[Emotion, ...]:
        """The third step: strictly above the threshold, or the most probable one for runs trained with `ce`, as in
        evaluation; none where that one is less probable than `abstain_below`.

        Args:
            logits: (emotions,) of one utterance.
            used: Modalities that they rest on, which decide the temperature of runs trained with `ce`.
        """
        names = self.info.label_names
        probabilities = self.probabilities(logits, used).tolist()
        if self.info.loss == "ce":
            highest = probabilities.index(max(probabilities))
            decided = [place == highest and not self.is_uncertain(probabilities) for place in range(len(names))]
            thresholds: tuple[float | None, ...] = (None,) * len(names)
        else:
            limits = self.info.thresholds or (0.5,) * len(names)
            decided = [probability > limit for probability, limit in zip(probabilities, limits, strict=True)]
            thresholds = limits
        return tuple(
            Emotion(name=name, probability=probability, threshold=threshold, present=present)
            for name, probability, threshold, present in zip(names, probabilities, thresholds, decided, strict=True)
        )

    def probabilities(self, logits: Tensor, used: Sequence[str] = MODALITIES) -> Tensor:
        """Calibrated probabilities of the emotions.

        Args:
            logits: (..., emotions).
            used: As in `decide`.

        Returns:
            (..., emotions) float32: softmax for runs trained with `ce`, else the sigmoid of each logit.
        """
        if self.info.loss != "ce":
            return logits.float().sigmoid()
        letters = "".join(name[0] for name in used)
        return (logits.float() / self.info.confidence.temperature_of(letters)).softmax(dim=-1)

    def is_uncertain(self, probabilities: Sequence[float]) -> bool:
        """Whether the model abstains, of the probabilities of a run trained with `ce`."""
        return self.info.loss == "ce" and max(probabilities) < self.abstain_below

    def result(
        self, source: str, observation: Observation, inference: Inference, stopwatch: Stopwatch
    ) -> EmotionResult:
        """The decisions and what they rest on.

        Args:
            source: Name of the recording.
            observation: Of `perceive`.
            inference: Of `infer`, for that observation.
            stopwatch: Of both.
        """
        end_s = observation.covered_to_s
        notes = inference.notes
        if end_s - observation.start_s > UTTERANCE_LIMIT_S:
            length = f"{end_s - observation.start_s:.0f} s taken as one utterance"
            notes = (*notes, f"{length}; the model was trained on utterances of a few seconds")
        used = tuple(name for name in MODALITIES if name not in inference.missing)
        emotions = self.decide(inference.logits, used)
        return EmotionResult(
            source=source,
            model=self.name,
            start_s=observation.start_s,
            end_s=end_s,
            emotions=emotions,
            uncertain=self.is_uncertain([emotion.probability for emotion in emotions]),
            frames=len(observation.faces),
            frames_with_face=observation.frames_with_face,
            used=used,
            missing=inference.missing,
            notes=notes,
            seconds={stage: round(seconds, 4) for stage, seconds in stopwatch.seconds.items()},
        )

    def identity(self) -> ModelIdentity:
        """Which model this is, for an answer."""
        return ModelIdentity(
            name=self.name,
            run=self.run,
            weights_sha256=self.info.weights_sha256,
            mme2e=version("mme2e"),
            card=self.card,
        )

    def detector(self) -> FaceDetector:
        """Finds faces; it is loaded by the first call, and all threads share it."""
        with self._making_detector:
            if self._detector is None:
                self._detector = FaceDetector(self.info.face, device=self.device)
            return self._detector

    def _surroundings(
        self, path: Path, interval: Interval, settings: ReadSettings, senses: Senses
    ) -> tuple[float, ...]:
        """Of the audio around an interval: how the speaker and the microphone sound at other times."""
        end_s = None if interval.end_s is None else interval.end_s + SURROUNDINGS_S
        around = replace(interval, start_s=max(0.0, interval.start_s - SURROUNDINGS_S), end_s=end_s, region=None)
        (heard,) = perceive(None, [path], [around], replace(settings, video_track=None), senses)
        return tuple(statistics_of(heard.samples))


def _check(observation: Observation, path: Path, asked: dict[str, bool]) -> None:
    """Refuses an observation without what was asked for.

    Args:
        observation: Of `path`.
        path: The recording.
        asked: Modality -> whether a part of it was chosen by region, channel or track.

    Raises:
        MediaError: The file cannot be read, or has no such part.
        UserError: The stretch starts after the end of the recording.
    """
    unreadable = [note for note in observation.notes if note.quality is Quality.MISSING and note.unreadable]
    for note in unreadable:
        if asked[note.modality] or observation.is_empty:
            raise MediaError(note.reason)
    if observation.starts_after_its_files:
        end_s = observation.files_end_s
        at = "before" if end_s is None else f"at {end_s:.1f} s, before"
        raise UserError(f"{path.name} ends {at} the start of the stretch at {observation.start_s:g} s")


def load(run: str | Path = STARTER, *, device: str = "auto", abstain_below: float | None = None) -> Recognizer:
    """Loads a model.

    Args:
        run: Folder written by `mme2e train` or `mme2e import-checkpoint`; the model that comes with the package when
            not given.
        device: "auto" (CUDA when present), "cpu", "cuda", "cuda:1", ...
        abstain_below: Probability below which the model does not decide; the one chosen with the model when None.

    Raises:
        UserError: The folder is no run, or is damaged; the device does not exist; or the level is no probability.
    """
    chosen = resolve_device(device)
    loaded = load_run(Path(run), device="cpu")
    card = find_run(run) / CARD_FILE
    return Recognizer(
        loaded,
        chosen,
        name=_described(str(run), loaded.info),
        source=printable(str(run)),
        card=read_text(card) if card.is_file() else "",
        abstain_below=abstain_below,
    )


def _described(run: str, info: RunInfo) -> str:
    """One line about a model: which it is, what it reads, what it recognises."""
    return printable(f"{run} ({info.model.name} of '{info.model.modalities}': {', '.join(info.label_names)})")
