"""One recording to rows: the faces, the audio and the text of its utterances."""

import io
import zlib
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mme2e.config import MODALITIES, FaceSettings
from mme2e.corpora.utterance import Utterance
from mme2e.media.audio import encode_flac
from mme2e.media.recording import Interval, ReadSettings
from mme2e.perception.observation import Note, Observation, Quality
from mme2e.perception.perceive import Senses, perceive
from mme2e.perception.stills import perceive_stills

PNG_LEVEL = 1
"""Least effort: three times as fast as zlib's default and a twentieth larger on face crops."""

PNG_STRATEGY = zlib.Z_RLE
"""Only runs of one byte are looked for: on face crops a seventh faster than zlib's default, and a fiftieth smaller."""


@dataclass(frozen=True, kw_only=True)
class RecordingTask:
    """One unit of work.

    Attributes:
        recording: Its id.
        utterances: All of its utterances, with splits.
        frame_interval_ms: Time between two sampled frames.
        face: How faces are found.
        modalities: Letters t, a, v of those that any utterance of the corpus has; that the others are missing is
            reported once for the corpus, and not again for every utterance.
        label_names: Of the corpus, in their order.
    """

    recording: str
    utterances: tuple[Utterance, ...]
    frame_interval_ms: int
    face: FaceSettings
    modalities: str = MODALITIES
    label_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PreparedUtterance:
    """An utterance and what became of it.

    Attributes:
        utterance: As the corpus reader gave it.
        row: For `ROW_SCHEMA`; None when neither video nor audio nor text is left.
        faults: What is missing or incomplete, a line each.
        remarks: What is worth knowing of it, a line each.
        unreadable: Whether a fault is owed to a file that is damaged or cannot be read.
        frames_with_face: Sampled frames in which a face was seen.
    """

    utterance: Utterance
    row: dict[str, object] | None
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    unreadable: bool = False
    frames_with_face: int = 0


def prepare_utterances(task: RecordingTask, senses: Senses) -> Generator[PreparedUtterance, None, None]:
    """Prepares the utterances of one recording, each exactly once, in the order in which they are complete.

    A video is read in one pass, whatever the regions that show its speakers. Still frames belong to one utterance each.
    An utterance without an end ends with the longest of its files; text alone takes no time.
    """
    groups: dict[tuple[Path | None, ReadSettings], list[Utterance]] = defaultdict(list)
    for utterance in sorted(task.utterances, key=lambda u: (u.start_s, u.id)):
        if utterance.end_s is not None and utterance.end_s <= utterance.start_s:
            reason = f"it ends at {utterance.end_s:g} s, not after its start at {utterance.start_s:g} s"
            yield PreparedUtterance(utterance=utterance, row=None, faults=(reason,))
        elif utterance.video is None and utterance.images:
            observation = perceive_stills(
                utterance.images,
                utterance.images_per_s,
                utterance.audio,
                _interval(utterance),
                _settings(utterance, task),
                senses,
                face_crop=utterance.face_crop,
            )
            yield _prepared(utterance, observation, task, senses)
        else:
            groups[utterance.video, _settings(utterance, task)].append(utterance)
    for (video, settings), members in groups.items():
        yield from _prepared_in_one_pass(video, members, settings, task, senses)


def _prepared_in_one_pass(
    video: Path | None, members: Sequence[Utterance], settings: ReadSettings, task: RecordingTask, senses: Senses
) -> Iterator[PreparedUtterance]:
    audios = [utterance.audio for utterance in members]
    for observation in perceive(video, audios, [_interval(utterance) for utterance in members], settings, senses):
        yield _prepared(members[observation.position], observation, task, senses)


def _interval(utterance: Utterance) -> Interval:
    return Interval(
        start_s=utterance.start_s,
        end_s=utterance.end_s,
        region=utterance.region,
        audio_channel=utterance.audio_channel,
    )


def _settings(utterance: Utterance, task: RecordingTask) -> ReadSettings:
    return ReadSettings(
        frame_interval_ms=task.frame_interval_ms,
        video_track=utterance.video_track,
        audio_track=utterance.audio_track,
        square_pixels=utterance.square_pixels and task.face.mode != "reference",
    )


