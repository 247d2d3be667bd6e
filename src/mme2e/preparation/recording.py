"""One recording to rows: its faces, its sound, its words."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mme2e.config import MODALITIES, FaceSettings
from mme2e.corpora.utterance import Utterance
from mme2e.errors import MediaError
from mme2e.media.audio import SAMPLE_RATE_HZ, encode_flac, read_audio
from mme2e.media.video import probe
from mme2e.preparation.pictures import Picture, Tracker, pictures
from mme2e.preparation.stills import still_picture, stills_duration_s
from mme2e.preparation.stopwatch import Stopwatch

SHORT_S = 0.5
"""Sound that ends this much before its utterance is reported; annotators' ends are not more exact."""


@dataclass(frozen=True, kw_only=True)
class RecordingTask:
    """One unit of work.

    Attributes:
        recording: Its id.
        utterances: All of its utterances, with splits.
        frame_interval_ms: Time between two sampled frames.
        face: How faces are found.
        modalities: Letters t, a, v of those that any utterance of the corpus has; of the others it is told once for
            the corpus that they are missing, and not again for every utterance.
    """

    recording: str
    utterances: tuple[Utterance, ...]
    frame_interval_ms: int
    face: FaceSettings
    modalities: str = MODALITIES


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is missing of an utterance.

    Attributes:
        reason: One line for people.
        modality: t, a or v; empty when it concerns all of them.
        unreadable: Whether a file is damaged or cannot be read, as opposed to not being there or ending early.
    """

    reason: str
    modality: str = ""
    unreadable: bool = False


@dataclass(frozen=True, kw_only=True)
class PreparedUtterance:
    """An utterance and what became of it.

    Attributes:
        utterance: As the corpus reader gave it.
        row: For `ROW_SCHEMA`; None when neither picture nor sound nor words are left.
        problems: What is missing.
    """

    utterance: Utterance
    row: dict[str, object] | None
    problems: list[Problem] = field(default_factory=list)


def prepare_utterances(task: RecordingTask, tracker: Tracker, stopwatch: Stopwatch) -> Iterator[PreparedUtterance]:
    """Prepares the utterances of one recording, each exactly once, in the order in which they are complete.

    A video is read in one pass, whatever the regions that show its speakers. Still frames belong to one utterance each.

    An utterance without an end ends with the longest of its files; words alone take no time.
    """
    groups: dict[Path | None, list[tuple[Utterance, float]]] = defaultdict(list)
    for utterance in sorted(task.utterances, key=lambda u: (u.start_s, u.id)):
        end_s = utterance.end_s if utterance.end_s is not None else _end_of_files_s(utterance, task.frame_interval_ms)
        if end_s is not None and end_s <= utterance.start_s:
            problem = Problem(reason=f"it ends at {end_s:g} s, not after its start")
            yield PreparedUtterance(utterance=utterance, row=None, problems=[problem])
        else:
            end_s = utterance.start_s if end_s is None else end_s
            groups[utterance.video].append((utterance, end_s))
    for video, members in groups.items():
        found: Iterable[tuple[int, Picture]]
        if video is None:
            found = (
                (position, still_picture(utterance, end_s, task.frame_interval_ms, tracker, stopwatch))
                for position, (utterance, end_s) in enumerate(members)
            )
        else:
            intervals = [(utterance.region, utterance.start_s, end_s) for utterance, end_s in members]
            found = pictures(video, intervals, task.frame_interval_ms, tracker, stopwatch)
        for position, picture in found:
            prepared = _combine(*members[position], picture, stopwatch)
            if prepared.row is not None:
                given = task.modalities + modalities_of(prepared.utterance)
                told = [problem for problem in prepared.problems if problem.modality in given]
                prepared = replace(prepared, problems=told)
            yield prepared


def modalities_of(utterance: Utterance) -> str:
    """Letters of the modalities that a corpus gives for an utterance, some of t, a, v."""
    given = {"t": _words(utterance), "a": utterance.audio, "v": utterance.video or utterance.images}
    return "".join(letter for letter, source in given.items() if source)


def _combine(utterance: Utterance, end_s: float, picture: Picture, stopwatch: Stopwatch) -> PreparedUtterance:
    with stopwatch.stage("audio"):
        samples, sound_problem = _read_sound(utterance, end_s)
    with stopwatch.stage("encode"):
        audio = encode_flac(samples) if len(samples) else None
    problems = [problem for problem in (_picture_problem(utterance, picture), sound_problem) if problem is not None]
    text = _words(utterance)
    if text is None:
        problems.append(Problem(modality="t", reason="words missing: no transcript"))
    if not picture.crops and audio is None and text is None:
        return PreparedUtterance(utterance=utterance, row=None, problems=problems)
    row = {
        "id": utterance.id,
        "recording": utterance.recording,
        "speaker": utterance.speaker,
        "start_s": utterance.start_s,
        "end_s": end_s,
        "text": text,
        "labels": list(utterance.labels),
        "face_crops": picture.crops,
        "face_times_s": picture.times_s,
        "face_flags": picture.flags,
        "face_boxes": picture.boxes,
        "audio": audio,
        "num_samples": len(samples),
    }
    return PreparedUtterance(utterance=utterance, row=row, problems=problems)


def _words(utterance: Utterance) -> str | None:
    return utterance.text if utterance.text and utterance.text.strip() else None


def _picture_problem(utterance: Utterance, picture: Picture) -> Problem | None:
    found = len(picture.crops)
    if utterance.video is None and not utterance.images:
        return Problem(modality="v", reason="picture missing: the corpus has no video of it")
    if utterance.video is None:
        return _stills_problem(picture)
    name = utterance.video.name
    damage = f"{name} is damaged: {picture.damage}" if picture.damage else None
    if found == picture.wanted and not picture.error:
        return Problem(modality="v", reason=f"picture incomplete: {damage}", unreadable=True) if damage else None
    why = picture.error or damage or f"{name} ends before"
    what = "picture missing" if found == 0 else f"picture cut short, {found} of {picture.wanted} frames"
    return Problem(modality="v", reason=f"{what}: {why}", unreadable=bool(picture.error or damage))


def _stills_problem(picture: Picture) -> Problem | None:
    found = len(picture.crops)
    if found == picture.wanted:
        return None
    what = "picture missing" if found == 0 else f"picture incomplete, {found} of {picture.wanted} frames"
    return Problem(
        modality="v", reason=f"{what}: {picture.error or 'its images end before'}", unreadable=bool(picture.error)
    )


def _read_sound(utterance: Utterance, end_s: float) -> tuple[np.ndarray, Problem | None]:
    silence = np.zeros(0, dtype=np.int16)
    if utterance.audio is None:
        return silence, Problem(modality="a", reason="sound missing: the corpus has no sound of it")
    try:
        samples = read_audio(utterance.audio, start_s=utterance.start_s, end_s=end_s, channel=utterance.audio_channel)
    except MediaError as error:
        message = str(error).replace(str(utterance.audio), utterance.audio.name)
        return silence, Problem(
            modality="a", reason=f"sound missing: {message}", unreadable=not _is_silent_video(utterance)
        )
    wanted_s, found_s = end_s - utterance.start_s, len(samples) / SAMPLE_RATE_HZ
    if len(samples) == 0:
        return samples, Problem(modality="a", reason=f"sound missing: {utterance.audio.name} ends before")
    if wanted_s - found_s >= SHORT_S:
        reason = f"sound cut short, {found_s:.1f} of {wanted_s:.1f} s: {utterance.audio.name} ends before"
        return samples, Problem(modality="a", reason=reason)
    return samples, None


def _is_silent_video(utterance: Utterance) -> bool:
    """Whether the sound was to come from the video's own file, which is in order but has none."""
    if utterance.audio is None or utterance.audio != utterance.video:
        return False
    try:
        return not probe(utterance.audio).has_audio
    except MediaError:
        return False


def _end_of_files_s(utterance: Utterance, frame_interval_ms: float) -> float | None:
    """End of the longest of its files; sound is decoded where no container tells. None when none can be read."""
    ends_s = []
    for path in (utterance.video, utterance.audio):
        if path is not None:
            try:
                ends_s.append(probe(path).duration_s)
            except MediaError:
                continue  # reported when its picture or sound is read
    known_s = [end_s for end_s in ends_s if end_s is not None]
    if not known_s and utterance.audio is not None:
        with suppress(MediaError):  # reported likewise
            samples = read_audio(utterance.audio, start_s=utterance.start_s, channel=utterance.audio_channel)
            known_s = [utterance.start_s + len(samples) / SAMPLE_RATE_HZ] if len(samples) else []
    if utterance.video is None and utterance.images:
        known_s.append(utterance.start_s + stills_duration_s(utterance, frame_interval_ms))
    return max(known_s, default=None)
