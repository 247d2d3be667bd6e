"""Recordings one after the other, or on many processes and machines; what is done is kept, and one failure is one."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mme2e.errors import MediaError, UserError
from mme2e.inference.request import OnGroup, Request
from mme2e.inference.timeline import SCHEMA_VERSION, read_timeline
from mme2e.prediction.journal import Done, PartialJournal, fingerprint
from mme2e.prediction.outputs import write_outputs
from mme2e.prediction.recordings import MARK, Recording
from mme2e.prediction.result import Failed, summary_row
from mme2e.scheduling.job import KILLED_TWICE, Killed, StoppedError
from mme2e.scheduling.local import LocalEngine
from mme2e.transcripts.sidecar import find_sidecar

if TYPE_CHECKING:
    from mme2e.inference.recognizer import Recognizer
    from mme2e.transcripts.speech_recognition import Asr

Outcome = Done | Failed


@dataclass(frozen=True, kw_only=True)
class Task:
    """A recording and what its answers are called.

    Attributes:
        path: Its file.
        name: Of its answers.
        key: Its `fingerprint`.
    """

    path: Path
    name: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Analyses recordings, in whatever process; a job of `mme2e.scheduling`. The model is loaded once a process.

    Attributes:
        run: Run folder, or the starter.
        device: Where the model runs.
        abstain: Probability below which it does not decide; None: the one chosen with the model.
        request: How recordings are analysed.
        asr: Model for speech recognition; None without.
        folder: For the answers.
        formats: Of the answers.
    """

    run: str
    device: str
    abstain: float | None
    request: Request
    asr: str | None
    folder: Path
    formats: tuple[str, ...]

    @property
    def preload(self) -> tuple[str, ...]:
        """What every worker imports."""
        return ("mme2e.inference.analysis",)

    def __hash__(self) -> int:  # settings hold dictionaries
        return hash((self.run, self.folder, self.formats))

    def start(self, stopped: Callable[[], bool] | None) -> Callable[[Task], Outcome]:
        """Loads the model; see `mme2e.scheduling.job.Job`."""
        import torch

        recognizer, asr = self.loaded()
        if stopped is not None:  # each worker has one core
            torch.set_num_threads(1)
        ends = stopped or (lambda: False)

        def check(*_: object) -> None:
            if ends():
                raise StoppedError

        return lambda task: self.attempt(task, recognizer, asr, check)

    def loaded(self) -> "tuple[Recognizer, Asr | None]":
        """The model, and that for speech recognition."""
        from mme2e.inference.recognizer import load

        recognizer = load(self.run, device=self.device, abstain_below=self.abstain)
        recognizer.require_recordings()
        if self.asr is None:
            return recognizer, None
        from mme2e.transcripts.speech_recognition import Asr

        return recognizer, Asr(self.asr, device=self.device)

    def attempt(self, task: Task, recognizer: "Recognizer", asr: "Asr | None", on_group: OnGroup) -> Outcome:
        """Analyses a recording and writes its answers; what is wrong with it does not end the work on the others.

        Raises:
            OSError: The folder is full or cannot be written.
        """
        from mme2e.inference.analyse import analyse

        journal = PartialJournal(self.folder, task.name, task.key)
        try:
            timeline = analyse(recognizer, task.path, self.request, asr=asr, journal=journal, on_group=on_group)
        except (MediaError, UserError) as error:
            journal.remove()
            return Failed(source=str(task.path), reason=" ".join(str(error).split()))
        except (RuntimeError, MemoryError) as error:  # a device's memory: what was found is kept for another try
            return Failed(source=str(task.path), reason=" ".join(f"{type(error).__name__}: {error}".split()))
        try:
            files = write_outputs(timeline, self.folder, task.name, self.formats, task.path)
        except UserError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from error
            raise
        return Done(name=task.name, key=task.key, row=summary_row(timeline), files=tuple(file.name for file in files))


def tasks_of(recordings: Sequence[Recording], request: Request, worker: Worker, weights: str) -> list[Task]:
    """What is to be done; a recording that has vanished keeps its place, and fails when it is read."""
    what = [request, worker.run, worker.abstain, worker.asr, worker.formats, weights, version("mme2e"), SCHEMA_VERSION]
    tasks = []
    for each in recordings:
        sidecar = find_sidecar(each.path) if request.look_for_words and request.transcript is None else None
        try:
            key = fingerprint([each.path] if sidecar is None else [each.path, sidecar], what)
        except OSError:
            key = ""
        tasks.append(Task(path=each.path.absolute(), name=each.name, key=key))
    return tasks


def run_all(
    worker: Worker, tasks: Sequence[Task], engine: Literal["local", "ray"], jobs: int, ray_address: str | None
) -> Generator[Outcome, None, None]:
    """Does tasks, in no particular order; closing the iterator ends the workers."""
    if engine == "ray":
        from mme2e.scheduling.ray_engine import RayEngine

        outcomes = RayEngine(ray_address).run(worker, tasks, jobs)
    else:
        outcomes = LocalEngine().run(worker, tasks, jobs)
    with closing(outcomes):
        for outcome in outcomes:
            if isinstance(outcome, Killed):
                yield Failed(source=str(outcome.task.path), reason=KILLED_TWICE)
            else:
                yield outcome


def kept_timeline(folder: Path, name: str) -> Any:
    """The timeline of a recording that is done, from its file."""
    return read_timeline(folder / f"{name}{MARK}.json")
