"""Settings in dotted and nested form, put on top of each other without losing one."""

from collections.abc import Mapping
from typing import Any

from mme2e.config import TrainSettings
from mme2e.errors import UserError
from mme2e.records import from_plain

Flat = dict[str, Any]
"""Values by dotted key: model.text.hidden_dim."""


def flatten(content: Any, where: str) -> Flat:
    """A mapping whose keys may be dotted, nested or both, by dotted keys.

    Args:
        content: What YAML gave; None is an empty mapping.
        where: Where it stands, for errors.

    Raises:
        UserError: It is no mapping, or gives a key twice.
    """
    flat: Flat = {}
    for key, value in _pairs({} if content is None else content, where):
        if key in flat:
            raise UserError(f"{where} gives {key} twice: {flat[key]!r} and {value!r}")
        flat[key] = value
    return flat


def _pairs(content: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(content, dict):
        raise UserError(f"{where} must be settings by their names, not {content!r}")
    pairs = []
    for key, value in content.items():
        if isinstance(value, dict):
            pairs += [(f"{key}.{rest}", inner) for rest, inner in _pairs(value, f"{where}.{key}")]
        else:
            pairs.append((str(key), value))
    return pairs


def to_settings(flat: Mapping[str, Any], where: str) -> TrainSettings:
    """Settings of training from dotted keys; what is not given has its default.

    Args:
        flat: By dotted key.
        where: Whose settings they are, for errors.

    Raises:
        UserError: A key is unknown, a value is of the wrong kind, or values contradict each other; `where` is named.
    """
    try:
        return from_plain(TrainSettings, _nest(flat), name="the settings")
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        place = nested
        for name in path:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise UserError(f"{key} and {name} cannot both be given")
        if isinstance(place.get(last), dict):
            raise UserError(f"{key} is {value!r}, but settings inside it are given too")
        place[last] = value
    return nested
