"""Many recordings, in this process or in several."""

import ctypes
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from pathlib import Path
from types import FrameType

import torch

from mme2e.errors import UserError
from mme2e.preparation.pictures import Tracker
from mme2e.preparation.recording import RecordingTask
from mme2e.preparation.worker import Failure, Outcome, TrackerMaker, Workshop
from mme2e.worker_process import deaf_to_interrupts, end_with_parent


def do_recordings(
    tasks: Sequence[RecordingTask], out: Path, jobs: int, make_tracker: TrackerMaker
) -> Generator[Outcome, None, None]:
    """Prepares recordings, in no particular order; closing the iterator ends the workers.

    Args:
        tasks: What to do; all with the same face settings.
        out: Folder of the prepared corpus.
        jobs: Processes; 1 works in this one.
        make_tracker: A function at the top level of a module.

    Raises:
        OSError: The output folder is full or cannot be written.
        UserError: Workers die as soon as they start.
    """
    if not tasks:
        return
    if jobs > 1:
        yield from _do_in_workers(tasks, out, min(jobs, len(tasks)), make_tracker)
        return
    workshop = Workshop(out=out, make_tracker=make_tracker)
    tracker = make_tracker(tasks[0].face)
    for task in tasks:
        yield workshop.attempt(task, tracker)


def _do_in_workers(
    tasks: Sequence[RecordingTask], out: Path, jobs: int, make_tracker: TrackerMaker
) -> Generator[Outcome, None, None]:
    """A worker that dies (of memory, mostly) takes its pool along. The recordings that were in work are then tried
    again one by one; the one that kills its worker again is to blame and is given up.
    """
    pending = deque(tasks)
    while pending:
        suspects = yield from _one_pool(pending, out, jobs, make_tracker)
        guilty = 0
        for suspect in suspects:
            if (yield from _one_pool(deque([suspect]), out, 1, make_tracker)):
                guilty += 1
                yield Failure(recording=suspect.recording, reason="its worker process was killed, twice (memory?)")
        if pending and guilty == len(suspects) == len(tasks) - len(pending):
            raise UserError("worker processes die as soon as they start; --jobs 1 works without them")


def _one_pool(
    pending: deque[RecordingTask], out: Path, jobs: int, make_tracker: TrackerMaker
) -> Generator[Outcome, None, list[RecordingTask]]:
    """Takes tasks from `pending` until it is empty, or a worker dies.

    Returns:
        The tasks that were in work when a worker died.
    """
    context = _context()
    # No Event: a worker that is killed while it looks would leave its lock locked.
    stop = context.RawValue(ctypes.c_bool, False)
    workshop = Workshop(out=out, make_tracker=make_tracker, stop=stop)
    executor = ProcessPoolExecutor(jobs, context, initializer=_start_worker, initargs=(workshop,))
    running: dict[Future[Outcome], RecordingTask] = {}
    try:
        while pending or running:
            while pending and len(running) < jobs:
                with _interrupts_deferred():  # this starts a worker; half of one would complain
                    running[executor.submit(_work, pending[0])] = pending[0]
                pending.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = future.result()
                del running[future]
                yield outcome
    except BrokenProcessPool:
        finished = [future for future in running if future.done() and future.exception() is None]
        yield from (future.result() for future in finished)
        return [task for future, task in running.items() if future not in finished]
    finally:
        stop.value = True
        executor.shutdown(cancel_futures=True)
    return []


def _context() -> BaseContext:
    """Workers are not forked from this process, whose threads (torch, the progress bar) would not survive that, but
    from a server that imports torch once for all of them; where there is none, each worker imports it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mme2e.preparation.pool", "mme2e.faces.tracker"])
    resource_tracker.ensure_running()  # it would unblock the signal
    with deaf_to_interrupts():  # the server, and so its workers: not even while they import
        forkserver.ensure_running()
    return context


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the `with` block."""
    if threading.current_thread() is not threading.main_thread():  # others are not interrupted
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(*came[0])


_in_worker: tuple[Workshop, list[Tracker]]


def _start_worker(workshop: Workshop) -> None:
    global _in_worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent tells the workers what to do
    end_with_parent()
    torch.set_num_threads(1)
    _in_worker = (workshop, [])


def _work(task: RecordingTask) -> Outcome:
    workshop, trackers = _in_worker
    if not trackers:
        trackers.append(workshop.make_tracker(task.face))
    return workshop.attempt(task, trackers[0])
