"""Metrics, thresholds, costs and their tables."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme2e.evaluation.benchmark_result import BenchmarkResult
    from mme2e.evaluation.benchmark_run import benchmark
    from mme2e.evaluation.result import Evaluation
    from mme2e.evaluation.score_run import evaluate
    from mme2e.evaluation.tables import compare, print_evaluation

__all__ = ["BenchmarkResult", "Evaluation", "benchmark", "compare", "evaluate", "print_evaluation"]

_HOMES = {
    "BenchmarkResult": "benchmark_result",
    "Evaluation": "result",
    "benchmark": "benchmark_run",
    "compare": "tables",
    "evaluate": "score_run",
    "print_evaluation": "tables",
}


def __getattr__(name: str) -> object:
    # Lazy: training uses the metrics, and evaluating uses the run folders of training.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
