"""Recordings for collections of single photographs and lines of text, which come from no recording."""

from collections import Counter

ROWS_TOGETHER = 50
"""So many rows of a split stand for a recording. A recording is a file of the prepared corpus, and what intervals of
scores draw: of one row each there would be tens of thousands, of many there would be too few to draw from."""


class RowGroups:
    """Names recordings "train_0000", "train_0001", ...: rows of one split, in the order in which they are asked for."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()

    def next(self, split: str) -> str:
        """The recording of the next row of a split."""
        number = self._rows[split] // ROWS_TOGETHER
        self._rows[split] += 1
        return f"{split}_{number:04}"
