"""From any video to emotions, with the signals and settings that the run was trained with."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.data.tokens import token_ids
from mme2e.errors import UserError
from mme2e.faces.detector import FaceDetector
from mme2e.faces.face_crop import FACE_SIZE_PX, FaceCrop
from mme2e.faces.tracker import FaceTracker
from mme2e.inference.result import Emotion, EmotionResult
from mme2e.inference.selected_sites import check_selects, selected_sites
from mme2e.media.audio import SAMPLE_RATE_HZ, read_audio
from mme2e.media.notes import Damage
from mme2e.media.region import Region
from mme2e.media.video import MediaInfo, probe, sample_frames
from mme2e.models.device import resolve_device
from mme2e.runs.folder import LoadedRun, load_run

UTTERANCE_LIMIT_S = 30.0
"""Longer stretches get a note: the models are trained on utterances of a few seconds."""


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    """Which part of which file is asked about."""

    path: Path
    media: MediaInfo
    start_s: float
    end_s: float | None
    region: Region | None
    audio_channel: int | None


@dataclass
class _Evidence:
    """What was found in a file, and what was not."""

    faces: list[FaceCrop] = field(default_factory=list)
    samples: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int16))
    text: str | None = None
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 4)

    @property
    def frames_with_face(self) -> int:
        return sum(face.flag.has_face for face in self.faces)


class Recognizer:
    """A trained run, ready to use; several threads may call it.

    Attributes:
        model: The plain `nn.Module`, in evaluation mode; takes a `Batch`, returns logits (batch, emotions).
        info: What the run folder tells: settings, label names, thresholds.
        tokenizer: Of the text encoder; None where the run has none.
        device: Where the model is.
    """

    def __init__(self, run: LoadedRun, device: torch.device) -> None:
        self.model = run.model.to(device).eval()
        self.info = run.info
        self.tokenizer = run.tokenizer
        self.device = device
        self._detector: FaceDetector | None = None
        self._making_detector = threading.Lock()

    def predict(
        self,
        video: str | Path,
        *,
        transcript: str | None = None,
        start_s: float = 0.0,
        end_s: float | None = None,
        region: Region | None = None,
        audio_channel: int | None = None,
        picture: str | Path | None = None,
    ) -> EmotionResult:
        """Recognises the emotions of one stretch of a file, taken as one utterance.

        What is not there (no sound, no face, no words) is left out, and the result says so.

        Args:
            video: Any file with a picture, with sound, or both.
            transcript: The words that are spoken; None or blank when not known.
            start_s: Start of the stretch, seconds.
            end_s: End of the stretch, seconds; the end of the file when None.
            region: Part of the picture with the speaker; the whole picture when None.
            audio_channel: Channel with the speaker's voice, from 0; all are mixed when None.
            picture: PNG, SVG or PDF to draw, of the sites that MESM kept of each face crop and mel chunk.

        Raises:
            MediaError: The file cannot be read.
            UserError: The model reads hand-crafted features; the stretch is empty, or nothing that the model uses is
                in it; or a picture is wanted of a model that selects no sites, or under a name that cannot be written.
        """
        if self.info.model.hand_crafted:
            raise UserError(
                f"{self.info.model.name} reads hand-crafted features, not recordings: make them with 'mme2e features' "
                "and score them with 'mme2e evaluate', or predict with a run of fe2e or mesm"
            )
        path = Path(video)
        if picture is not None:
            from mme2e.inference.pictures import check_picture

            check_picture(Path(picture))
            check_selects(self.model)
        if start_s < 0 or (end_s is not None and end_s <= start_s):
            raise UserError(f"start_s {start_s} and end_s {end_s} are no stretch of time: 0 <= start_s < end_s")
        stretch = _Stretch(
            path=path,
            media=probe(path),
            start_s=start_s,
            end_s=end_s,
            region=region,
            audio_channel=audio_channel,
        )
        evidence = _Evidence()
        with evidence.timed("faces"):
            self._find_faces(evidence, stretch)
        with evidence.timed("sound"):
            self._find_sound(evidence, stretch)
        self._find_words(evidence, transcript)
        used = tuple(
            name for name in ("text", "acoustic", "visual") if self._uses(name) and name not in evidence.missing
        )
        if not used:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in evidence.missing.items())
            raise UserError(f"{path.name}: nothing to recognise emotions from ({reasons})")
        with evidence.timed("model"):
            batch = self._batch(evidence)
            sites = None if picture is None else selected_sites(self.model, batch)
            emotions = self.decide((self._logits(batch) if sites is None else sites.logits)[0])
        end_s = _end_of(evidence, stretch)
        if end_s - start_s > UTTERANCE_LIMIT_S:
            evidence.notes.append(
                f"{end_s - start_s:.0f} s taken as one utterance; the model was trained on utterances of a few seconds"
            )
        if picture is not None and sites is not None:
            from mme2e.inference.pictures import Caption, draw_selection

            caption = Caption(
                source=path.name,
                start_s=start_s,
                end_s=end_s,
                words=evidence.text,
                emotions=emotions,
                frame_times_s=tuple(face.time_s for face in evidence.faces) if "visual" in used else (),
                missing=evidence.missing,
            )
            draw_selection(Path(picture), sites=sites, batch=batch, caption=caption)
        return EmotionResult(
            source=path.name,
            start_s=start_s,
            end_s=end_s,
            emotions=emotions,
            frames=len(evidence.faces),
            frames_with_face=evidence.frames_with_face,
            used=used,
            missing=evidence.missing,
            notes=tuple(evidence.notes),
            seconds=evidence.seconds,
        )

    def _uses(self, modality: str) -> bool:
        return modality[0] in self.info.model.modalities

    def _find_faces(self, evidence: _Evidence, stretch: _Stretch) -> None:
        if not self._uses("visual"):
            evidence.missing["visual"] = "the model was trained without it"
            return
        if not stretch.media.has_video:
            evidence.missing["visual"] = "the file has no picture"
            return
        with self._making_detector:
            if self._detector is None:
                self._detector = FaceDetector(self.info.face, device=self.device)
        damage = Damage()
        frames = sample_frames(
            stretch.path,
            self.info.frame_interval_ms,
            start_s=stretch.start_s,
            end_s=stretch.end_s,
            region=stretch.region,
            damage=damage,
        )
        evidence.faces = list(FaceTracker(self._detector).crops(frames))
        if damage:
            evidence.notes.append(f"the video is damaged: {damage}")
        if not evidence.faces:
            evidence.missing["visual"] = "no frame in this stretch"
        elif not evidence.frames_with_face:
            evidence.missing["visual"] = f"no face in {len(evidence.faces)} frames"

    def _find_sound(self, evidence: _Evidence, stretch: _Stretch) -> None:
        if not self._uses("acoustic"):
            evidence.missing["acoustic"] = "the model was trained without it"
        elif not stretch.media.has_audio:
            evidence.missing["acoustic"] = "the file has no sound"
        else:
            evidence.samples = read_audio(
                stretch.path, start_s=stretch.start_s, end_s=stretch.end_s, channel=stretch.audio_channel
            )
            if not len(evidence.samples):
                evidence.missing["acoustic"] = "no sound in this stretch"

    def _find_words(self, evidence: _Evidence, transcript: str | None) -> None:
        if not self._uses("text"):
            evidence.missing["text"] = "the model was trained without it"
        elif not (transcript or "").strip():
            evidence.missing["text"] = "no transcript was given"
        elif self.tokenizer is None:
            raise UserError(
                "this run has no tokenizer; import it with a --text-model that has one, or give no transcript"
            )
        else:
            evidence.text = (transcript or "").strip()

    def _batch(self, evidence: _Evidence) -> Batch:
        crops = torch.zeros(0, 3, FACE_SIZE_PX, FACE_SIZE_PX, dtype=torch.uint8)
        if "visual" not in evidence.missing:
            crops = torch.from_numpy(np.stack([face.crop for face in evidence.faces])).permute(0, 3, 1, 2)
        tokens = None
        if evidence.text is not None and self.tokenizer is not None:
            ids = token_ids(self.tokenizer, evidence.text, max_length=self.info.model.text.max_length)
            tokens = Ragged.join([torch.tensor(ids, dtype=torch.int64)])
        batch = Batch(
            face_crops=Ragged.join([crops]),
            waveforms=Ragged.join([torch.from_numpy(evidence.samples)]),
            tokens=tokens,
        )
        return batch.to(self.device).with_mel_chunks()

    @torch.inference_mode()
    def _logits(self, batch: Batch) -> torch.Tensor:
        return self.model(batch)

    def decide(self, logits: torch.Tensor) -> tuple[Emotion, ...]:
        """As evaluation decides: strictly above the threshold, or the most probable one for runs trained with `ce`.

        Args:
            logits: (emotions,) of one utterance.
        """
        logits = logits.float()
        probabilities = (logits.softmax(dim=0) if self.info.loss == "ce" else logits.sigmoid()).tolist()
        thresholds: tuple[float | None, ...] = self.info.thresholds or (0.5,) * len(probabilities)
        if self.info.loss == "ce":
            thresholds = (None,) * len(probabilities)
        highest = probabilities.index(max(probabilities))
        return tuple(
            Emotion(
                name=name,
                probability=probability,
                threshold=threshold,
                present=probability > threshold if threshold is not None else place == highest,
            )
            for place, (name, probability, threshold) in enumerate(
                zip(self.info.label_names, probabilities, thresholds, strict=True)
            )
        )


def _end_of(evidence: _Evidence, stretch: _Stretch) -> float:
    """Where the stretch really ended: asked for, told by the file, or by what was found in it."""
    told_s = stretch.media.duration_s
    if stretch.end_s is not None:
        return stretch.end_s if told_s is None else min(stretch.end_s, told_s)
    sound_end_s = stretch.start_s + len(evidence.samples) / SAMPLE_RATE_HZ
    return told_s if told_s is not None else max([sound_end_s, *(face.time_s for face in evidence.faces)])


def load(run: str | Path, *, device: str = "auto") -> Recognizer:
    """Loads a run folder.

    Args:
        run: Folder written by `mme2e train` or `mme2e import-checkpoint`.
        device: "auto" (CUDA when present), "cpu", "cuda", "cuda:1", ...

    Raises:
        UserError: The folder is no run, or is damaged; or the device does not exist.
    """
    chosen = resolve_device(device)
    return Recognizer(load_run(Path(run), device="cpu"), chosen)
