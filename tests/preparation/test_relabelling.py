import pyarrow as pa
import pytest

from mme2e.errors import UserError
from mme2e.preparation.relabelling import Relabelling

OLD = ("a", "b", "c")


def table(labels: list[list[str]], votes: list[list[float] | None]) -> pa.Table:
    return pa.table(
        {"labels": pa.array(labels, pa.list_(pa.string())), "votes": pa.array(votes, pa.list_(pa.float32()))}
    )


ROWS = table([["b"], ["a"], ["c"], ["b", "a"]], [[1, 2, 0], None, [1, 0, 3], [0, 0, 4]])


def test_labels_that_become_one_join_their_votes():
    relabelling = Relabelling("x", OLD, ("d", "b"), renamed={"a": "d", "c": "d"}, drop_unnamed=False)
    assert relabelling(ROWS).to_pydict() == {
        "labels": [["b"], ["d"], ["d"], ["d", "b"]],
        "votes": [[1, 2], None, [4, 0], [4, 0]],
    }
    assert relabelling.left_out == 0


def test_rows_left_out_are_counted_and_rows_without_votes_for_what_is_left_have_none():
    relabelling = Relabelling("x", OLD, ("b", "a", "e"), renamed={}, drop_unnamed=True)
    assert relabelling(ROWS).to_pydict() == {"labels": [["b"], ["a"], ["b", "a"]], "votes": [[2, 1, 0], None, None]}
    assert (relabelling.left_out, relabelling.left_out_labels) == (1, {"c": 1})


def test_several_labels_outside_count_for_each_of_them():
    relabelling = Relabelling("x", OLD, ("b",), renamed={}, drop_unnamed=True)
    assert relabelling(table([["a", "c"], ["b"]], [None, None])).to_pydict() == {"labels": [["b"]], "votes": [None]}
    assert (relabelling.left_out, relabelling.left_out_labels) == (1, {"a": 1, "c": 1})


@pytest.mark.parametrize("rows", [ROWS.slice(0, 0), ROWS.slice(2, 1), ROWS.drop_columns("votes")])
def test_nothing_left_and_no_votes_at_all(rows):
    relabelling = Relabelling("x", OLD, ("b", "a"), renamed={}, drop_unnamed=True)
    assert relabelling(rows).schema == rows.schema


def test_votes_of_another_length_and_unknown_labels_are_refused():
    relabelling = Relabelling("x", OLD, OLD, renamed={}, drop_unnamed=False)
    with pytest.raises(UserError, match="x has a row with votes for other than its 3 labels"):
        relabelling(table([["a"]], [[1, 2]]))
    with pytest.raises(UserError, match="x has a row with the label 'z', but its labels are a, b, c"):
        relabelling(table([["z"]], [None]))
