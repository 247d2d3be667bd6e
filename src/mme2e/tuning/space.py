"""The space of a search: which settings are varied, over what, and the settings that one of its points stands for."""

import difflib
import json
import random
import types
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from mme2e.config.search import Dimension, SearchSettings
from mme2e.config.training import TrainSettings
from mme2e.errors import UserError
from mme2e.records import from_plain, plain

FIXED = {
    "seed": "a seed that wins is luck",
    "devices": "it changes no result",
    "num_workers": "it changes no result",
    "accelerator": "it changes no result",
    "debug": "it changes no result",
}
"""Settings that are not searched, and why."""

DRAWS = 200
"""Random points among which one must be possible, for each end and choice of a dimension."""

Point = dict[str, Any]
"""A value for each key of the space."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A dimension whose values have the type of its setting.

    Attributes:
        key: The setting, with dots.
        low: Smallest value; None with choices.
        high: Largest value; likewise.
        log: Whether the scale is logarithmic.
        choices: Label -> value; empty with a range. Labels are the values as JSON, since Optuna stores no lists.
    """

    key: str
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: Mapping[str, Any]

    def suggest(self, trial: Any) -> Any:
        """The value that an Optuna trial suggests."""
        if self.choices:
            return self.choices[trial.suggest_categorical(self.key, list(self.choices))]
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(self.key, self.low, self.high, log=self.log)

    def value(self, stored: Any) -> Any:
        """The value of the setting, from what Optuna stores for it."""
        return self.choices[stored] if self.choices else stored

    def stored(self, value: Any) -> Any | None:
        """What Optuna stores for a value of the setting; None where the value is not in the space."""
        if self.choices:
            return next((label for label, choice in self.choices.items() if choice == value), None)
        assert self.low is not None
        assert self.high is not None
        return value if value is not None and self.low <= value <= self.high else None

    def extremes(self) -> list[Any]:
        """All choices, or both ends of the range."""
        return list(self.choices.values()) or [self.low, self.high]

    def draw(self, generator: random.Random) -> Any:
        """A random value."""
        if self.choices:
            return generator.choice(list(self.choices.values()))
        if isinstance(self.low, int):
            return generator.randint(self.low, self.high)  # type: ignore[arg-type]  # both ends have one type
        return generator.uniform(self.low, self.high)  # type: ignore[arg-type]


class Space:
    """The points of a search.

    Args:
        settings: Of the search.

    Attributes:
        base: Settings of training that the space does not vary.
        axes: Key -> its axis.

    Raises:
        UserError: A key is no setting, a value is of the wrong type, or no settings are possible with it.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self.base = settings.base
        self.axes = {key: _axis(key, dimension) for key, dimension in settings.space.items()}
        self._check_possible()

    def train_settings(self, point: Mapping[str, Any]) -> TrainSettings:
        """The settings of training at a point.

        Raises:
            UserError: Its values contradict each other.
        """
        content = plain(self.base)
        for key, value in point.items():
            *groups, name = key.split(".")
            group = content
            for each in groups:
                group = group[each]
            group[name] = value
        return from_plain(TrainSettings, content, name="base")

    def base_parameters(self) -> dict[str, Any] | None:
        """The base as Optuna stores a point of the space; None where it lies outside."""
        stored = {key: axis.stored(_setting(self.base, key)) for key, axis in self.axes.items()}
        return None if None in stored.values() else stored

    def _check_possible(self) -> None:
        generator = random.Random(0)  # noqa: S311  # nothing secret
        for axis in self.axes.values():
            for value in axis.extremes():
                problem = self._problem(axis.key, value, generator)
                if problem:
                    raise UserError(f"space: no settings are possible with {axis.key} {value}: {problem}")

    def _problem(self, key: str, value: Any, generator: random.Random) -> str | None:
        """Why there are no settings with this value; None where there are."""
        first: str | None = None
        for attempt in range(DRAWS):
            drawn = {other: axis.draw(generator) for other, axis in self.axes.items()} if attempt else {}
            try:
                self.train_settings({**drawn, key: value})
            except UserError as error:
                first = first or str(error)
            else:
                return None
        return first


def _axis(key: str, dimension: Dimension) -> Axis:
    kind = _kind(key)
    try:
        if dimension.choices is not None:
            values = [from_plain(kind, choice, name="a choice") for choice in dimension.choices]
            return Axis(key=key, choices={json.dumps(value): value for value in values})
        number = _without_none(kind)
        if number not in (int, float):
            raise UserError("it is not a number and has no range: give choices")
        low, high = (from_plain(number, getattr(dimension, end), name=end) for end in ("low", "high"))
    except UserError as error:
        raise UserError(f"space: {key}: {error}") from error
    return Axis(key=key, low=low, high=high, log=dimension.log, choices={})


def _kind(key: str) -> Any:
    """The annotated type of a setting of training.

    Raises:
        UserError: There is no such setting, it is a group of them, or it is not to be searched.
    """
    if key in FIXED:
        raise UserError(f"space: {key} is not searched: {FIXED[key]}; set base.{key}")
    kind: Any = TrainSettings
    for name in key.split("."):
        kinds = get_type_hints(kind) if is_dataclass(kind) else {}
        if name not in kinds:
            near = difflib.get_close_matches(key, _keys(TrainSettings), n=1)
            raise UserError(
                f"space: '{key}' is not a setting of training{f'; did you mean {near[0]}?' if near else ''}"
            )
        kind = kinds[name]
    if is_dataclass(kind):
        raise UserError(f"space: {key} is a group of settings; name one of {', '.join(_keys(kind, key + '.'))}")
    return kind


def _keys(kind: Any, prefix: str = "") -> list[str]:
    """All settings under a dataclass, with dots."""
    found: list[str] = []
    for name, inner in get_type_hints(kind).items():
        found += _keys(inner, f"{prefix}{name}.") if is_dataclass(inner) else [prefix + name]
    return found


def _without_none(kind: Any) -> Any:
    """X for `X | None`, and anything else as it is."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(each for each in get_args(kind) if each is not type(None))
    return kind


def _setting(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings
