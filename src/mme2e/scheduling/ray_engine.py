"""Work on a Ray cluster: the machines of a laboratory, or some processes of this one.

Only tasks and outcomes travel, and no more tasks than `jobs` are under way.
"""

import importlib.util
import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from mme2e.errors import UserError
from mme2e.scheduling.job import Job, Killed, Outcome, Task

OBJECT_STORE_BYTES = 80 << 20
"""Of a cluster that is started here: the outcomes are small, and Ray requires 75 MiB at least."""

CONNECT_TIMEOUT_S = 5.0
"""Ray itself tries for half a minute and more, and then ends the process."""

DEATHS_BEFORE_DOUBT = 3
"""Workers, as a multiple of those at work, that may die before the first task is done."""

_LOGGER = logging.getLogger(__name__)


class RayEngine:
    """See `mme2e.scheduling.job.Engine`. Each task takes one core. All machines must have the job's modules.

    Args:
        address: Cluster to join; that of the environment's `RAY_ADDRESS` when None; where there is none either,
            processes are started on this machine, that nobody can reach from outside. In a process that is connected
            to a cluster already, that one is used.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"

    def run(
        self, job: Job[Task, Outcome], tasks: Sequence[Task], jobs: int
    ) -> Generator[Outcome | Killed[Task], None, None]:
        """See `mme2e.scheduling.job.Engine`; a task whose worker was killed is tried again when the others are done.

        Raises:
            UserError: Ray is not installed, there is no cluster at the address, or workers die as soon as they start.
        """
        if not tasks:
            return
        if importlib.util.find_spec("ray") is None:
            raise UserError("--engine ray requires the library ray; install it with: pip install 'mme2e[cluster]'")
        with connected(self._address, jobs):
            killed = yield from _in_flight(job, tasks, jobs)
            for task in killed:
                if (yield from _in_flight(job, [task], 1)):
                    yield Killed(task)


def _in_flight(job: Job[Task, Outcome], tasks: Sequence[Task], jobs: int) -> Generator[Outcome, None, list[Task]]:
    """Does tasks, `jobs` at a time.

    Returns:
        The tasks whose worker was killed.
    """
    import ray

    # Ray would try again at once, and without end when it was for memory.
    work = ray.remote(num_cpus=1, max_retries=0)(_work)
    pending = deque(tasks)
    running: dict[Any, Task] = {}
    killed: list[Task] = []
    nothing_done = True
    try:
        while pending or running:
            while pending and len(running) < jobs:
                task = pending.popleft()
                running[work.remote(job, task)] = task
            for done in ray.wait(list(running))[0]:
                task = running.pop(done)
                try:
                    outcome = ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    raise _cause(error) from error
                except ray.exceptions.RayError as error:  # its worker or its machine died
                    _LOGGER.debug("a worker died", exc_info=error)
                    killed.append(task)
                else:
                    nothing_done = False
                    yield outcome
            if nothing_done and len(killed) >= DEATHS_BEFORE_DOUBT * jobs and pending:
                raise UserError("worker processes die as soon as they start; --engine local --jobs 1 works without")
    finally:
        # Not by force: Ray 2.60 ends this process when a task finishes at the moment at which it is cancelled so. Where
        # the connection is ours its end ends the workers, too.
        for unfinished in running:
            ray.cancel(unfinished, force=False)
    return killed


def _cause(error: Any) -> Exception:
    """What a task raised."""
    if isinstance(error.cause, OSError | UserError):
        return error.cause
    reason = f"{type(error.cause).__name__}: {error.cause}"
    return UserError(f"a worker cannot start ({reason}); all machines must have the same mme2e")


@contextmanager
def connected(address: str, jobs: int) -> Iterator[None]:
    """Connects this process to a cluster for the `with` block; where it is connected already, it stays so.

    Args:
        address: Of a cluster; "local" starts one on this machine, for this process only.
        jobs: Workers of a cluster that is started here.

    Raises:
        UserError: There is no cluster at the address, or none can be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        # Despite its name it says on all systems whether a cluster is more than this machine: 0 listens on 127.0.0.1.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        # Other users of this machine reach that address, too. Ray itself would leave a token in the home folder.
        if "RAY_AUTH_MODE" not in os.environ:
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    elif address != "auto":
        _check_reachable(address)
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        _connect(address, jobs)
        yield
    finally:
        ray.shutdown()


def _connect(address: str, jobs: int) -> None:
    import ray

    own: dict[str, Any] = {
        "num_cpus": jobs,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
    }
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, **(own if address == "local" else {}))
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = "can be started here" if address == "local" else f"can be joined at {address}"
        raise UserError(f"no Ray cluster {where} ({error}); give --ray-address HOST:PORT, or none") from error


def _check_reachable(address: str) -> None:
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), CONNECT_TIMEOUT_S):
            return
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Ray cluster answers at {address} ({error}); give --ray-address HOST:PORT of one that runs"
        ) from error


@lru_cache(maxsize=1)
def _started(job: Any) -> Callable[[Any], Any]:
    return job.start(lambda: False)


def _work(job: Job, task: Any) -> Any:
    """Does one task in a worker; Ray keeps workers, so that each starts a job once."""
    return _started(job)(task)  # type: ignore[arg-type]  # jobs are frozen dataclasses
