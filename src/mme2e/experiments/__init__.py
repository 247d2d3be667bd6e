"""Experiments: many runs, one table."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme2e.experiments.experiment import ExperimentResult, run_experiment
    from mme2e.experiments.file import read_experiment

__all__ = ["ExperimentResult", "read_experiment", "run_experiment"]

_HOMES = {"ExperimentResult": "experiment", "read_experiment": "file", "run_experiment": "experiment"}


def __getattr__(name: str) -> object:
    # Lazy: a file is read without torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
