"""Visual features from OpenFace's CSV files (Baltrusaitis et al. 2018): action units."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.data.corpus import Corpus
from mme2e.data.feature_schema import ModalityFeatures
from mme2e.errors import UserError

_UNIT = re.compile(r"AU\d+_[rc]")


@dataclass(frozen=True, kw_only=True)
class UnitTable:
    """What a CSV file contains of the frames in which a face was found.

    Attributes:
        names: Its action units: AU01_r ... (strength, 0 to 5), AU01_c ... (presence, 0 or 1).
        times_s: (frames,) float64, from the start of the file's video.
        units: (frames, names) float32.
    """

    names: tuple[str, ...]
    times_s: np.ndarray
    units: np.ndarray


class OpenFaceUnits:
    """The action units of the user's OpenFace files, averaged over windows.

    An utterance's file is `<utterance id>.csv`, whose times count from the utterance's start, or
    `<recording>.csv`, whose times are the recording's. One without a file, or without a face in it, has no video.

    Args:
        folder: Where the files are.
        window_ms: Frames are averaged over so many ms; a window without a face is left out.
        corpus: The corpus; its first utterance with a file decides on the columns.

    Raises:
        UserError: There is no such folder, none of the utterances has a file, or the first file lacks columns.
    """

    columns: tuple[str, ...] = ("id", "recording", "start_s", "end_s")

    def __init__(self, folder: Path, window_ms: int, corpus: Corpus) -> None:
        if not folder.is_dir():
            raise UserError(f"no folder {folder}; expected is one with OpenFace's CSV files")
        self._folder, self._window_ms = folder, window_ms
        rows = [row for split in corpus.splits for row in corpus.columns(split, ["id", "recording"]).to_pylist()]
        paths = (self._path(row) for row in rows)
        first = next((path for path in paths if path is not None), None)
        if first is None:
            example = f"'{rows[0]['id']}.csv' or '{rows[0]['recording']}.csv'"
            raise UserError(f"{folder} has no file for any of the {len(rows)} utterances, like {example}")
        names = read_units(first).names
        self.info = ModalityFeatures(
            kind="openface", version="csv", size=len(names), columns=names, settings={"window_ms": window_ms}
        )
        self._last: tuple[Path, UnitTable] | None = None  # utterances of a recording come one after the other

    def sources(self) -> list[Path]:
        """All CSV files of the folder."""
        return sorted(self._folder.glob("*.csv"))

    def extract(self, row: Mapping[str, Any]) -> np.ndarray | None:
        """(windows, action units) float32; None without a file or a face.

        Raises:
            UserError: The file is damaged or has other columns than the first.
        """
        path = self._path(row)
        if path is None:
            return None
        table = self._table(path)
        start_s, length_s = (0.0, float("inf"))
        if path.stem != row["id"]:
            start_s, length_s = row["start_s"], row["end_s"] - row["start_s"]
        times_s = table.times_s - start_s
        inside = (times_s >= 0) & (times_s < length_s)
        # A thousandth of a frame: times like 0.500 must not fall into the window before for their rounding.
        window = np.floor(times_s[inside] * 1000 / self._window_ms + 1e-6).astype(np.int64)
        if not len(window):
            return None
        _, members = np.unique(window, return_inverse=True)
        sums = np.zeros((members.max() + 1, len(table.names)))
        np.add.at(sums, members, table.units[inside])
        return (sums / np.bincount(members)[:, None]).astype(np.float32)

    def _path(self, row: Mapping[str, Any]) -> Path | None:
        for name in (row["id"], row["recording"]):
            path = self._folder / f"{name}.csv"
            if path.is_file():
                return path
        return None

    def _table(self, path: Path) -> UnitTable:
        if self._last is None or self._last[0] != path:
            table = read_units(path)
            if table.names != self.info.columns:
                raise UserError(f"{path} has {len(table.names)} action units, others have {self.info.size}")
            self._last = (path, table)
        return self._last[1]


def read_units(path: Path) -> UnitTable:
    """Reads the action units of the frames in which OpenFace found a face.

    Raises:
        UserError: The file cannot be read, lacks a column, or a row of it is broken.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(rows, [])]
            names = tuple(name for name in header if _UNIT.fullmatch(name))
            for wanted in ("timestamp", "success"):
                if wanted not in header:
                    raise UserError(f"{path} has no column '{wanted}'; expected is a CSV file of OpenFace")
            if not names:
                raise UserError(f"{path} has no action units (columns AU01_r, ...); run OpenFace with -aus")
            kept = [header.index(name) for name in ("timestamp", "success", *names)]
            numbers = [_numbers(row, kept, path, rows.line_num) for row in rows if row]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file: {error}") from error
    table = np.array(numbers, dtype=np.float64).reshape(-1, len(kept))
    table = table[table[:, 1] > 0]
    return UnitTable(names=names, times_s=table[:, 0], units=table[:, 2:].astype(np.float32))


def _numbers(row: list[str], kept: list[int], path: Path, line: int) -> list[float]:
    try:
        return [float(row[column]) for column in kept]
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}, line {line}: a number is expected in each column ({error})") from error
