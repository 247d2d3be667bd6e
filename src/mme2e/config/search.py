"""Settings of the search for hyper-parameters: what a search file holds."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mme2e.config.checks import require
from mme2e.config.training import TrainSettings

Objective = Literal["valid_macro_f1", "valid_auc", "valid_weighted_accuracy", "valid_loss"]


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """What one setting may be: a range with `low` and `high`, or `choices`."""

    low: int | float | None = None
    """Smallest value of a range."""

    high: int | float | None = None
    """Largest value of a range; it is tried, too."""

    log: bool = False
    """Whether to draw from a range on a logarithmic scale."""

    choices: list[Any] | None = None
    """Values to choose from."""

    def __post_init__(self) -> None:
        is_range = self.low is not None and self.high is not None
        has_range = self.low is not None or self.high is not None or self.log
        require(is_range or not has_range, "a range requires both low and high")
        require(is_range != (self.choices is not None), "a dimension must have either a range (low, high) or choices")
        if self.low is not None and self.high is not None:
            require(self.low < self.high, f"low {self.low} must be less than high {self.high}")
            require(not self.log or self.low > 0, f"a logarithmic range requires low above 0, not {self.low}")
        if self.choices is not None:
            distinct = all(choice not in self.choices[:index] for index, choice in enumerate(self.choices))
            require(len(self.choices) >= 2 and distinct, f"choices must be two or more, each once, not {self.choices}")


@dataclass(frozen=True, kw_only=True)
class PrunerSettings:
    """When a trial is given up before its last epoch."""

    name: Literal["median", "none"] = "median"
    """median: when its best epoch so far is worse than the median of the others' at that epoch; none: never."""

    startup_trials: int = 5
    """Trials that are trained to their end before any is given up."""

    warmup_epochs: int = 2
    """Epochs that every trial gets."""

    def __post_init__(self) -> None:
        for name in ("startup_trials", "warmup_epochs"):
            value = getattr(self, name)
            require(value >= 0, f"pruner.{name} must not be negative, not {value}")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """A search: which settings are varied, over what, and which validation score decides."""

    base: TrainSettings = field(default_factory=TrainSettings)
    """Settings of training that are not varied; also the first trial, where they lie in the space."""

    space: dict[str, Dimension] = field(default_factory=dict)
    """What is varied: a key of the settings, with dots, and its range or choices."""

    objective: Objective = "valid_macro_f1"
    """Validation score of the epoch whose weights are kept; the lowest loss, or the highest of the others, wins."""

    seed: int = 0
    """Seed of the suggestions; that of training is base.seed."""

    pruner: PrunerSettings = field(default_factory=PrunerSettings)

    def __post_init__(self) -> None:
        require(bool(self.space), "space is empty: it must name at least one setting to vary")
        require(self.seed >= 0, f"seed must not be negative, not {self.seed}")
        require(self.base.devices == 1, f"base.devices must be 1 in a search, not {self.base.devices}")
