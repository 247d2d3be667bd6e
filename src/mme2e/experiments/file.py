"""The experiment file: YAML in, checked settings out."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mme2e.config.experiment import (
    DEFAULT_METRICS,
    BootstrapSettings,
    ExperimentSettings,
    Protocol,
    PublishedRows,
    Variant,
)
from mme2e.errors import UserError
from mme2e.experiments.overrides import Flat, flatten, to_settings
from mme2e.records import from_plain
from mme2e.scores.metrics import METRICS
from mme2e.scores.published import TABLES

ONLY_PROTOCOL = "split"
"""Name of the protocol where the file names none."""


@dataclass(frozen=True, kw_only=True)
class _File:
    """The keys of an experiment file, as docs/experiments.md describes them."""

    name: str
    about: str = ""
    data: str | None = None
    protocols: dict[str, Any] = field(default_factory=dict)
    base_file: str | None = None
    base: dict[str, Any] = field(default_factory=dict)
    variants: dict[str, Any]
    grid: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...]
    baseline: str | None = None
    metrics: tuple[str, ...] = DEFAULT_METRICS
    published: PublishedRows | None = None
    along: str | None = None
    operations: int = 0
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)


def read_experiment(
    path: Path, *, data: Sequence[str] = (), seeds: Sequence[int] = (), changes: Sequence[str] = ()
) -> ExperimentSettings:
    """Reads an experiment file.

    Args:
        path: YAML; docs/experiments.md describes its keys.
        data: Instead of the file's corpora: a folder, or NAME=FOLDER[,FOLDER...] for each protocol.
        seeds: Instead of the file's.
        changes: KEY=VALUE in dotted form: settings of every run, over all that the file says.

    Raises:
        UserError: The file cannot be read, has an unknown key, or says what cannot be; file and key are named.
    """
    try:
        file: _File = from_plain(_File, _load(path))
        _require_known(file)
        return ExperimentSettings(
            name=file.name,
            about=file.about,
            variants=_variants(file, path.parent, _changes(changes)),
            protocols=_protocols(file, data),
            seeds=tuple(seeds) or file.seeds,
            baseline=file.baseline,
            metrics=file.metrics,
            published=file.published,
            along=file.along,
            operations=file.operations,
            bootstrap=file.bootstrap,
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


class _Loader(yaml.SafeLoader):
    """YAML without doubled keys; 1e-3 is a number, as it is for `--config`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        doubled = [key for index, key in enumerate(keys) if key in keys[:index]]
        if doubled:
            raise UserError(f"line {node.start_mark.line + 1}: '{doubled[0]}' stands twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _load(path: Path) -> Any:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # a safe loader
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError("contains no settings by their names")
    return content


def _require_known(file: _File) -> None:
    for metric in file.metrics:
        if metric not in METRICS:
            raise UserError(f"metrics: '{metric}' is unknown; choose from {', '.join(METRICS)}")
    if file.published is None:
        return
    table = TABLES.get(file.published.table)
    if table is None:
        raise UserError(f"published.table '{file.published.table}' is unknown; choose from {', '.join(TABLES)}")
    for row in file.published.rows.values():
        if row not in table.rows:
            raise UserError(f"published.rows: '{row}' is not a row of it; choose from {', '.join(table.rows)}")


def _changes(words: Sequence[str]) -> Flat:
    changes: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UserError(f"--set requires KEY=VALUE, as epochs=1, not '{word}'")
        if key in changes:
            raise UserError(f"--set gives {key} twice")
        try:
            changes[key] = yaml.load(value, _Loader)  # noqa: S506  # a safe loader
        except yaml.YAMLError as error:
            raise UserError(f"--set {word}: the value is not YAML") from error
    return flatten(changes, "--set")


def _protocols(file: _File, data: Sequence[str]) -> tuple[Protocol, ...]:
    if file.data is not None and file.protocols:
        raise UserError("data and protocols cannot both be given: data is the one protocol of an experiment without")
    named: dict[str, Any] = dict(file.protocols) if file.protocols else {}
    if file.data is not None:
        named = {ONLY_PROTOCOL: file.data}
    given = [word.partition("=") for word in data]
    if given and all(equals for _, equals, _ in given):
        named = {name: folders.split(",") for name, _, folders in given}
        if len(named) < len(given):
            raise UserError("--data names a protocol twice")
    elif len(given) == 1 and len(named) <= 1:
        named = {next(iter(named), ONLY_PROTOCOL): data[0]}
    elif given:
        raise UserError(f"--data requires one corpus, or NAME=FOLDER for each protocol, not {' '.join(data)}")
    if not named:
        raise UserError("which corpus? Give --data CORPUS, or data or protocols in the file")
    return tuple(Protocol(name=str(name), folds=_folds(name, folds)) for name, folds in named.items())


def _folds(name: str, folders: Any) -> tuple[Path, ...]:
    folders = [folders] if isinstance(folders, str) else folders
    if not isinstance(folders, list) or not folders or not all(isinstance(each, str) and each for each in folders):
        raise UserError(f"protocol '{name}' must be a prepared corpus, or a list of them as its folds, not {folders!r}")
    if len(set(folders)) < len(folders):
        raise UserError(f"protocol '{name}' has the same fold twice")
    return tuple(Path(folder) for folder in folders)


def _variants(file: _File, folder: Path, changes: Flat) -> tuple[Variant, ...]:
    base = _base(file, folder)
    variants = []
    for name, content in file.variants.items():
        axes, own = _split_off_grid(content, f"variant '{name}'")
        for extra, cell in _cells({**_axes(file.grid, "grid"), **axes}):
            full = " ".join([name, *extra])
            for key in cell.keys() & own.keys():
                raise UserError(f"variant '{name}' gives {key}, and so does the grid")
            merged = {**base, **own, **cell}
            if "seed" in {*merged, *changes}:
                raise UserError("seed stands among the settings: runs get theirs from seeds")
            variants.append(Variant(name=full, settings=to_settings({**merged, **changes}, f"variant '{full}'")))
    return tuple(variants)


def _base(file: _File, folder: Path) -> Flat:
    own = flatten(file.base, "base")
    if file.base_file is None:
        return own
    path = folder / file.base_file
    try:
        return {**flatten(_load(path), "the file"), **own}
    except UserError as error:
        raise UserError(f"base_file {path}: {error}") from error


def _split_off_grid(content: Any, where: str) -> tuple[Mapping[str, list[Any]], Flat]:
    if isinstance(content, dict) and "grid" in content:
        rest = {key: value for key, value in content.items() if key != "grid"}
        return _axes(content["grid"], f"grid of {where}"), flatten(rest, where)
    return {}, flatten(content, where)


def _axes(content: Any, where: str) -> dict[str, list[Any]]:
    axes = flatten(content, where)
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"{where}: {key} must be a list of values, not {values!r}")
    return axes


def _cells(axes: Mapping[str, list[Any]]) -> list[tuple[list[str], Flat]]:
    """What each cell of the grid adds to the variant's name, and its settings."""
    cells = []
    for values in itertools.product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        cells.append(([f"{key.rpartition('.')[2]}={_spelled(value)}" for key, value in cell.items()], cell))
    return cells


def _spelled(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(_spelled(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
