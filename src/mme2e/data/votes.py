"""Votes of annotators in the rows of a prepared corpus."""

from dataclasses import dataclass

import numpy as np

from mme2e.errors import UserError


@dataclass(frozen=True, kw_only=True)
class VoteOrder:
    """Where the votes of a row belong.

    Attributes:
        positions: Position, in the label names that are asked for, of each label of the rows.
        size: How many label names are asked for.
    """

    positions: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, stored: tuple[str, ...], label_names: tuple[str, ...], meaning: dict[str, str]) -> "VoteOrder":
        """The order of the votes for some label names.

        Args:
            stored: Label names of the rows, in the order of their votes.
            label_names: Those that are asked for.
            meaning: Which of them a label of the rows means; those that are not in it stand for themselves.
        """
        positions = tuple(label_names.index(meaning.get(name, name)) for name in stored)
        return cls(positions=positions, size=len(label_names))

    def row(self, votes: list[float]) -> np.ndarray:
        """(emotions,) float32: the votes of a row in the order of the label names that are asked for.

        Raises:
            UserError: There is not one number for each label.
        """
        if len(votes) != len(self.positions):
            raise UserError(
                f"a row has votes for {len(votes)} emotions, but the corpus has {len(self.positions)} labels"
            )
        ordered = np.zeros(self.size, dtype=np.float32)
        np.add.at(ordered, list(self.positions), np.array(votes, dtype=np.float32))
        return ordered

    def shares(self, votes: list[float]) -> np.ndarray:
        """(emotions,) float32: the same divided by their sum, which is above 0.

        Raises:
            UserError: There is not one number for each label.
        """
        row = self.row(votes)
        return row / row.sum()
