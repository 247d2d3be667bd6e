"""The published tables: their averages are those of their rows, so that no figure was mistyped."""

import numpy as np
import pytest

from mme2e.scores.metrics import METRICS
from mme2e.scores.published import TABLES, published_gflops


@pytest.mark.parametrize("name", TABLES)
def test_averages_are_those_of_the_emotions(name: str) -> None:
    table = TABLES[name]
    assert set(table.metrics) <= set(METRICS)
    for row in table.rows.values():
        for values in row:
            assert len(values) == len(table.label_names) + 1
            if table.label_names:
                # Averages were rounded from scores with more digits.
                assert np.mean(values[:-1]) == pytest.approx(values[-1], abs=0.11)


def test_a_score() -> None:
    table = TABLES["iemocap"]
    assert table.score("FE2E", "f1") == pytest.approx(0.588)
    assert table.score("MESM p=0.7", "accuracy", "fru") == pytest.approx(0.749)
    assert table.score("FE2E", "auc") is None
    assert table.score("FE2E", "f1", "bored") is None
    assert TABLES["modalities"].score("FE2E A", "f1", "ang") is None
    assert TABLES["modalities"].score("FE2E A", "f1") == pytest.approx(0.449)


def test_operations() -> None:
    assert published_gflops("fe2e", 0.1) == 8.65
    assert published_gflops("mesm", 0.7) == 5.18
    assert published_gflops("mesm", 0.75) is None
    assert published_gflops("lf_rnn", 0.5) is None
