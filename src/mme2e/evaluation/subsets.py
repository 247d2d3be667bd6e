"""`evaluate --subsets`: one checkpoint with every set of modalities, as if the others were missing."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mme2e.data.corpus import Corpus
from mme2e.evaluation.plots import plot_subsets
from mme2e.evaluation.predictions import Predictions, modality_subsets, predict_subsets
from mme2e.evaluation.report_files import write_report
from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.score_run import open_run, report_folder, score
from mme2e.evaluation.tables import COLUMNS, Grid, markdown_list, markdown_table, percent
from mme2e.records import to_json
from mme2e.report import Part, Result, Table
from mme2e.runs.folder import LoadedRun
from mme2e.scores.metrics import Floats, average
from mme2e.scores.statistics import Unit
from mme2e.scores.thresholds import DEFAULT_THRESHOLD, choose_thresholds


@dataclass(frozen=True, kw_only=True)
class SubsetScores(Result):
    """One run, one split, several sets of modalities.

    Attributes:
        run: Name of the run folder.
        model: Its kind, and what it was trained with, for people.
        corpus: Name and fingerprint.
        split: "train", "valid" or "test".
        evaluations: By modalities, from all of the run's to single ones. Each is over the utterances that have one of
            them or more.
        empty: Sets that no utterance of the split has anything of.
    """

    run: str
    model: str
    corpus: str
    split: str
    evaluations: dict[str, Evaluation]
    empty: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Everything, with the scores of each emotion."""
        content: dict[str, Any] = {name: getattr(self, name) for name in ("run", "model", "corpus", "split", "empty")}
        content["subsets"] = {subset: each.to_dict() for subset, each in self.evaluations.items()}
        return to_json(content)

    def to_markdown(self) -> str:
        """The table and what must be known to read it."""
        return f"# {self.title}\n\n{markdown_table(*self.table())}\n\n{markdown_list(self.describe())}\n"

    def to_csv(self) -> str:
        """A row a set: averages over emotions, then F1 of each emotion; shares in [0, 1], empty where undefined."""
        rows = [
            {
                "modalities": subset,
                "utterances": each.utterances,
                **dict(zip((*COLUMNS.values(), "chance_f1"), _averages(each), strict=True)),
                **dict(zip(("accuracy", "uar"), _choice(each), strict=False)),
                **{f"f1_{name}": value for name, value in zip(each.label_names, each.scores.f1, strict=True)},
            }
            for subset, each in self.evaluations.items()
        ]
        return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n", float_format="%.6f")

    def report(self) -> list[Part]:
        """For the screen."""
        heads, rows = self.table()
        return [Table(title=self.title, heads=heads, rows=rows), *self.describe()]

    @property
    def title(self) -> str:
        """What was scored on what."""
        return f"{self.run} ({self.model}) on {self.corpus.split(' ')[0]} {self.split}, by modalities (%)"

    def table(self) -> Grid:
        """Heads and rows: averages over emotions."""
        rows = [
            [subset.upper(), str(each.utterances), *(percent(value) for value in (*_averages(each), *_choice(each)))]
            for subset, each in self.evaluations.items()
        ]
        choice = ["accuracy", "UAR"] if any(each.choice is not None for each in self.evaluations.values()) else []
        return ["", "utt.", *COLUMNS, "chance F1", *choice], rows

    def describe(self) -> list[str]:
        """The lines that belong under the table."""
        any_one = next(iter(self.evaluations.values()))
        lines = [
            "one checkpoint; the other modalities are left out of the fusion, as where an utterance lacks them",
            "each row is over the utterances that have at least one of its modalities; averages are over emotions",
            *(["accuracy and UAR (mean recall): of the most probable emotion"] if any_one.choice is not None else []),
            f"split: {any_one.split_protocol}; {any_one.shared or 'no training split to compare with'}",
        ]
        sources = {subset: each.thresholds_from for subset, each in self.evaluations.items()}
        for source in dict.fromkeys(sources.values()):
            subsets = ", ".join(subset.upper() for subset, its in sources.items() if its == source)
            lines.append(f"decisions ({subsets}): {source}")
        if self.empty:
            empty = ", ".join(subset.upper() for subset in self.empty)
            lines.append(f"no utterance of the split has anything of {empty}")
        return lines


def _averages(evaluation: Evaluation) -> list[float]:
    """Of each of `COLUMNS`, then chance F1."""
    scores = [average(getattr(evaluation.scores, field)).value for field in COLUMNS.values()]
    return [*scores, average(evaluation.chance.f1).value]


def _choice(evaluation: Evaluation) -> list[float]:
    """Accuracy and unweighted average recall of the most probable emotion; nothing for a multi-label corpus."""
    choice = evaluation.choice
    return [] if choice is None else [choice.accuracy, average(choice.recall).value]


def evaluate_subsets(
    run: Path, *, data: Path, split: str, out: Path | None, batch_size: int, device: str, unit: Unit
) -> SubsetScores:
    """Does what `mme2e.evaluate` does for one run with `subsets`, with its arguments and errors."""
    loaded, corpus, chosen = open_run(run, data, batch_size=batch_size, device=device)
    found = _score_all(loaded, Path(run).resolve().name, corpus, split, batch_size=batch_size, device=chosen, unit=unit)
    _write(found, report_folder(run) if out is None else out)
    return found


def _score_all(
    run: LoadedRun, name: str, corpus: Corpus, split: str, *, batch_size: int, device: torch.device, unit: Unit
) -> SubsetScores:
    info = run.info
    subsets = modality_subsets(info.model)

    def predict(which: str) -> dict[str, Predictions]:
        return predict_subsets(run, corpus, which, subsets, batch_size=batch_size, device=device)

    predictions = predict(split)
    validation: dict[str, Predictions] = {}
    if info.loss != "ce" and "valid" in corpus.splits:
        validation = predictions if split == "valid" else predict("valid")
    evaluations = {}
    for subset, predicted in predictions.items():
        thresholds, source = _thresholds(info.loss, len(info.label_names), validation.get(subset))
        evaluation = score(name, info, corpus, split, predicted, thresholds, source, unit=unit)
        # The notes of a single evaluation are about all of the run's modalities.
        evaluations[subset] = replace(evaluation, notes=())
    return SubsetScores(
        run=name,
        model=f"{info.model.name} of {info.model.modalities}",
        corpus=f"{corpus.info.name} {corpus.fingerprint}",
        split=split,
        evaluations=evaluations,
        empty=tuple(subset for subset in subsets if subset not in predictions),
    )


def _thresholds(loss: str, emotions: int, validation: Predictions | None) -> tuple[Floats | None, str]:
    if loss == "ce":
        return None, "the most probable emotion of each utterance (trained with ce)"
    if validation is None:
        return np.full(emotions, DEFAULT_THRESHOLD), "default 0.5: no validation utterance has these modalities"
    chosen = choose_thresholds(validation.probabilities, validation.labels)
    return chosen, "thresholds chosen on the validation split with the same modalities"


def _write(found: SubsetScores, out: Path) -> None:
    contents: dict[str, str | bytes] = {
        "json": found.to_json(),
        "md": found.to_markdown(),
        "csv": found.to_csv(),
        "png": plot_subsets(found.evaluations, found.title),
    }
    write_report(out, f"subsets_{found.split}", contents, "evaluation")
