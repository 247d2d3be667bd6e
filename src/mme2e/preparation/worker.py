"""Doing one recording from beginning to end, whatever happens to it."""

import errno
import functools
import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from mme2e.config import FaceSettings
from mme2e.corpora.utterance import Skipped, Utterance
from mme2e.data.schema import PROGRESS_FOLDER
from mme2e.errors import UserError
from mme2e.faces.face_crop import FaceCrop
from mme2e.media.video import Frame
from mme2e.perception.decoders import Decoders
from mme2e.perception.perceive import Senses, Tracker
from mme2e.perception.stopwatch import Stopwatch
from mme2e.preparation.journal import SETTINGS_FILE, Journal, RecordingEntry, fingerprint
from mme2e.preparation.recording import RecordingTask, prepare_utterances
from mme2e.preparation.writer import RowWriter
from mme2e.scheduling.cores import a_core_for_the_decoder
from mme2e.scheduling.job import StoppedError

OUTPUT_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EIO,
}
"""The output folder's troubles: they hit every recording, so that going on is no use. Media that cannot be read are
`MediaError`s, so that these are of writing."""

TrackerMaker = Callable[[FaceSettings], Tracker]

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A recording that could not be done; it is tried again by the next call.

    Attributes:
        recording: Its id.
        reason: One line for people.
    """

    recording: str
    reason: str


Outcome = RecordingEntry | Failure


class _NoTracker:
    """In place of a tracker where no face is looked for."""

    def crops(self, frames: Iterable[Frame]) -> Iterator[FaceCrop]:
        raise AssertionError("a face is looked for, and there is no detector")


def no_tracker(settings: FaceSettings) -> Tracker:
    """A `TrackerMaker` for recordings of which all are text, audio and face crops: no detector is loaded."""
    return _NoTracker()


@dataclass(frozen=True, kw_only=True)
class RecordingWorker:
    """Does recordings, in whatever process; a job of `mme2e.scheduling`.

    Attributes:
        out: Folder of the prepared corpus.
        face: How faces are found.
        make_tracker: Loads the face detector, or does not (`no_tracker`); called once a process.
    """

    out: Path
    face: FaceSettings
    make_tracker: TrackerMaker

    @property
    def preload(self) -> tuple[str, ...]:
        """What every worker imports."""
        return (__name__,) if self.make_tracker is no_tracker else (__name__, "mme2e.faces.tracker")

    def start(self, stopped: Callable[[], bool] | None) -> Callable[[RecordingTask], Outcome]:
        """Loads the face detector; see `mme2e.scheduling.job.Job`."""
        import torch

        tracker, decoders = self.make_tracker(self.face), Decoders()
        if stopped is not None:  # each worker has one core
            torch.set_num_threads(1)
            return lambda task: self._attempt(task, tracker, decoders, stopped)

        def attempt(task: RecordingTask) -> Outcome:
            with a_core_for_the_decoder():
                return self._attempt(task, tracker, decoders, lambda: False)

        return attempt

    def _attempt(
        self, task: RecordingTask, tracker: Tracker, decoders: Decoders, stopped: Callable[[], bool]
    ) -> Outcome:
        """`_do`, except that what goes wrong with one recording does not end the work on the others.

        Raises:
            OSError: The output folder is full or cannot be written.
            StoppedError: The worker is to end.
        """
        try:
            return self._do(task, tracker, decoders, stopped)
        except Exception as error:
            if isinstance(error, StoppedError) or (isinstance(error, OSError) and error.errno in OUTPUT_ERRORS):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            _LOGGER.debug("recording %s failed", task.recording, exc_info=error)
            return Failure(recording=task.recording, reason=reason)

    def _do(
        self, task: RecordingTask, tracker: Tracker, decoders: Decoders, stopped: Callable[[], bool]
    ) -> RecordingEntry:
        """Prepares one recording and writes its rows and its entry in the journal."""
        journal = Journal(self.out)
        journal.forget(task.recording)
        stopwatch = Stopwatch()
        before = fingerprint(task)
        reported: list[Skipped] = []
        remarks: Counter[str] = Counter()
        unreadable = frames = frames_with_face = 0
        speech_s = 0.0
        senses = Senses(tracker=tracker, decoders=decoders, stopwatch=stopwatch)
        with RowWriter(self.out, task.recording) as writer, closing(prepare_utterances(task, senses)) as utterances:
            for prepared in utterances:
                if stopped():
                    raise StoppedError
                row, utterance = prepared.row, prepared.utterance
                remarks.update(prepared.remarks)
                unreadable += prepared.unreadable
                if prepared.faults:
                    reason = "; ".join(prepared.faults)
                    reported.append(Skipped(item=utterance.id, reason=reason if row else f"left out: {reason}"))
                if row is not None:
                    with stopwatch.stage("write"):
                        writer.write(utterance.split, row)
                    frames += len(row["face_flags"])  # type: ignore[arg-type]
                    frames_with_face += prepared.frames_with_face
                    speech_s += row["end_s"] - row["start_s"]  # type: ignore[operator]
        total = len(task.utterances)
        for remark, count in remarks.items():
            reported.append(Skipped(item=task.recording, reason=f"{remark} ({count} of {total} utterances)"))
        entry = RecordingEntry(
            recording=task.recording,
            fingerprint=before,
            counts=writer.counts,
            sizes_bytes=writer.sizes_bytes,
            reported=tuple(reported),
            unreadable=unreadable,
            speech_s=speech_s,
            frames=frames,
            frames_with_face=frames_with_face,
            stage_s=stopwatch.seconds,
        )
        journal.add(entry)
        return entry


@dataclass(frozen=True, kw_only=True)
class SharedRecording:
    """A recording for a worker on another machine, which must see the same files.

    Attributes:
        task: With absolute paths: workers have another working folder.
        fingerprint: Of the files as they are here.
    """

    task: RecordingTask
    fingerprint: str

    @classmethod
    def of(cls, task: RecordingTask) -> "SharedRecording":
        """A task, made ready to travel."""

        def absolute(utterance: Utterance) -> Utterance:
            return replace(
                utterance,
                video=utterance.video and utterance.video.absolute(),
                images=tuple(image.absolute() for image in utterance.images),
                audio=utterance.audio and utterance.audio.absolute(),
            )

        task = replace(task, utterances=tuple(map(absolute, task.utterances)))
        return cls(task=task, fingerprint=fingerprint(task))


@dataclass(frozen=True)
class SharedFolderWorker:
    """A `RecordingWorker` on another machine: it refuses to work where the folders are not the same."""

    worker: RecordingWorker

    @property
    def preload(self) -> tuple[str, ...]:
        """What every worker imports."""
        return self.worker.preload

    def start(self, stopped: Callable[[], bool] | None) -> Callable[[SharedRecording], Outcome]:
        """See `mme2e.scheduling.job.Job`; what it returns raises `UserError` where a folder is not shared."""
        started = functools.cache(lambda: self.worker.start(stopped))  # not before the folders are seen

        def checked(shared: SharedRecording) -> Outcome:
            seen = (self.worker.out / PROGRESS_FOLDER / SETTINGS_FILE).is_file()
            if not seen or fingerprint(shared.task) != shared.fingerprint:
                what = f"the files of recording {shared.task.recording}" if seen else f"the folder {self.worker.out}"
                raise UserError(
                    f"machine {socket.gethostname()} does not see {what} as they are here; shared folders are required"
                )
            return started()(shared.task)

        return checked
