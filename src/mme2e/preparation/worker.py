"""Doing one recording from beginning to end, whatever happens to it."""

import ctypes
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mme2e.config import FaceSettings
from mme2e.corpora.utterance import Skipped
from mme2e.faces.face_crop import FaceFlag
from mme2e.preparation.journal import Journal, RecordingEntry, fingerprint
from mme2e.preparation.pictures import Tracker
from mme2e.preparation.recording import RecordingTask, prepare_utterances
from mme2e.preparation.stopwatch import Stopwatch
from mme2e.preparation.writer import RowWriter

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


class StoppedError(Exception):
    """The parent wants this worker to end."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a process needs to do recordings; it is sent to workers.

    Attributes:
        out: Folder of the prepared corpus.
        make_tracker: Loads the face detector; called once a process.
        stop: Its `value` becomes true when workers are to end (a shared ctypes.c_bool); None without workers.
    """

    out: Path
    make_tracker: TrackerMaker
    stop: ctypes.c_bool | None = None

    def do(self, task: RecordingTask, tracker: Tracker) -> RecordingEntry:
        """Prepares one recording and writes its rows and its entry in the journal."""
        journal = Journal(self.out)
        journal.forget(task.recording)
        stopwatch = Stopwatch()
        before = fingerprint(task)
        reported: list[Skipped] = []
        unreadable = frames = frames_with_face = 0
        speech_s = 0.0
        with RowWriter(self.out, task.recording) as writer:
            for prepared in prepare_utterances(task, tracker, stopwatch):
                if self.stop is not None and self.stop.value:
                    raise StoppedError
                row, utterance = prepared.row, prepared.utterance
                if prepared.problems:
                    reason = "; ".join(problem.reason for problem in prepared.problems)
                    reported.append(Skipped(item=utterance.id, reason=reason if row else f"left out: {reason}"))
                    unreadable += any(problem.unreadable for problem in prepared.problems)
                if row is not None:
                    with stopwatch.stage("write"):
                        writer.write(utterance.split, row)
                    flags = row["face_flags"]
                    assert isinstance(flags, list)
                    frames += len(flags)
                    frames_with_face += sum(FaceFlag(flag).has_face for flag in flags)
                    speech_s += row["end_s"] - row["start_s"]  # type: ignore[operator]
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

    def attempt(self, task: RecordingTask, tracker: Tracker) -> Outcome:
        """`do`, except that what goes wrong with one recording does not end the work on the others.

        Raises:
            OSError: The output folder is full or cannot be written.
        """
        try:
            return self.do(task, tracker)
        except Exception as error:
            if isinstance(error, StoppedError) or (isinstance(error, OSError) and error.errno in OUTPUT_ERRORS):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            _LOGGER.error("recording %s failed: %s", task.recording, reason)
            _LOGGER.debug("recording %s failed", task.recording, exc_info=error)
            return Failure(recording=task.recording, reason=reason)
