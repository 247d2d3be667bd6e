"""Many recordings on a Ray cluster: the machines of a laboratory, or some processes of this one.

Workers write their rows and their entries in the journal straight into the shared output folder, as the processes of
`mme2e.preparation.pool` do. Only the small entries travel to the driver, and no more tasks than `jobs` are under way.
"""

import importlib.util
import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch

from mme2e.config import FaceSettings
from mme2e.corpora.utterance import Utterance
from mme2e.data.schema import PROGRESS_FOLDER
from mme2e.errors import UserError
from mme2e.preparation.journal import SETTINGS_FILE, fingerprint
from mme2e.preparation.pictures import Tracker
from mme2e.preparation.recording import RecordingTask
from mme2e.preparation.worker import Failure, Outcome, TrackerMaker, Workshop

OBJECT_STORE_BYTES = 80 << 20
"""Of a cluster that is started here: the entries are small, and Ray wants 75 MiB at least."""

CONNECT_TIMEOUT_S = 5.0
"""Ray itself tries for half a minute and more, and then ends the process."""

DEATHS_BEFORE_DOUBT = 3
"""Workers, as a multiple of those at work, that may die before the first recording is done."""

_LOGGER = logging.getLogger(__name__)


def do_recordings_on_ray(
    tasks: Sequence[RecordingTask], out: Path, jobs: int, make_tracker: TrackerMaker, *, address: str | None = None
) -> Generator[Outcome, None, None]:
    """Prepares recordings, in no particular order; closing the iterator ends the workers.

    A recording whose worker was killed (for memory, mostly) is tried again when the others are done, alone; the one
    that kills its worker again is given up.

    Args:
        tasks: What to do; all with the same face settings. Every machine must see their files and `out` at the same
            paths.
        out: Folder of the prepared corpus.
        jobs: Recordings in work at once; one core each.
        make_tracker: A function at the top level of a module that all machines have.
        address: Cluster to join; that of the environment's `RAY_ADDRESS` when None; where there is none either,
            processes are started on this machine, that nobody can reach from outside. In a process that is connected
            to a cluster already, that one is used.

    Raises:
        OSError: The output folder is full or cannot be written.
        UserError: Ray is not installed, there is no cluster at the address, a machine does not see the files, or
            workers die as soon as they start.
    """
    if not tasks:
        return
    if importlib.util.find_spec("ray") is None:
        raise UserError("--engine ray wants the library ray; install it with: pip install 'mme2e[cluster]'")
    tasks = [_with_absolute_paths(task) for task in tasks]
    workshop = Workshop(out=out.absolute(), make_tracker=make_tracker)
    with connected(address or os.environ.get("RAY_ADDRESS") or "local", jobs):
        killed = yield from _in_flight(tasks, workshop, jobs)
        for task in killed:
            if (yield from _in_flight([task], workshop, 1)):
                yield Failure(recording=task.recording, reason="its worker process was killed, twice (memory?)")


def _in_flight(
    tasks: Sequence[RecordingTask], workshop: Workshop, jobs: int
) -> Generator[Outcome, None, list[RecordingTask]]:
    """Does tasks, `jobs` at a time.

    Returns:
        The tasks whose worker was killed.
    """
    import ray

    # Ray would try again at once, and without end when it was for memory.
    work = ray.remote(num_cpus=1, max_retries=0)(_work)
    pending = deque(tasks)
    running: dict[Any, RecordingTask] = {}
    killed: list[RecordingTask] = []
    nothing_done = True
    try:
        while pending or running:
            while pending and len(running) < jobs:
                task = pending.popleft()
                running[work.remote(workshop, task, fingerprint(task))] = task
            for done in ray.wait(list(running))[0]:
                task = running.pop(done)
                outcome = _outcome(done)
                if outcome is None:
                    killed.append(task)
                else:
                    nothing_done = False
                    yield outcome
            if nothing_done and len(killed) >= DEATHS_BEFORE_DOUBT * jobs and pending:
                raise UserError("worker processes die as soon as they start; --engine local --jobs 1 works without")
    finally:
        for unfinished in running:
            ray.cancel(unfinished, force=True)
    return killed


def _outcome(done: Any) -> Outcome | None:
    """The result of a task; None when its worker or its machine died."""
    import ray

    try:
        outcome = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, OSError | UserError):
            raise error.cause from error
        reason = f"{type(error.cause).__name__}: {error.cause}"
        raise UserError(f"a worker cannot begin ({reason}); wanted is the same mme2e on all machines") from error
    except ray.exceptions.RayError as error:
        _LOGGER.debug("a worker died", exc_info=error)
        return None
    if isinstance(outcome, Failure):  # what the worker logged stays on its machine
        _LOGGER.error("recording %s failed: %s", outcome.recording, outcome.reason)
    return outcome


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
        # Despite its name it tells on all systems whether a cluster is more than this machine: 0 listens on 127.0.0.1.
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
        raise UserError(f"no Ray cluster {where} ({error}); wanted is --ray-address HOST:PORT, or none") from error


def _check_reachable(address: str) -> None:
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), CONNECT_TIMEOUT_S):
            return
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Ray cluster answers at {address} ({error}); wanted is --ray-address HOST:PORT of one that runs"
        ) from error


def _with_absolute_paths(task: RecordingTask) -> RecordingTask:
    """Workers have another working folder."""

    def absolute(utterance: Utterance) -> Utterance:
        return replace(
            utterance,
            video=utterance.video and utterance.video.absolute(),
            images=tuple(image.absolute() for image in utterance.images),
            audio=utterance.audio and utterance.audio.absolute(),
        )

    return replace(task, utterances=tuple(map(absolute, task.utterances)))


@lru_cache(maxsize=1)
def _tracker(make_tracker: TrackerMaker, face: FaceSettings) -> Tracker:
    torch.set_num_threads(1)
    return make_tracker(face)


def _work(workshop: Workshop, task: RecordingTask, expected: str) -> Outcome:
    """Does one recording in a worker; Ray keeps workers, so that each loads the detector once."""
    settings_path = workshop.out / PROGRESS_FOLDER / SETTINGS_FILE
    if not settings_path.is_file() or fingerprint(task) != expected:
        what = f"the files of recording {task.recording}" if settings_path.is_file() else f"the folder {workshop.out}"
        raise UserError(
            f"machine {socket.gethostname()} does not see {what} as they are here; wanted are shared folders"
        )
    return workshop.attempt(task, _tracker(workshop.make_tracker, task.face))
