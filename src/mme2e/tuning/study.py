"""The study of a search: an Optuna study in a file, which survives that the process is killed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mme2e.atomic import write_text
from mme2e.config.search import PrunerSettings, SearchSettings
from mme2e.errors import UserError
from mme2e.locking import locked
from mme2e.records import load, plain, to_yaml

if TYPE_CHECKING:
    import optuna

STUDY_FILE = "study.db"
SETTINGS_FILE = "search.yaml"
LOCK_FILE = ".lock"
REASON = "reason"
"""Attribute of a failed trial that is not repeated: why it failed."""

QUEUED = "fixed_params"
"""Optuna's attribute of a trial that `enqueue_trial` made: its parameters."""


def require_optuna() -> None:
    """Makes sure that Optuna is there, and keeps its own messages away.

    Raises:
        UserError: It is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError("mme2e search requires Optuna: pip install 'mme2e[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextmanager
def opened_study(out: Path, settings: SearchSettings, corpus: str) -> Iterator["optuna.Study"]:
    """The study in a folder, new or taken up again; within the `with` block it is this process' own.

    Trials that were running when the process was killed are marked failed and repeated first.

    Args:
        out: Folder of the search.
        settings: Must be those that the search was started with.
        corpus: Name and fingerprint; likewise.

    Raises:
        UserError: The folder holds something else, another search, or one that is running; or cannot be written.
    """
    taken = f"another 'mme2e search' is working in {out}: wait for its end, or give another --out"
    with ExitStack() as lock:
        try:
            if out.exists() and not (out / SETTINGS_FILE).is_file() and (not out.is_dir() or any(out.iterdir())):
                raise UserError(f"{out} exists, is not empty and holds no search: give another --out")
            out.mkdir(parents=True, exist_ok=True)
            lock.enter_context(locked(out / LOCK_FILE, taken))
        except OSError as error:
            raise UserError(f"cannot write to {out} ({error.strerror})") from error
        _check_same(out / SETTINGS_FILE, {"corpus": corpus, **asdict(settings)})
        yield from _open(out, settings)


def _open(out: Path, settings: SearchSettings) -> Iterator["optuna.Study"]:
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{(out / STUDY_FILE).resolve()}")
    try:
        study = optuna.create_study(
            storage=storage,
            study_name="search",
            direction="minimize" if settings.objective == "valid_loss" else "maximize",
            pruner=_pruner(settings.pruner),
            load_if_exists=True,
        )
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            repeat_later(study, trial)
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def repeat_later(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
    """Marks a trial that was cut off as failed, and queues its point; one that is done is left as it is."""
    from optuna.trial import TrialState

    if trial.state.is_finished():
        return
    # One that came from the queue may have been cut off before it took up its parameters.
    parameters = {**trial.system_attrs.get(QUEUED, {}), **trial.params}
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    # Being killed between the two calls below must not queue it twice.
    if all(each.system_attrs.get(QUEUED) != parameters for each in waiting):
        study.enqueue_trial(parameters)
    study.tell(trial.number, state=TrialState.FAIL)


def settled_trials(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    """Trials that are done: completed, given up, or failed by their own settings. Those cut off are not."""
    from optuna.trial import TrialState

    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (trial.state == TrialState.FAIL and REASON in trial.user_attrs)
    ]


def make_sampler(seed: int, settled: int) -> "optuna.samplers.BaseSampler":
    """Suggests the next trial; a function of the seed and the trials before it, so that resuming changes nothing.

    Args:
        seed: Of the search.
        settled: How many trials are done.
    """
    import optuna

    state = int(np.random.SeedSequence([seed, settled]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=state)


def _pruner(settings: PrunerSettings) -> "optuna.pruners.BasePruner":
    import optuna

    if settings.name == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(
        n_startup_trials=settings.startup_trials,
        n_warmup_steps=settings.warmup_epochs,
    )


def _check_same(path: Path, content: dict[str, Any]) -> None:
    """Writes down what a search is begun with, or compares with what is there.

    Raises:
        UserError: It differs; the keys are named.
    """
    if not path.is_file():
        write_text(path, to_yaml(content))
        return
    now = plain(content)
    try:
        before = load(path)
    except UserError as error:
        raise UserError(f"{path} {error}; give another --out") from error
    if before != now:
        others = ", ".join(_differing(before, now))
        raise UserError(f"{path.parent} holds a search that was started with another {others}: give another --out")


def _differing(one: Any, other: Any, prefix: str = "") -> list[str]:
    """Keys, with dots, under which two trees differ."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if one == other else [prefix or "content"]
    dot = f"{prefix}." if prefix else ""
    keys = sorted(one.keys() | other.keys())
    return [found for key in keys for found in _differing(one.get(key), other.get(key), f"{dot}{key}")]
