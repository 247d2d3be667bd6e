"""Settings of an experiment: which runs, on what, and how they are compared."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mme2e.config.checks import require
from mme2e.config.training import TrainSettings

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,+=-]*")
"""What variants and protocols may be called: they name folders too."""

DEFAULT_METRICS = ("f1", "weighted_accuracy", "auc")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of training.

    Attributes:
        name: Of its row in the table.
        settings: Of its runs, whose seed is replaced.
    """

    name: str
    settings: TrainSettings


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way of splitting: what the runs are trained and tested on.

    Attributes:
        name: Of its part of the table.
        folds: Prepared corpora; scores are averaged over them. Mostly one, five for the sessions of IEMOCAP.
    """

    name: str
    folds: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class PublishedRows:
    """Which published numbers stand beside ours."""

    table: str
    """Name of a table of `mme2e.scores.published`."""

    rows: dict[str, str] = field(default_factory=dict)
    """Row of that table by variant."""


@dataclass(frozen=True, kw_only=True)
class BootstrapSettings:
    """How sure a score is."""

    draws: int = 2000
    """Resampled test sets."""

    seed: int = 0
    """Seed of the resampling."""

    unit: Literal["recording", "speaker", "utterance"] = "recording"
    """What is drawn, with all of its utterances: those of one recording or speaker are alike, and drawn one by one they
    make scores look surer than they are."""

    seeds: bool = True
    """Whether the seeds of a variant are resampled too; no: its models are taken as they are."""

    def __post_init__(self) -> None:
        require(self.draws >= 100, f"bootstrap.draws must be at least 100, not {self.draws}")
        require(self.seed >= 0, f"bootstrap.seed must not be negative, not {self.seed}")


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """A grid of variants x protocols x seeds, and what is compared.

    Attributes:
        name: Title of the tables.
        about: What it shows, for people.
        variants: Ways of training, different from each other.
        protocols: Ways of splitting.
        seeds: Of each variant on each fold.
        baseline: Variant that all others are compared with; None compares nothing.
        metrics: Scores to show, the most telling one first; fields of `EmotionScores`.
        published: Numbers to show beside ours.
        along: Setting that the plot has on its horizontal axis, as model.top_p; None draws a row a variant.
        operations: Test utterances over which the operations of a forward pass are counted; 0 counts none.
        bootstrap: How sure a score is.
    """

    name: str
    about: str = ""
    variants: tuple[Variant, ...]
    protocols: tuple[Protocol, ...]
    seeds: tuple[int, ...]
    baseline: str | None = None
    metrics: tuple[str, ...] = DEFAULT_METRICS
    published: PublishedRows | None = None
    along: str | None = None
    operations: int = 0
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)

    def __post_init__(self) -> None:
        require(bool(self.name.strip()), "the experiment has no name")
        _require_names("variant", [variant.name for variant in self.variants])
        _require_names("protocol", [protocol.name for protocol in self.protocols])
        _require_different(self.variants)
        require(bool(self.seeds), "seeds are missing: give one or more, as [0, 1, 2]")
        doubled = sorted({seed for seed in self.seeds if self.seeds.count(seed) > 1})
        require(not doubled, f"seeds must differ: {doubled[:1]} stands twice in {list(self.seeds)}")
        require(min(self.seeds) >= 0, f"seeds must not be negative, not {min(self.seeds)}")
        require(bool(self.metrics), "metrics are missing: give one or more, as [f1]")
        require(len(set(self.metrics)) == len(self.metrics), f"metrics must differ, not {', '.join(self.metrics)}")
        require(self.operations >= 0, f"operations must not be negative, not {self.operations}")
        names = [variant.name for variant in self.variants]
        require(
            self.baseline is None or self.baseline in names,
            f"baseline '{self.baseline}' is not a variant; choose from {', '.join(names)}",
        )
        for name in self.published.rows if self.published else ():
            require(name in names, f"published.rows: '{name}' is not a variant; choose from {', '.join(names)}")


def _require_names(kind: str, names: list[str]) -> None:
    require(bool(names), f"there is no {kind}")
    for name in names:
        require(
            NAME.fullmatch(name) is not None and not name.endswith((" ", ".")),
            f"a {kind} cannot be called '{name}': letters, digits, spaces and _.,+=- make a name",
        )
    # Folders have no spaces and, on some machines, no upper case.
    folders = [name.replace(" ", "_").casefold() for name in names]
    doubled = next((name for name, folder in zip(names, folders, strict=True) if folders.count(folder) > 1), None)
    require(doubled is None, f"two {kind}s are called '{doubled}', or alike")


def _require_different(variants: tuple[Variant, ...]) -> None:
    for index, one in enumerate(variants):
        for other in variants[:index]:
            require(
                one.settings != other.settings,
                f"variants '{other.name}' and '{one.name}' have the very same settings",
            )
