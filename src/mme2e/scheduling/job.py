"""What an engine does for whom: the interface of `local` and `ray_engine`."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")
_Given = TypeVar("_Given", contravariant=True)
_Made = TypeVar("_Made", covariant=True)

KILLED_TWICE = "its worker process was killed, twice (memory?)"


class Job(Protocol[_Given, _Made]):
    """Work that is done task by task. It is sent to worker processes: it and its tasks must be picklable, and hashable
    for Ray.
    """

    @property
    def preload(self) -> tuple[str, ...]:
        """Modules that each worker needs; imported once for all of them where the system can fork."""
        ...

    def start(self, stopped: Callable[[], bool] | None) -> Callable[[_Given], _Made]:
        """Called once in each process that works.

        Args:
            stopped: Says whether the worker is to end; None in the process that called the engine.

        Returns:
            Does one task.
        """
        ...


@dataclass(frozen=True)
class Killed(Generic[Task]):
    """A task that is given up: its worker was killed (for memory, mostly), twice, the second time alone.

    Attributes:
        task: It.
    """

    task: Task


class StoppedError(Exception):
    """A worker is to end before its task is done."""


class Engine(Protocol):
    """Does the tasks of a job."""

    def run(
        self, job: Job[Task, Outcome], tasks: Sequence[Task], jobs: int
    ) -> Generator[Outcome | Killed[Task], None, None]:
        """Does tasks, in no particular order; closing the iterator ends the workers.

        What a task raises is raised here. A worker that is killed costs its task only: this is tried once more, alone.

        Args:
            job: What is to be done.
            tasks: With what.
            jobs: Tasks in work at once.

        Yields:
            An outcome, or `Killed`, for each task.

        Raises:
            UserError: Workers die as soon as they start.
        """
        ...
