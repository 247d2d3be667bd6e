"""What an evaluation found, as one object."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mme2e.evaluation.overlap import Leakage
from mme2e.report import Part, Result
from mme2e.scores.calibration import Calibration, Reliability
from mme2e.scores.chance import Chance
from mme2e.scores.metrics import ChoiceScores, EmotionScores, SetScores, average, weighted_average

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
        content: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("scores", "at_half", "choice", "chance", "choice_chance"):
            if content[name] is not None:
                content[name] = _with_averages(content[name], np.array(self.positives))
        if self.calibration is not None:
            parts = {part: getattr(self.calibration, part) for part in ("before", "after")}
            told = {part: _with_averages(found, np.array(self.positives)) for part, found in parts.items()}
            content["calibration"] = {**dataclasses.asdict(self.calibration), **told}
        content["shared"] = None if self.shared is None else self.shared.to_dict()
        return {"macro_f1": plain(self.macro_f1), **plain(content)}

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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


def _with_averages(
    scores: EmotionScores | ChoiceScores | Chance | Reliability, positives: NDArray[np.integer]
) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for field in dataclasses.fields(scores):
        value = getattr(scores, field.name)
        if isinstance(value, np.ndarray) and value.ndim == 1:
            mean = average(value)
            value = {
                "per_emotion": value,
                "average": mean.value,
                "defined": mean.defined,
                "weighted_average": weighted_average(value, positives),
            }
        content[field.name] = value
    return content


def plain(value: Any) -> Any:
    """Dataclasses, arrays and tuples as what JSON knows; what is not a finite number is None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
