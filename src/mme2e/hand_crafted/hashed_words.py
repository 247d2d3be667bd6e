"""Words of a transcript, and their vectors without any download: hashed character n-grams."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.data.feature_schema import ModalityFeatures

LENGTHS = (3, 4, 5)
"""Of the n-grams, in characters, as in fastText's default but for the longest (Bojanowski et al. 2017)."""

_WORD = re.compile(r"\w+?(?=n't\b)|n't\b|'(?:s|m|d|re|ve|ll)\b|\w+|[!?]")  # as the Penn Treebank and GloVe split them


def words_of(text: str) -> list[str]:
    """Words in lower case; "don't" is do + n't. Of the signs only ! and ? are kept: they show emotion."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


class HashedWords:
    """A word is the sum of its character n-grams, each hashed to one column and a sign, and scaled to length 1.

    Words that share their stem so come to lie near each other. The same everywhere: no seed, no table.

    Args:
        size: Columns.
    """

    columns: tuple[str, ...] = ("text",)

    def __init__(self, size: int) -> None:
        self.info = ModalityFeatures(kind="hashed n-grams", version="1", size=size, settings={"lengths": list(LENGTHS)})
        self._known: dict[str, np.ndarray] = {}

    def sources(self) -> list[Path]:
        """No files."""
        return []

    def extract(self, row: Mapping[str, Any]) -> np.ndarray | None:
        """(words, size) float32; None without text."""
        words = words_of(row["text"] or "")
        return np.stack([self.vector(word) for word in words]) if words else None

    def vector(self, word: str) -> np.ndarray:
        """(size,) float32 of length 1."""
        if word not in self._known:
            self._known[word] = self._hashed(word)
        return self._known[word]

    def _hashed(self, word: str) -> np.ndarray:
        whole = f"<{word}>"
        grams = {whole} | {whole[i : i + n] for n in LENGTHS for i in range(len(whole) - n + 1)}
        vector = np.zeros(self.info.size, dtype=np.float32)
        for gram in sorted(grams):
            number = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest(), "big")
            vector[(number >> 1) % self.info.size] += 1 if number & 1 else -1
        return vector / max(1.0, float(np.linalg.norm(vector)))  # all may have cancelled out in few columns
