"""Word vectors from a text file: GloVe's (Pennington et al. 2014), or word2vec's text form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.data.feature_schema import ModalityFeatures
from mme2e.errors import UserError
from mme2e.hand_crafted.hashed_words import words_of


class GloveWords:
    """Looks words up; one that the file does not know is a row of zeros.

    Args:
        path: Text file, a word and its numbers on each line.
        words: Words that will be asked for; the vectors of all others are passed over.

    Raises:
        UserError: There is no such file, a line of it is broken, or it knows none of the words.
    """

    columns: tuple[str, ...] = ("text",)

    def __init__(self, path: Path, words: set[str]) -> None:
        self._path = path
        size, self._vectors = read_glove(path, words)
        known = {"file": path.name, "known_words": f"{len(self._vectors)} of {len(words)}"}
        self.info = ModalityFeatures(kind="glove", version=path.name, size=size, settings=known)
        self._unknown = np.zeros(size, dtype=np.float32)

    def sources(self) -> list[Path]:
        """The file of word vectors."""
        return [self._path]

    def extract(self, row: Mapping[str, Any]) -> np.ndarray | None:
        """(words, size) float32; None without text."""
        words = words_of(row["text"] or "")
        return np.stack([self._vectors.get(word, self._unknown) for word in words]) if words else None


def read_glove(path: Path, words: set[str]) -> tuple[int, dict[str, np.ndarray]]:
    """Reads the vectors of some words, line by line.

    Returns:
        Numbers a word, and the (size,) float32 of each word that the file knows.

    Raises:
        UserError: There is no such file, a line of it is broken, or it knows none of the words.
    """
    wanted = {word.encode() for word in words}
    vectors: dict[str, np.ndarray] = {}
    size = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                line = line.rstrip()
                if number == 1 and _is_header(line):
                    continue
                size = size or line.count(b" ")
                spaces = line.count(b" ")
                if size < 2 or spaces < size:  # a few of GloVe's words have spaces in them: those have more
                    raise UserError(
                        f"{path}, line {number}: a word and {size or 'its'} numbers are expected, {_excerpt(line)}"
                    )
                word, _, numbers = line.partition(b" ")
                if word in wanted and spaces == size:
                    vectors[word.decode()] = _numbers(numbers, path, number)
    except OSError as error:
        raise UserError(f"cannot read word vectors from {path}: {error.strerror}") from error
    if not size:
        raise UserError(f"{path} has no word vectors: it is empty")
    if words and not vectors:
        raise UserError(f"{path} has none of the corpus' {len(words)} words, like '{min(words)}'; another language?")
    return size, vectors


def _is_header(line: bytes) -> bool:
    """Whether a line is word2vec's "words size"."""
    parts = line.split(b" ")
    return len(parts) == 2 and all(part.isdigit() for part in parts)


def _numbers(numbers: bytes, path: Path, line: int) -> np.ndarray:
    try:
        return np.array([float(each) for each in numbers.split(b" ")], dtype=np.float32)
    except ValueError as error:
        raise UserError(f"{path}, line {line}: numbers are expected after the word; {error}") from error


def _excerpt(line: bytes) -> str:
    return f"not '{line[:40].decode(errors='replace')}'" + ("..." if len(line) > 40 else "")
