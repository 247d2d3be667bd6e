"""What came of a search: its trials, the best settings, and the files that report them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mme2e.atomic import write_text
from mme2e.config import TrainSettings
from mme2e.config.search import SearchSettings
from mme2e.evaluation.tables import markdown_table
from mme2e.report import Result
from mme2e.training.history import settings_to_yaml
from mme2e.tuning.space import Point

BEST_FILE = "best.yaml"
TRIALS_FILE = "trials.csv"
REPORT_FILE = "search.md"
SHOWN = 20
"""Trials in the report's table; all of them are in `trials.csv`."""


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial that is done.

    Attributes:
        number: From 0; the numbers of trials that were cut off are missing.
        state: complete; pruned (given up early); failed (its settings cannot be trained with).
        value: The objective; of a pruned trial that of its last epoch; None for a failed one.
        point: The values that were tried, by key.
        epochs: Trained.
        seconds: It took.
        reason: Why it failed.
    """

    number: int
    state: str
    value: float | None
    point: Point
    epochs: int
    seconds: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class SearchResult(Result):
    """A search as it stands.

    Attributes:
        folder: Of the search.
        settings: Of the search.
        corpus: Name and fingerprint.
        trials: Those that are done, by number.
        best: The best complete trial; None before the first.
        best_settings: Its settings of training.
        best_run: Its run folder.
        importances: Share of each key in the variance of the objective; empty where it cannot be computed.
        optuna_version: Of the library.
    """

    folder: Path
    settings: SearchSettings
    corpus: str
    trials: tuple[TrialResult, ...]
    best: TrialResult | None
    best_settings: TrainSettings | None
    best_run: Path | None
    importances: dict[str, float]
    optuna_version: str

    def report(self) -> list[str]:
        """For the screen."""
        if self.best is None:
            return [f"{self.folder}: no trial is complete"]
        best = f"trial {self.best.number}, {self.settings.objective} {self.best.value:.3f}"
        return [f"{self.folder}: best is {best}; train it with 'mme2e train --config {self.folder / BEST_FILE} ...'"]

    def ranked(self) -> list[TrialResult]:
        """Complete trials, the best first; then those given up, then those failed."""
        lowest_first = self.settings.objective == "valid_loss"
        order = {"complete": 0, "pruned": 1, "failed": 2}

        def rank(trial: TrialResult) -> tuple[int, float, int]:
            value = math.inf if trial.value is None else trial.value
            return order[trial.state], value if lowest_first else -value, trial.number

        return sorted(self.trials, key=rank)

    def write(self, out: Path) -> None:
        """Writes `trials.csv`, `search.md` and, once there is a best trial, `best.yaml`."""
        write_text(out / TRIALS_FILE, trials_to_csv(self))
        write_text(out / REPORT_FILE, report(self, out))
        if self.best_settings is not None:
            write_text(out / BEST_FILE, settings_to_yaml(self.best_settings))


def trials_to_csv(result: SearchResult) -> str:
    """One line a trial, by number; what does not exist is empty."""
    rows = [
        {
            "number": trial.number,
            "state": trial.state,
            result.settings.objective: trial.value,
            "epochs": trial.epochs,
            "seconds": f"{trial.seconds:.1f}",
            **{key: trial.point.get(key) for key in result.settings.space},
            "reason": trial.reason,
        }
        for trial in result.trials
    ]
    # As objects: integers stay integers where some are missing.
    return pd.DataFrame(rows, dtype=object).to_csv(index=False, lineterminator="\n")


def report(result: SearchResult, out: Path) -> str:
    """`search.md`."""
    settings = result.settings
    counts = ", ".join(
        f"{sum(trial.state == state for trial in result.trials)} {state}" for state in ("complete", "pruned", "failed")
    )
    lines = [
        "# Search for hyper-parameters",
        "",
        f"Objective: {settings.objective} of the epoch whose weights are kept "
        f"({'lowest' if settings.objective == 'valid_loss' else 'highest'} is best). Corpus: {result.corpus}. "
        f"Trials: {len(result.trials)} ({counts}). Optuna {result.optuna_version}, seed {settings.seed}, "
        f"pruner {settings.pruner.name}.",
        "",
        "Only the training and the validation split were open; the test split was closed to the search. "
        "The best of many validation scores is too high: report the test score of the settings found here.",
        "",
        *_best_lines(result, out),
        markdown_table(["trial", "state", settings.objective, *settings.space, "epochs", "s"], _rows(result)),
        "",
        *([f"The best {SHOWN} of {len(result.trials)}; all are in {TRIALS_FILE}.", ""] * (len(result.trials) > SHOWN)),
    ]
    if result.importances:
        shares = [[f"`{key}`", f"{share:.0%}"] for key, share in result.importances.items()]
        lines += ["Share of each setting in the variance of the objective (fANOVA):", ""]
        lines += [markdown_table(["setting", "share"], shares), ""]
    return "\n".join(lines)


def setting_text(value: Any) -> str:
    """A value of a setting for people."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return " ".join(setting_text(item) for item in value)
    return "none" if value is None else str(value)


def _best_lines(result: SearchResult, out: Path) -> list[str]:
    if result.best is None:
        return ["No trial is complete yet.", ""]
    return [
        f"Best: trial {result.best.number}, {result.settings.objective} {result.best.value:.4f}. "
        f"Its settings are in `{BEST_FILE}`, its model in `{result.best_run}`.",
        "",
        f"    mme2e train --config {out / BEST_FILE} --data CORPUS --out RUN",
        "",
    ]


def _rows(result: SearchResult) -> list[list[str]]:
    keys = list(result.settings.space)
    return [
        [
            str(trial.number),
            trial.state + (f": {trial.reason}" if trial.reason else ""),
            "-" if trial.value is None else f"{trial.value:.4f}",
            *(setting_text(trial.point[key]) if key in trial.point else "-" for key in keys),
            str(trial.epochs),
            f"{trial.seconds:.0f}",
        ]
        for trial in result.ranked()[:SHOWN]
    ]