def modalities_of(utterance: Utterance) -> str:
    """Letters of the modalities that a corpus gives for an utterance, some of t, a, v."""
    given = {"t": _text(utterance), "a": utterance.audio, "v": utterance.video or utterance.images}
    return "".join(letter for letter, source in given.items() if source)


def _text(utterance: Utterance) -> str | None:
    return utterance.text if utterance.text and utterance.text.strip() else None


def _prepared(utterance: Utterance, observation: Observation, task: RecordingTask, senses: Senses) -> PreparedUtterance:
    if utterance.end_s is None and observation.starts_after_its_files:
        at = "" if observation.files_end_s is None else f" at {observation.files_end_s:g} s,"
        reason = f"its files end{at} before its start at {utterance.start_s:g} s"
        return PreparedUtterance(utterance=utterance, row=None, faults=(reason,))
    notes = observation.notes
    lacking = [note for note in notes if note.quality is not Quality.REMARK]
    faults = {letter: str(note) for letter in "va" for note in lacking if note.modality[0] == letter}
    absent = {
        "v": (utterance.video or utterance.images, "video missing: the corpus has none of it"),
        "a": (utterance.audio, "audio missing: the corpus has none of it"),
        "t": (_text(utterance), "text missing: no transcript"),
    }
    faults |= {letter: reason for letter, (source, reason) in absent.items() if not source}
    row = _row(utterance, observation, task, senses)
    if row is not None:
        reported = task.modalities + modalities_of(utterance)
        faults = {letter: reason for letter, reason in faults.items() if letter in reported}
    return PreparedUtterance(
        utterance=utterance,
        row=row,
        faults=tuple(faults[letter] for letter in "vat" if letter in faults),
        remarks=tuple(str(note) for note in notes if note.quality is Quality.REMARK),
        unreadable=any(_is_fault_of_a_file(note, utterance) for note in lacking),
        frames_with_face=observation.frames_with_face,
    )


def _is_fault_of_a_file(note: Note, utterance: Utterance) -> bool:
    """Whether a file is not what the corpus says; that a video is silent is none."""
    silent_video = note.modality == "acoustic" and utterance.audio == utterance.video
    return note.unreadable or (note.no_track and not silent_video)


def _row(
    utterance: Utterance, observation: Observation, task: RecordingTask, senses: Senses
) -> dict[str, object] | None:
    """The row; None where nothing is left of the utterance."""
    text = _text(utterance)
    if observation.is_empty and text is None:
        return None
    with senses.stopwatch.stage("encode"):
        crops = [encode_png(face.crop) for face in observation.faces]
        audio = encode_flac(observation.samples) if len(observation.samples) else None
    with senses.stopwatch.stage("audio"):
        statistics = None if audio is None else _mel_statistics(observation.samples)
    return {
        "id": utterance.id,
        "recording": utterance.recording,
        "speaker": utterance.speaker,
        "start_s": utterance.start_s,
        "end_s": observation.end_s,
        "text": text,
        "labels": list(utterance.labels),
        "face_crops": crops,
        "face_times_s": [face.time_s for face in observation.faces],
        "face_flags": [int(face.flag) for face in observation.faces],
        "face_boxes": [[float(edge) for edge in face.box] for face in observation.faces],
        "audio": audio,
        "num_samples": len(observation.samples),
        "mel_statistics": statistics,
        "votes": _votes(utterance, task.label_names),
    }


def _mel_statistics(samples: np.ndarray) -> list[float]:
    from mme2e.media.mel_statistics import statistics_of  # torch: of no use to a corpus without audio

    return statistics_of(samples)


def _votes(utterance: Utterance, label_names: tuple[str, ...]) -> list[float] | None:
    votes = dict(utterance.votes)
    return [votes.get(name, 0.0) for name in label_names] if votes else None


def needs_a_detector(utterance: Utterance) -> bool:
    """Whether faces are looked for in its video or its images."""
    return utterance.video is not None or (bool(utterance.images) and not utterance.face_crop)


def encode_png(crop: np.ndarray) -> bytes:
    """Packs a crop, (48, 48, 3) uint8 RGB, into a PNG file."""
    file = io.BytesIO()
    Image.fromarray(crop).save(file, "png", compress_level=PNG_LEVEL, compress_type=PNG_STRATEGY)
    return file.getvalue()
