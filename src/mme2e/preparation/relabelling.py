"""Giving rows of a prepared corpus other labels: a table at a time."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mme2e.data.schema import ROW_SCHEMA
from mme2e.errors import UserError


class Relabelling:
    """Gives the rows of a corpus the labels, and the order of votes, of the merged one.

    Args:
        name: Of the corpus, for errors.
        old_names: Its labels, in the order of its votes.
        label_names: Those of the merged one.
        renamed: New label by old one, where they differ.
        drop_unnamed: Whether rows with a label outside of `label_names` are left out rather than refused.

    Attributes:
        left_out: Rows without a place.
        left_out_labels: The same by label; a row with several such labels counts for each.
    """

    def __init__(
        self,
        name: str,
        old_names: tuple[str, ...],
        label_names: tuple[str, ...],
        *,
        renamed: Mapping[str, str],
        drop_unnamed: bool,
    ) -> None:
        self.left_out = 0
        self.left_out_labels: Counter[str] = Counter()
        self._name, self._old, self._label_names, self._drop = name, old_names, label_names, drop_unnamed
        self._new = {label: renamed.get(label, label) for label in old_names}

    def __call__(self, table: pa.Table) -> pa.Table:
        """The rows whose labels all have a place, with the new labels.

        Raises:
            UserError: A label is not known, or has no place and the row must not be left out.
        """
        rows = table["labels"].to_pylist()
        outside = [[label for label in labels if self._renamed(label) not in self._label_names] for labels in rows]
        self.left_out += sum(map(bool, outside))
        for labels in outside:
            self.left_out_labels.update(labels)
        if self.left_out and not self._drop:
            label = next(iter(self.left_out_labels))
            raise UserError(
                f"{self._name} has utterances with the label '{label}', which is not in --labels; add it, --rename it, "
                "or leave such utterances out with --drop-unnamed"
            )
        if any(outside):
            table = table.filter(pa.array([not labels for labels in outside]))
            rows = table["labels"].to_pylist()
        new = [sorted({self._new[label] for label in labels}, key=self._label_names.index) for labels in rows]
        table = with_column(table, "labels", pa.array(new, ROW_SCHEMA.field("labels").type))
        if "votes" in table.column_names:
            table = with_column(table, "votes", self._votes(table["votes"]))
        return table

    def _renamed(self, label: str) -> str:
        if label not in self._new:
            raise UserError(
                f"{self._name} has a row with the label '{label}', but its labels are {', '.join(self._old)}"
            )
        return self._new[label]

    def _votes(self, votes: pa.ChunkedArray) -> pa.Array:
        """Votes in the order of the new labels: those of labels that became one are added; null where none are left."""
        places = np.array([[self._new[old] == new for new in self._label_names] for old in self._old], dtype=np.float32)
        given = pc.is_valid(votes).to_numpy()
        lengths = pc.list_value_length(votes.drop_null()).to_numpy()
        if (lengths != len(self._old)).any():
            raise UserError(f"{self._name} has a row with votes for other than its {len(self._old)} labels")
        old = pc.list_flatten(votes).to_numpy().reshape(-1, len(self._old))
        new = np.zeros((len(given), len(self._label_names)), dtype=np.float32)
        new[given] = old @ places
        return pa.FixedSizeListArray.from_arrays(
            new.ravel(), len(self._label_names), mask=pa.array(~new.any(axis=1))
        ).cast(votes.type)


def with_column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """A table with other values in one of its columns."""
    return table.set_column(table.column_names.index(name), table.schema.field(name), values)
