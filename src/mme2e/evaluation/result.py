"""What an evaluation found, as one object."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mme2e.records import plain, to_json
from mme2e.report import Part, Result
from mme2e.scores.calibration import Calibration, Reliability
from mme2e.scores.chance import Chance
from mme2e.scores.label_sets import ChoiceScores, SetScores
from mme2e.scores.metrics import EmotionScores, average, weighted_average
from mme2e.scores.overlap import Leakage
from mme2e.scores.statistics import Intervals

_SET_KEYS = {"exact_match": "strict", "partial_match": "subset"}
"""Keys of the JSON file that kept the reference's names."""

if TYPE_CHECKING:
    from mme2e.evaluation.subsets import SubsetScores


@dataclass(frozen=True, kw_only=True)
class Evaluation(Result):
    """All scores of one run on one split.

    Attributes:
        run: Name of the run folder.
        corpus: Name and fingerprint.
        split: "train", "valid" or "test".
        split_protocol: How the corpus was split, one phrase.
        shared: What split and training share; None when there is no training split to compare with.
        label_names: Emotions, in the order of all values per emotion.
        multi_label: Whether an utterance may have none or several emotions.
        loss: What the run was trained with: decisions after bce are made by thresholds, after ce by the largest.
        utterances: Number of them.
        positives: Utterances with each emotion.
        thresholds: Of each emotion; None after ce.
        thresholds_from: Where they come from, for people.
        scores: Of the decisions.
        sets: Of the decisions, as sets.
        at_half: Of decisions at probability 0.5 (the table that the literature prints for MOSEI).
        sets_at_half: Of those, as sets.
        choice: Of the most probable emotion; None for multi-label corpora.
        chance: What the decisions would score without looking.
        choice_chance: What choosing one emotion would score without looking; None for multi-label corpora.
        calibration: Of the probabilities, with temperatures from validation; None without a validation split, or
            where nobody asked for it.
        intervals: Of the averages over emotions, by the bootstrap; None where nobody asked for them.
        notes: Anything that the reader of the scores should know.
    """

    run: str
    corpus: str
    split: str
    split_protocol: str
    shared: Leakage | None
    label_names: tuple[str, ...]
    multi_label: bool
    loss: str
    utterances: int
    positives: tuple[int, ...]
    thresholds: tuple[float, ...] | None
    thresholds_from: str
    scores: EmotionScores
    sets: SetScores
    at_half: EmotionScores
    sets_at_half: SetScores
    choice: ChoiceScores | None
    chance: Chance
    choice_chance: Chance | None
    calibration: Calibration | None = None
    intervals: Intervals | None = None
    notes: tuple[str, ...] = ()

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the emotions that the split has."""
        return average(self.scores.f1).value

    def report(self) -> list[Part]:
        """For the screen."""
        from mme2e.evaluation.tables import evaluation_parts

        return evaluation_parts(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is undefined is None. Scores per emotion come with their average, over how many
        emotions that is, and their average weighted by positives.
        """
        content = {"macro_f1": self.macro_f1, **_fields(self)}
        for name in ("sets", "sets_at_half"):
            content[name] = {_SET_KEYS.get(key, key): value for key, value in _fields(content[name]).items()}
        for name in ("scores", "at_half", "choice", "chance", "choice_chance"):
            content[name] = self._with_averages(content[name])
        if self.calibration is not None:
            averaged = {part: self._with_averages(getattr(self.calibration, part)) for part in ("before", "after")}
            content["calibration"] = {**_fields(self.calibration), **averaged}
        return plain(content)

    def to_json(self) -> str:
        """`to_dict` as text."""
        return to_json(self.to_dict())

    def _with_averages(self, scores: EmotionScores | ChoiceScores | Chance | Reliability | None) -> Any:
        if scores is None:
            return None
        content = _fields(scores)
        for name, value in content.items():
            if isinstance(value, np.ndarray) and value.ndim == 1:
                mean = average(value)
                content[name] = {
                    "per_emotion": value,
                    "average": mean.value,
                    "defined": mean.defined,
                    "weighted_average": float(weighted_average(value, np.array(self.positives))),
                }
        return content


@dataclass(frozen=True, kw_only=True)
class Evaluations(Result):
    """Several runs, scored on one split.

    Attributes:
        runs: All scores of each, or of each with every set of its modalities.
    """

    runs: "tuple[Evaluation | SubsetScores, ...]"

    def report(self) -> list[Part]:
        """For the screen: each, then all side by side."""
        from mme2e.evaluation.tables import comparison

        parts = [part for each in self.runs for part in each.report()]
        compared = [each for each in self.runs if isinstance(each, Evaluation)]
        return [*parts, comparison(compared)] if len(compared) > 1 else parts


def _fields(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}
