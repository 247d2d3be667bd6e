"""The numbers of an experiment: rows of its tables."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mme2e.scores.statistics import Unit

AVERAGE = "average"
"""Stands among the emotions for the mean over them."""


@dataclass(frozen=True, kw_only=True)
class RunScore:
    """One score of one run: a row of results.csv."""

    protocol: str
    fold: int
    variant: str
    seed: int
    metric: str
    emotion: str
    value: float
    utterances: int
    run: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One score of one variant over its runs: a row of summary.csv.

    Attributes:
        protocol, variant, metric, emotion: Of what; the emotion may be `AVERAGE`.
        runs: How many it is over.
        mean: Over folds and seeds, a share in [0, 1]; NaN where it is undefined.
        std: Over seeds (n - 1), each the mean of its folds; NaN for a single seed.
        low, high: Of the 95 % bootstrap interval of the mean.
        chance: What needs no looking; NaN where there is none.
        published: The paper's; NaN where there is none.
    """

    protocol: str
    variant: str
    metric: str
    emotion: str
    runs: int
    mean: float
    std: float
    low: float
    high: float
    chance: float
    published: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A variant against the baseline, of the average over emotions.

    Attributes:
        protocol, variant, metric: Of what.
        utterances: Test utterances that both scored; the comparison is over these.
        difference: Mean of the variant minus mean of the baseline.
        low, high: Of its 95 % paired bootstrap interval.
        p: Of the paired bootstrap, two-sided.
        p_holm: Corrected for all comparisons of the experiment.
    """

    protocol: str
    variant: str
    metric: str
    utterances: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What the bootstrap drew from the test splits of a protocol.

    Attributes:
        unit: Recordings, speakers or utterances.
        count: How many different ones there are, over all folds.
        unknown: Whether utterances were drawn because the predictions do not carry what was asked for.
    """

    unit: Unit
    count: int
    unknown: bool

    def __str__(self) -> str:
        return f"{self.count} test {self.unit}{'s' * (self.count != 1)}"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All numbers of an experiment.

    Attributes:
        scores: Of each run.
        cells: Of each variant.
        comparisons: With the baseline.
        label_names: Emotions of each protocol.
        drawn: What the bootstrap drew in each protocol.
    """

    scores: tuple[RunScore, ...]
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...]
    label_names: Mapping[str, tuple[str, ...]]
    drawn: Mapping[str, Drawn]

    def cell(self, protocol: str, variant: str, metric: str, emotion: str = AVERAGE) -> Cell | None:
        """One of the cells; None where nothing was run."""
        wanted = (protocol, variant, metric, emotion)
        return next((c for c in self.cells if (c.protocol, c.variant, c.metric, c.emotion) == wanted), None)

    def comparison(self, protocol: str, variant: str, metric: str) -> Comparison | None:
        """One of the comparisons; None where there is none."""
        wanted = (protocol, variant, metric)
        return next((c for c in self.comparisons if (c.protocol, c.variant, c.metric) == wanted), None)
