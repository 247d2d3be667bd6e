"""Records to and from JSON and YAML: the one way for every file that holds a dataclass.

A record is a frozen dataclass of plain values. pydantic checks what was read against its annotations, strictly: a
number is not made of a text, nor an integer of 1.5. It is imported on first use: `mme2e --help` does without.
"""

import json
import math
import reprlib
import types
from collections.abc import Callable
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from mme2e.errors import UserError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
Unknown = Literal["forbid", "ignore"]
"""What becomes of keys that a record does not have."""

DEEPEST_YAML = 50
"""Levels of a YAML file; those that are written here have at most five."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class _NullIsNan:
    """Reads null as NaN."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(
            lambda value: math.nan if value is None else value, handler(source)
        )


Undefinable = Annotated[float, _NullIsNan()]
"""A number that is NaN where it is undefined, and null in files."""


def plain(value: object) -> Any:
    """Dataclasses, arrays, paths and tuples as what JSON knows; what is not a finite number is None."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, inf_nan_mode="null", fallback=_array)


def to_json(value: object, *, indent: int | None = 2) -> str:
    """A record, or a container of records, as the text of a JSON file; see `plain`."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def to_yaml(value: object) -> str:
    """A record as the text of a YAML file; see `plain`."""
    return yaml.safe_dump(plain(value), sort_keys=False, allow_unicode=True)


def from_plain(kind: Any, content: object, *, name: str = "the file", unknown: Unknown = "forbid") -> Any:
    """A record from what JSON or YAML gave.

    Args:
        kind: The dataclass, or any other annotation.
        content: Plain values; lists become tuples where the annotation says so.
        name: What to call the whole in errors.
        unknown: Whether keys that the record does not have are refused or ignored.

    Raises:
        UserError: A key is missing or unknown, a value is of another type or cannot be; the first fault is named, with
            what was received and what is expected.
    """
    from pydantic import ValidationError
    from pydantic_core import PydanticSerializationError, to_json

    try:
        # Through JSON: there, strictly, lists are what tuples are made of.
        text = to_json(content, fallback=str)
    except (PydanticSerializationError, ValueError) as error:
        raise UserError(f"{name} is not plain data: {error}") from error
    try:
        return _adapter(kind).validate_json(text, strict=True, extra=unknown)
    except ValidationError as error:
        raise UserError(_fault(error, kind, name)) from error


def load(path: Path) -> Any:
    """The plain values in a JSON file, or in a YAML file by the name's suffix.

    YAML is read without aliases, whose expansion has no bound, and to a depth of `DEEPEST_YAML`: the time that its
    scanner takes grows with the square of the depth.

    Raises:
        UserError: It cannot be read, or is damaged; without the path.
    """
    from pydantic_core import from_json

    try:
        text = path.read_bytes().decode()
        if path.suffix != ".yaml":
            return from_json(text)
        _refuse_bombs(text)
        return yaml.safe_load(text)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"is damaged: {' '.join(str(error).split())}") from error


def _refuse_bombs(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            raise UserError(f"is damaged: it is nested deeper than {DEEPEST_YAML} levels")
        if isinstance(event, yaml.AliasEvent):
            raise UserError("is damaged: it has YAML aliases, which this file never needs")


def read_record(
    kind: type[T], path: Path, *, version: tuple[str, int] | None = None, unknown: Unknown = "ignore", advice: str = ""
) -> T:
    """Reads a record from a JSON or YAML file.

    Args:
        kind: The dataclass.
        path: File.
        version: Key of the layout's version and the newest one that can be read; None for files without.
        unknown: Whether keys that the record does not have are refused or ignored.
        advice: What to do about a damaged file.

    Raises:
        UserError: It cannot be read, is damaged, or of a newer version; path, key, received and expected are named.
    """
    ending = f"; {advice}" if advice else ""
    try:
        content = load(path)
    except UserError as error:
        raise UserError(f"{path} {error}{ending}") from error
    if version is not None and isinstance(content, dict):
        key, newest = version
        found = content.get(key)
        if isinstance(found, int) and found > newest:
            raise UserError(f"{path} has {key.replace('_', ' ')} {found}; this mme2e reads up to {newest}")
    try:
        return from_plain(kind, content, unknown=unknown)
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}{ending}") from error


def json_schema(kind: type) -> dict[str, Any]:
    """The JSON Schema of a record, for programs that read our files."""
    schema: dict[str, Any] = _adapter(kind).json_schema()
    return schema


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _array(value: Any) -> Any:
    """NumPy's arrays and numbers as lists and numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _fault(error: "ValidationError", kind: Any, name: str) -> str:
    """The first fault in one line; a key that nobody knows explains those that are missing."""
    faults = error.errors(include_url=False)
    fault = next((each for each in faults if each["type"] == "unexpected_keyword_argument"), faults[0])
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, UserError):
        return str(cause)
    place = fault["loc"]
    key = _dotted(place) or name
    if fault["type"] == "unexpected_keyword_argument":
        return f"unknown key '{key}'; choose from {', '.join(get_type_hints(_kind_at(kind, place[:-1])))}"
    if fault["type"] in ("missing", "missing_argument"):
        return f"'{key}' is missing"
    received, message = _SHORT.repr(fault["input"]), fault["msg"].removeprefix("Value error, ")
    expected = message.removeprefix("Input should ")
    for formal, word in (("a valid array", "a list"), ("an object", "a mapping"), ("a valid integer", "an integer")):
        expected = expected.replace(formal, word)
    return f"{key}{' must' if 'Input should ' in message else ':'} {expected}, not {received}"


def _dotted(place: tuple[int | str, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def _kind_at(kind: Any, place: tuple[int | str, ...]) -> Any:
    """The dataclass at a place within another one."""
    for step in (None, *place):
        if step is not None:
            kind = get_type_hints(kind)[str(step)] if is_dataclass(kind) else get_args(kind)[not isinstance(step, int)]
        if get_origin(kind) in (Union, types.UnionType):
            kind = next(each for each in get_args(kind) if each is not type(None))
    return kind
