"""Work in this process, or in several on this machine."""

import ctypes
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from typing import Any

from mme2e import interrupts
from mme2e.errors import UserError
from mme2e.scheduling.job import Job, Killed, Outcome, Task
from mme2e.scheduling.worker_process import end_with_parent


class LocalEngine:
    """See `mme2e.scheduling.job.Engine`. A single job works in this process, and dies with it."""

    def run(
        self, job: Job[Task, Outcome], tasks: Sequence[Task], jobs: int
    ) -> Generator[Outcome | Killed[Task], None, None]:
        """See `mme2e.scheduling.job.Engine`."""
        jobs = min(jobs, len(tasks))
        if jobs > 1:
            yield from _run_in_workers(job, tasks, jobs)
        elif tasks:
            do = job.start(None)
            for task in tasks:
                yield do(task)


def _run_in_workers(
    job: Job[Task, Outcome], tasks: Sequence[Task], jobs: int
) -> Generator[Outcome | Killed[Task], None, None]:
    """A worker that dies takes its pool along. The tasks that were in work are then tried again one by one; the one
    that kills its worker again is to blame and is given up.
    """
    pending = deque(tasks)
    while pending:
        suspects = yield from _one_pool(job, pending, jobs)
        guilty = 0
        for suspect in suspects:
            if (yield from _one_pool(job, deque([suspect]), 1)):
                guilty += 1
                yield Killed(suspect)
        if pending and guilty == len(suspects) == len(tasks) - len(pending):
            raise UserError("worker processes die as soon as they start; --jobs 1 works without them")


def _one_pool(job: Job[Task, Outcome], pending: deque[Task], jobs: int) -> Generator[Outcome, None, list[Task]]:
    """Takes tasks from `pending` until it is empty, or a worker dies.

    Returns:
        The tasks that were in work when a worker died.
    """
    context = _context(job.preload)
    # No Event: a worker that is killed while it looks would leave its lock locked.
    stop = context.RawValue(ctypes.c_bool, False)
    executor = ProcessPoolExecutor(jobs, context, initializer=_start_worker, initargs=(job, stop))
    running: dict[Future[Outcome], Task] = {}
    try:
        while pending or running:
            while pending and len(running) < jobs:
                with interrupts.deferred():  # this starts a worker; half of one would complain
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


def _context(preload: tuple[str, ...]) -> BaseContext:
    """Workers are not forked from this process, whose threads (torch, the progress bar) would not survive that, but
    from a server that imports torch once for all of them; where there is none, each worker imports it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *preload])
    resource_tracker.ensure_running()  # it would unblock the signal
    with interrupts.blocked():  # the server, and so its workers: not even while they import
        forkserver.ensure_running()
    return context


_in_worker: tuple[Job, ctypes.c_bool, list[Callable[[Any], Any]]]


def _start_worker(job: Job, stop: ctypes.c_bool) -> None:
    global _in_worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent stops the workers
    end_with_parent()
    _in_worker = (job, stop, [])


def _work(task: Any) -> Any:
    job, stop, started = _in_worker
    if not started:  # not when the process starts, where an error would be no more than a dead process
        started.append(job.start(lambda: bool(stop.value)))
    return started[0](task)
