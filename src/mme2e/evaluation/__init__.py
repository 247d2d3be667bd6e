"""Metrics, thresholds, costs and their tables."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme2e.evaluation.audit_result import Audit
    from mme2e.evaluation.audit_run import audit
    from mme2e.evaluation.benchmark_result import BenchmarkResult
    from mme2e.evaluation.benchmark_run import benchmark
    from mme2e.evaluation.overlap import Leakage, leakage
    from mme2e.evaluation.result import Evaluation
    from mme2e.evaluation.score_run import evaluate
    from mme2e.evaluation.subsets import SubsetScores, evaluate_subsets
    from mme2e.evaluation.tables import compare, print_evaluation

__all__ = [
    "Audit",
    "BenchmarkResult",
    "Evaluation",
    "Leakage",
    "SubsetScores",
    "audit",
    "benchmark",
    "compare",
    "evaluate",
    "evaluate_subsets",
    "leakage",
    "print_evaluation",
]

_HOMES = {
    "Audit": "audit_result",
    "BenchmarkResult": "benchmark_result",
    "Evaluation": "result",
    "Leakage": "overlap",
    "SubsetScores": "subsets",
    "audit": "audit_run",
    "benchmark": "benchmark_run",
    "compare": "tables",
    "evaluate": "score_run",
    "evaluate_subsets": "subsets",
    "leakage": "overlap",
    "print_evaluation": "tables",
}


def __getattr__(name: str) -> object:
    # Lazy: training uses the metrics, and evaluating uses the run folders of training.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
