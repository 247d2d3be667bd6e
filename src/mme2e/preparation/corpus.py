"""Preparing a corpus: what is to do, doing it, `corpus.json`."""

import logging
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from mme2e.config import MODALITIES, MODALITY_NAMES, FaceSettings, PrepareSettings
from mme2e.corpora.splits import assign_splits
from mme2e.corpora.utterance import RawCorpus, Skipped, first_reason
from mme2e.data.schema import CORPUS_FILE, CorpusInfo
from mme2e.errors import UserError
from mme2e.media.audio import SAMPLE_RATE_HZ
from mme2e.perception.perceive import Tracker
from mme2e.preparation.journal import Journal, RecordingEntry
from mme2e.preparation.recording import RecordingTask, modalities_of, needs_a_detector
from mme2e.preparation.summary import PrepareSummary, recording_progress
from mme2e.preparation.worker import (
    OUTPUT_ERRORS,
    Failure,
    Outcome,
    RecordingWorker,
    SharedFolderWorker,
    SharedRecording,
    TrackerMaker,
    no_tracker,
)
from mme2e.preparation.writer import FOLDERS
from mme2e.scheduling.job import KILLED_TWICE, Killed
from mme2e.scheduling.local import LocalEngine
from mme2e.text_files import printable

_LOGGER = logging.getLogger(__name__)


def make_face_tracker(settings: FaceSettings) -> Tracker:
    """Loads the face detector of this package."""
    from mme2e.faces.detector import FaceDetector
    from mme2e.faces.tracker import FaceTracker

    return FaceTracker(FaceDetector(settings))


def prepare_corpus(
    corpus: RawCorpus,
    out: Path,
    settings: PrepareSettings,
    *,
    source: str,
    make_tracker: TrackerMaker = make_face_tracker,
) -> PrepareSummary:
    """Finds the faces, cuts the audio and writes everything to Parquet, in parallel over recordings.

    Can be interrupted at any moment and called again: recordings that are done are kept as long as settings and
    inputs are the same. A progress bar runs on standard error.

    Args:
        corpus: What a corpus reader returned; `settings.split` gives them splits.
        out: Folder of the prepared corpus; new, empty, or of an earlier call with the same settings.
        settings: How to prepare.
        source: Name of the raw corpus' folder, for the provenance.
        make_tracker: Makes the face tracker from the face settings, in each worker; a function at the top level of
            a module.

    Raises:
        UserError: The corpus is empty, nothing of it can be used, `out` belongs to something else, is in work, was
            prepared with other settings or by a newer version, or cannot be written (a full disk: what was done is
            kept); Ray is not installed, or its cluster cannot be reached.
    """
    started_s = monotonic()
    corpus = _with_splits(corpus, settings)
    tasks = _tasks(corpus, settings)
    journal = Journal(out)
    try:
        with journal.opened(_fixed_settings(corpus, settings)):
            entries, failures, already = _do_what_is_missing(tasks, journal, settings, make_tracker)
            in_order = [entries[task.recording] for task in tasks if task.recording in entries]
            info = _corpus_info(corpus, settings, source, in_order, failures)
            _write_if_new(info, out)
    except OSError as error:
        if error.errno not in OUTPUT_ERRORS:
            raise
        raise UserError(
            f"cannot write to {out} ({error.strerror}); what was prepared is kept: make room, then call again"
        ) from error
    new = [entry for entry in in_order if entry.recording not in already]
    return PrepareSummary(
        folder=out,
        counts=info.counts,
        listed=corpus.listed,
        done=sum(sum(entry.counts.values()) for entry in new),
        already_done=sum(info.counts.values()) - sum(sum(entry.counts.values()) for entry in new),
        skipped=tuple(Skipped(**item) for item in info.skipped),
        failed=len(failures) + sum(entry.unreadable for entry in in_order),
        video_s=sum(entry.speech_s for entry in new),
        elapsed_s=monotonic() - started_s,
        frames=sum(entry.frames for entry in in_order),
        frames_with_face=sum(entry.frames_with_face for entry in in_order),
        stage_s=_sums(entry.stage_s for entry in new),
    )


def _do_what_is_missing(
    tasks: list[RecordingTask], journal: Journal, settings: PrepareSettings, make_tracker: TrackerMaker
) -> tuple[dict[str, RecordingEntry], list[Failure], set[str]]:
    """Returns all entries by recording, what failed, and which recordings had been done before."""
    journal.keep_only(task.recording for task in tasks)
    known = journal.entries()
    entries = {
        task.recording: known[task.recording]
        for task in tasks
        if task.recording in known and journal.is_done(known[task.recording], task)
    }
    already = set(entries)
    todo = [task for task in tasks if task.recording not in already]
    for task in todo:
        journal.forget(task.recording)
    failures: list[Failure] = []
    with (
        recording_progress(total=len(tasks), done=len(already)) as advance,
        closing(_outcomes(todo, journal.out, settings, make_tracker)) as outcomes,
    ):
        for outcome in outcomes:
            advance(outcome)
            if isinstance(outcome, Failure):
                _LOGGER.error("recording %s failed: %s", outcome.recording, outcome.reason)
                failures.append(outcome)
            else:
                entries[outcome.recording] = outcome
    return entries, failures, already


