"""Records to and from JSON and YAML."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from mme2e.config import TrainSettings
from mme2e.errors import UserError
from mme2e.records import Undefinable, from_plain, json_schema, load, plain, read_record, to_json, to_yaml


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, int] = (1, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    name: str
    score: Undefinable
    inner: Inner = dataclasses.field(default_factory=Inner)
    other: Inner | None = None
    anything: dict[str, Any] = dataclasses.field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise UserError("name must not be bad")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    record = Record(name="é", score=0.1 + 0.2, inner=Inner(sizes=(3, 4)), anything={"a": [1, {"b": None}]})
    for path, text in ((tmp_path / "r.json", to_json(record)), (tmp_path / "r.yaml", to_yaml(record))):
        path.write_text(text, encoding="utf-8")
        assert read_record(Record, path) == record
    assert '"name": "é"' in to_json(record)


def test_what_is_undefined_is_null_and_nan_again() -> None:
    text = to_json(Record(name="x", score=math.nan))
    assert json.loads(text)["score"] is None
    assert math.isnan(from_plain(Record, json.loads(text)).score)


def test_arrays_and_paths_are_plain() -> None:
    told = plain({"a": np.array([[1.5, np.nan]]), "b": np.int64(3), "c": Path("x/y"), "d": (np.float32(0.5), True)})
    assert told == {"a": [[1.5, None]], "b": 3, "c": "x/y", "d": [0.5, True]}


def test_floats_keep_all_digits() -> None:
    values = [1e-5, 0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 1e16]
    assert json.loads(to_json(values)) == values
    assert "1e-05" in to_json(values)  # as json writes it: files do not change


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"score": 1.0}, "'name' is missing"),
        ({"name": 3, "score": 1.0}, "name must be a valid string, not 3"),
        ({"name": "x", "score": "1"}, "score must be a valid number, not '1'"),
        ({"name": "x", "score": True}, "score must be a valid number, not True"),
        ({"name": "x", "score": 1, "inner": {"kind": "c"}}, "inner.kind must be 'a' or 'b', not 'c'"),
        ({"name": "x", "score": 1, "inner": {"sizes": [1, 2.5]}}, "inner.sizes[1] must be an integer, not 2.5"),
        ({"name": "x", "score": 1, "inner": {"size": 1}}, "unknown key 'inner.size'; choose from kind, sizes"),
        ({"name": "x", "score": 1, "other": {"size": 1}}, "unknown key 'other.size'; choose from kind, sizes"),
        ({"nmae": "x", "score": 1}, "unknown key 'nmae'; choose from name, score, inner, other, anything, version"),
        ({"name": "bad", "score": 1}, "name must not be bad"),
        ([1], "the file must be a mapping, not [1]"),
        (None, "the file must be a mapping, not None"),
    ],
)
def test_the_first_fault_is_named(content: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        from_plain(Record, content)
    assert str(caught.value) == message


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(UserError) as caught:
        from_plain(Record, {"name": "x", "score": "9" * 100_000})
    assert len(str(caught.value)) < 200


def test_unknown_keys_may_be_ignored() -> None:
    assert from_plain(Record, {"name": "x", "score": 1, "new": 2, "inner": {"new": 3}}, unknown="ignore").name == "x"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.json", b"\xff", "is damaged: "),
        ("r.json", b'{"name": "x"', "is damaged: "),
        ("r.json", b"[" * 200_000, "is damaged: recursion limit exceeded"),
        ("r.yaml", b"[" * 20_000, "is damaged: it is nested deeper than 50 levels"),
        ("r.yaml", b"a: [", "is damaged: "),
        ("r.yaml", b"a: &x [1]\nb: [*x, *x]\n", "is damaged: it has YAML aliases"),
        ("r.yaml", b"2020-01-01: 1\n", "is damaged: unknown key '2020-01-01'"),
        ("r.json", b'{"name": "x", "score": 1, "version": 3}', "has version 3; this mme2e reads up to 1"),
    ],
)
def test_a_damaged_or_newer_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_record(Record, path, version=("version", 1), unknown="forbid", advice="make it anew")
    assert str(caught.value).startswith(f"{path} {message}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file or directory; make it anew"):
        read_record(Record, tmp_path / "none.json", advice="make it anew")
    with pytest.raises(UserError, match=r"^cannot be read: Is a directory$"):
        load(tmp_path)


def test_settings_come_back_with_their_types() -> None:
    settings = TrainSettings(epochs=3)
    assert from_plain(TrainSettings, plain(settings)) == settings


def test_the_schema_names_keys_and_types() -> None:
    schema = json_schema(Record)
    assert schema["properties"]["name"]["type"] == "string"
    assert set(schema["required"]) == {"name", "score"}


def test_importing_it_imports_no_pydantic() -> None:
    code = "import sys, mme2e.records, mme2e.runs.info; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
