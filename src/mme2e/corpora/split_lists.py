"""Lists of utterance ids for training, validation and test, as people publish them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mme2e.corpora.table import read_table
from mme2e.errors import UserError
from mme2e.scores.published import UTTERANCES
from mme2e.text_files import numbered_lines, read_text, tidy_name

SPLITS = ("train", "valid", "test")
_COLUMNS = ("id", "split")
_OTHER_NAMES = {"val": "valid", "validation": "valid", "dev": "valid"}
_EXPECTED = (
    "a folder with train_split.txt, valid_split.txt and test_split.txt, a CSV with columns id,split or a JSON file"
)


@dataclass(frozen=True, kw_only=True)
class SplitLists:
    """Which utterance is in which split.

    Attributes:
        name: Of the folder or file that they come from.
        split_of: "train", "valid" or "test" by utterance id.
    """

    name: str
    split_of: dict[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Number of ids in each split."""
        counts = Counter(self.split_of.values())
        return {split: counts[split] for split in SPLITS}

    def protocol(self, corpus: str) -> str:
        """One phrase for tables: whether these are, by their counts, the lists that the paper published.

        Args:
            corpus: Name of the corpus.
        """
        counts = "/".join(str(count) for count in self.counts.values())
        published = UTTERANCES.get(corpus)
        if published == self.counts:
            return f"published lists ({self.name}: {counts})"
        if published is None:
            return f"lists ({self.name}: {counts})"
        return f"lists ({self.name}: {counts}; published are {'/'.join(str(published[split]) for split in SPLITS)})"


def read_split_lists(path: Path) -> SplitLists:
    """Reads split lists.

    Args:
        path: A folder with train_split.txt, valid_split.txt and test_split.txt, one id a line; a CSV file with the
            columns id and split; or a JSON file, either {id: split} or {split: [ids]}. Of the files, val, validation
            and dev mean valid.

    Raises:
        UserError: Nothing of that kind is there, a list is empty, a split has another name, or an id is in two splits.
    """
    if path.is_dir():
        return _of_pairs(path, _from_folder(path))
    if not path.is_file():
        raise UserError(f"{path} does not exist; --splits expects {_EXPECTED}")
    if path.suffix.lower() == ".csv":
        return _of_pairs(path, _from_csv(path))
    if path.suffix.lower() == ".json":
        return _of_pairs(path, _from_json(path))
    raise UserError(f"{path} is neither a folder nor .csv nor .json; --splits expects {_EXPECTED}")


def _of_pairs(path: Path, pairs: list[tuple[str, str]]) -> SplitLists:
    split_of: dict[str, str] = {}
    for written, name in pairs:
        id_ = tidy_name(written)
        split = _OTHER_NAMES.get(name.strip().lower(), name.strip().lower())
        if split not in SPLITS:
            raise UserError(f"{path}: '{id_}' is in split '{name}'; expected are {', '.join(SPLITS)}")
        if split_of.setdefault(id_, split) != split:
            raise UserError(f"{path}: '{id_}' is in {split_of[id_]} and in {split}")
    if not split_of:
        raise UserError(f"{path} names no utterance; --splits expects {_EXPECTED}")
    return SplitLists(name=path.resolve().name, split_of=split_of)


def _from_folder(folder: Path) -> list[tuple[str, str]]:
    pairs = []
    for split in SPLITS:
        path = folder / f"{split}_split.txt"
        if not path.is_file():
            raise UserError(f"{folder} has no {path.name}; --splits expects {_EXPECTED}")
        ids = [line for _, line in numbered_lines(path)]
        if not ids:
            raise UserError(f"{path} is empty; expected is one utterance id a line")
        pairs += [(id_, split) for id_ in ids]
    return pairs


def _from_csv(path: Path) -> list[tuple[str, str]]:
    table = read_table(path, _COLUMNS)
    if missing := [column for column in _COLUMNS if column not in table.headings]:
        raise UserError(f"{path} has no column {' and no column '.join(missing)}; expected are id,split")
    if table.broken is not None:
        raise UserError(f"{path}:{table.broken[0]}: {table.broken[1]}")
    pairs = []
    for number, row in enumerate(table.rows, start=1):
        id_, split = (row.cells.get(column, "").strip() for column in _COLUMNS)
        if not id_ or not split:
            raise UserError(f"{path}: row {number} lacks its id or its split")
        pairs.append((id_, split))
    return pairs


def _from_json(path: Path) -> list[tuple[str, str]]:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    values = list(content.values()) if isinstance(content, dict) else [None]
    if all(isinstance(value, str) for value in values):
        return list(content.items())
    if all(isinstance(value, list) and all(isinstance(id_, str) for id_ in value) for value in values):
        return [(id_, split) for split, ids in content.items() for id_ in ids]
    raise UserError(f"{path} is neither {{id: split}} nor {{split: [ids]}}")