def _outcomes(
    tasks: list[RecordingTask], out: Path, settings: PrepareSettings, make_tracker: TrackerMaker
) -> Generator[Outcome, None, None]:
    """Does the recordings, in no particular order; closing the iterator ends the workers."""
    if not any(needs_a_detector(utterance) for task in tasks for utterance in task.utterances):
        make_tracker = no_tracker
    if settings.engine == "ray":
        from mme2e.scheduling.ray_engine import RayEngine

        worker = RecordingWorker(out=out.absolute(), face=settings.face, make_tracker=make_tracker)
        shared = [SharedRecording.of(task) for task in tasks]
        with closing(RayEngine(settings.ray_address).run(SharedFolderWorker(worker), shared, settings.jobs)) as done:
            for each in done:
                yield _killed(each.task.task.recording) if isinstance(each, Killed) else each
        return
    worker = RecordingWorker(out=out, face=settings.face, make_tracker=make_tracker)
    with closing(LocalEngine().run(worker, tasks, settings.jobs)) as outcomes:
        for outcome in outcomes:
            yield _killed(outcome.task.recording) if isinstance(outcome, Killed) else outcome


def _killed(recording: str) -> Failure:
    return Failure(recording=recording, reason=KILLED_TWICE)


def _with_splits(corpus: RawCorpus, settings: PrepareSettings) -> RawCorpus:
    if not corpus.utterances:
        raise UserError(f"the corpus '{corpus.name}' has no usable utterances{first_reason(corpus.skipped)}")
    ids = Counter(utterance.id for utterance in corpus.utterances)
    twice = [id_ for id_, count in ids.items() if count > 1]
    if twice:
        raise UserError(f"utterance ids must be unique; {len(twice)} come more than once, like '{twice[0]}'")
    return assign_splits(corpus, settings.split, None if settings.splits is None else Path(settings.splits))


def _tasks(corpus: RawCorpus, settings: PrepareSettings) -> list[RecordingTask]:
    recordings = defaultdict(list)
    modalities = _modalities(corpus)
    for utterance in corpus.utterances:
        recordings[utterance.recording].append(utterance)
    return [
        RecordingTask(
            recording=recording,
            utterances=tuple(utterances),
            frame_interval_ms=settings.frame_interval_ms,
            face=settings.face,
            modalities=modalities,
            label_names=corpus.label_names,
        )
        for recording, utterances in recordings.items()
    ]


def _modalities(corpus: RawCorpus) -> str:
    """Letters of the modalities that any utterance has."""
    given = {letter for utterance in corpus.utterances for letter in modalities_of(utterance)}
    return "".join(letter for letter in MODALITIES if letter in given)


def _fixed_settings(corpus: RawCorpus, settings: PrepareSettings) -> dict[str, object]:
    """What all rows of a prepared corpus have in common, under the names that the user knows."""
    return {
        "corpus": corpus.name,
        "label_names": ", ".join(corpus.label_names),
        "frame_interval_ms": settings.frame_interval_ms,
        "face.mode": settings.face.mode,
        "face.margin": settings.face.margin,
        "split protocol": corpus.split_protocol,
    }


def _corpus_info(
    corpus: RawCorpus,
    settings: PrepareSettings,
    source: str,
    entries: list[RecordingEntry],
    failures: list[Failure],
) -> CorpusInfo:
    counts: Counter[str] = Counter()
    for entry in entries:
        counts.update(entry.counts)
    skipped = [*corpus.skipped, *(item for entry in entries for item in entry.reported)]
    skipped += [Skipped(item=failure.recording, reason=f"recording failed: {failure.reason}") for failure in failures]
    lacking = [word for letter, word in MODALITY_NAMES.items() if letter not in _modalities(corpus)]
    skipped += [Skipped(item=corpus.name, reason=f"{word} missing: no utterance has any") for word in lacking]
    if not counts:
        raise UserError(
            f"none of the {len(corpus.utterances)} utterances of {source} could be prepared{first_reason(skipped)}"
        )
    chosen = asdict(settings)
    for where in ("engine", "ray_address", "jobs"):  # of no matter for the result
        del chosen[where]
    chosen["splits"] = None if settings.splits is None else printable(settings.splits)
    return CorpusInfo(
        name=corpus.name,
        label_names=corpus.label_names,
        multi_label=corpus.multi_label,
        frame_interval_ms=settings.frame_interval_ms,
        sample_rate_hz=SAMPLE_RATE_HZ,
        split_protocol=corpus.split_protocol,
        provenance={
            "mme2e": version("mme2e"),
            "source": printable(source),
            "settings": chosen,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        counts={split: counts[split] for split in FOLDERS if counts[split]},
        skipped=tuple(asdict(item) for item in skipped),
    )


def _write_if_new(info: CorpusInfo, out: Path) -> None:
    """Leaves `corpus.json` alone when only its date would change: preparing twice is preparing once."""
    if (out / CORPUS_FILE).is_file():
        try:
            old = CorpusInfo.read(out)
        except UserError:  # damaged: written anew
            old = None
        if old is not None:
            today = {**info.provenance, "date": old.provenance.get("date")}
            if replace(info, provenance=today) == old:
                return
    info.write(out)


def _sums(seconds: Iterable[dict[str, float]]) -> dict[str, float]:
    sums: Counter[str] = Counter()
    for stages in seconds:
        sums.update(stages)
    return dict(sums)
