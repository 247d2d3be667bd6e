"""What the paper printed, to be drawn and printed beside what is measured here."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SOURCE = "Dai et al. 2021"

FE2E_GFLOPS = 8.65
"""Of FE2E, for an utterance whose length the paper does not give (Dai et al. 2021, table of results)."""

MESM_GFLOPS: Mapping[float, float] = MappingProxyType(
    {0.1: 2.93, 0.2: 3.23, 0.3: 3.58, 0.4: 3.94, 0.5: 4.34, 0.6: 4.71, 0.7: 5.18, 0.8: 5.66, 0.9: 6.47, 1.0: 8.65}
)
"""Of MESM by top-p, for the same utterance (Dai et al. 2021, figure of scores and GFLOPs by top-p)."""

UTTERANCES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "iemocap": MappingProxyType({"train": 5162, "valid": 737, "test": 1481}),
        "mosei": MappingProxyType({"train": 14524, "valid": 1765, "test": 4188}),
    }
)
"""Of each corpus and split, in the reference's published lists (Dai et al. 2021)."""

TOP_P = tuple(MESM_GFLOPS)
"""Values of p that are tried when nobody says which: the paper's."""


def published_share(top_p: float | None) -> float | None:
    """The paper's operations of MESM at that top-p as a share of FE2E's; None where the paper has no figure."""
    gflops = None if top_p is None else MESM_GFLOPS.get(round(top_p, 6))
    return None if gflops is None else gflops / FE2E_GFLOPS


@dataclass(frozen=True, kw_only=True)
class PublishedTable:
    """A table of the paper (Dai et al. 2021).

    Attributes:
        title: What it shows.
        corpus: Name of the corpus, a key of `UTTERANCES`.
        label_names: Emotions of the columns, in the order of the values; empty where only averages were printed.
        metrics: The two scores of each cell, as fields of `EmotionScores`.
        rows: By the paper's name of the model, both scores in percent: of each emotion, the average last.
    """

    title: str
    corpus: str
    label_names: tuple[str, ...] = ()
    metrics: tuple[str, str]
    rows: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]

    def score(self, row: str, metric: str, emotion: str | None = None) -> float | None:
        """A score as a share in [0, 1]: of an emotion, or the average; None where the paper has none."""
        if metric not in self.metrics or (emotion is not None and emotion not in self.label_names):
            return None
        values = self.rows[row][self.metrics.index(metric)]
        return values[-1 if emotion is None else self.label_names.index(emotion)] / 100


def _rows(text: str) -> Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Lines of a model and its cells, as the paper prints them: `FE2E | 88.7/63.9 89.1/61.9`."""
    rows = {}
    for line in text.strip().splitlines():
        name, cells = line.split("|")
        first, second = zip(*(map(float, cell.split("/")) for cell in cells.split()), strict=True)
        rows[name.strip()] = (first, second)
    return MappingProxyType(rows)


TABLES: Mapping[str, PublishedTable] = MappingProxyType(
    {
        "iemocap": PublishedTable(
            title="IEMOCAP: accuracy and F1 (Dai et al. 2021, table 3)",
            corpus="iemocap",
            label_names=("ang", "exc", "fru", "hap", "neu", "sad"),
            metrics=("accuracy", "f1"),
            rows=_rows("""
                LF-LSTM    | 71.2/49.4 79.3/57.2 68.2/51.5 67.2/37.6 66.5/47.0 78.2/54.0 71.8/49.5
                LF-TRANS   | 81.9/50.7 85.3/57.3 60.5/49.3 85.2/37.6 72.4/49.7 87.4/57.4 78.8/50.3
                EmoEmbs    | 65.9/48.9 73.5/58.3 68.5/52.0 69.6/38.3 73.6/48.7 80.8/53.0 72.0/49.8
                MulT       | 77.9/60.7 76.9/58.0 72.4/57.0 80.0/46.8 74.9/53.7 83.5/65.4 77.6/56.9
                FE2E       | 88.7/63.9 89.1/61.9 71.2/57.8 90.0/44.8 79.1/58.4 89.1/65.7 84.5/58.8
                MESM p=0.7 | 88.2/62.8 88.3/61.2 74.9/58.4 89.5/47.3 77.0/52.0 88.6/62.2 84.4/57.4
            """),
        ),
        "mosei": PublishedTable(
            title="CMU-MOSEI: weighted accuracy and F1 (Dai et al. 2021, table 4)",
            corpus="mosei",
            label_names=("anger", "disgust", "fear", "happiness", "sadness", "surprise"),
            metrics=("weighted_accuracy", "f1"),
            rows=_rows("""
                LF-LSTM    | 64.5/47.1 70.5/49.8 61.7/22.2 61.3/73.2 63.4/47.2 57.1/20.6 63.1/43.3
                LF-TRANS   | 65.3/47.7 74.4/51.9 62.1/24.0 60.6/72.9 60.1/45.5 62.1/24.2 64.1/44.4
                EmoEmbs    | 66.8/49.4 69.6/48.7 63.8/23.4 61.2/71.9 60.5/47.5 63.3/24.0 64.2/44.2
                MulT       | 64.9/47.5 71.6/49.3 62.9/25.3 67.2/75.4 64.0/48.3 61.4/25.6 65.4/45.2
                FE2E       | 67.0/49.6 77.7/57.1 63.8/26.8 65.4/72.6 65.2/49.0 66.7/29.1 67.6/47.4
                MESM p=0.5 | 66.8/49.3 75.6/56.4 65.8/28.9 64.1/72.3 63.0/46.6 65.7/27.2 66.8/46.8
            """),
        ),
        "modalities": PublishedTable(
            title="IEMOCAP by modalities: average accuracy and F1 (Dai et al. 2021, table 5)",
            corpus="iemocap",
            metrics=("accuracy", "f1"),
            rows=_rows("""
                FE2E TAV | 84.5/58.5
                FE2E TA  | 83.7/54.0
                FE2E TV  | 82.8/55.7
                FE2E VA  | 81.2/54.4
                FE2E T   | 80.8/50.0
                FE2E A   | 73.3/44.9
                FE2E V   | 78.2/49.8
                MESM TAV | 84.4/57.3
                MESM TA  | 83.6/56.7
                MESM TV  | 82.1/56.0
            """),
        ),
    }
)
"""Tables of scores, by the name that an experiment file gives them."""


def published_gflops(model: str, top_p: float) -> float | None:
    """The paper's operations of a forward pass, in 10^9; None where the paper has no figure.

    Args:
        model: "fe2e" or "mesm".
        top_p: Of mesm.
    """
    if model == "fe2e":
        return FE2E_GFLOPS
    return MESM_GFLOPS.get(round(top_p, 6)) if model == "mesm" else None
