"""What a model says about validation, with each set of its modalities: temperatures, scores, and when to abstain."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.evaluation.predictions import Predictions, modality_subsets, predict_subsets
from mme2e.runs.folder import LoadedRun
from mme2e.scores.calibration import best_temperature
from mme2e.scores.label_sets import choice_scores
from mme2e.scores.metrics import Bools, Floats, average, one_choice, softmax

ALL = "all"
"""Key of the corpus that several modalities are validated on."""

DECIDED_SHARE = 0.8
"""Of the utterances with a single modality: so many are decided, and the model abstains from the others."""

COVERAGES = tuple(round(0.1 * tenth, 1) for tenth in range(10, 0, -1))

_SMALLEST = 1e-300


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How right the most probable emotion is.

    Attributes:
        utterances: How many.
        accuracy: Share that is right.
        uar: Mean recall of the emotions that there are.
        recall: Of each emotion that there is.
    """

    utterances: int
    accuracy: float
    uar: float
    recall: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Covered:
    """What is right of the most probable answers.

    Attributes:
        coverage: Share of the utterances that are decided.
        level: Lowest probability among them.
        accuracy: Share of those that is right.
    """

    coverage: float
    level: float
    accuracy: float


def predict_sets(
    run: LoadedRun, corpora: Mapping[str, Path], *, batch_size: int = 32, device: str = "cpu"
) -> dict[str, Predictions]:
    """What a model says about validation splits, by set of modalities.

    Args:
        run: Of `ce`, for one emotion.
        corpora: Prepared corpora by what they validate: t, a, v, or `ALL` for sets of several.
        batch_size: Utterances at a time.
        device: Where the model is.

    Returns:
        By letters in the order t, a, v; without those that no corpus has anything of.

    Raises:
        UserError: The run is of another kind, or a corpus has other labels or no validation split.
    """
    info = run.info
    if info.loss != "ce":
        raise UserError(f"a starter decides for one emotion: its loss must be ce, not {info.loss}")
    wanted = sorted(modality_subsets(info.model), key=len)
    found: dict[str, Predictions] = {}
    for key, folder in corpora.items():
        sets = [each for each in wanted if (len(each) > 1 if key == ALL else each == key)]
        if not sets:
            continue
        corpus = load_corpus(folder)
        if corpus.info.label_names != info.label_names or corpus.info.multi_label:
            raise UserError(f"{folder} must have one of the labels {', '.join(info.label_names)} an utterance")
        found |= predict_subsets(run, corpus, "valid", sets, batch_size=batch_size, device=torch.device(device))
    return {each: found[each] for each in wanted if each in found}


def fit_temperature(probabilities: Floats, labels: Bools) -> float:
    """The number that logits are divided by to be the most likely: of the lowest mean -log softmax(logits / T).

    Args:
        probabilities: (utterances, emotions), each row the softmax of logits.
        labels: (utterances, emotions), one true value a row.

    Returns:
        Within `mme2e.scores.calibration.TEMPERATURE_RANGE`.
    """
    return best_temperature(lambda temperature: negative_log_likelihood(tempered(probabilities, temperature), labels))


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """softmax(logits / T) of probabilities that are the softmax of logits."""
    return softmax(np.log(probabilities.clip(_SMALLEST)) / temperature)


def negative_log_likelihood(probabilities: Floats, labels: Bools) -> float:
    """Mean of -log of the probability of what is true, in nats."""
    return float(-np.log(probabilities[labels].clip(_SMALLEST)).mean())


def abstain_level(probabilities: Floats, share: float = DECIDED_SHARE) -> float:
    """The largest level, in steps of 0.001, at which at least a share of the utterances is decided.

    Args:
        probabilities: (utterances,) of the most probable emotion; one or more.
        share: In (0, 1].
    """
    ordered = np.sort(probabilities)[::-1]
    lowest = ordered[int(np.ceil(share * len(ordered))) - 1]
    return float(np.floor(lowest * 1000) / 1000)


def curve(predictions: Predictions) -> list[Covered]:
    """Accuracy by how many of the utterances are decided, the most probable answers first."""
    sure = predictions.probabilities.max(axis=1)
    right: Bools = np.any(one_choice(predictions.probabilities) & predictions.labels, axis=1)
    order = np.argsort(-sure, kind="stable")
    points = []
    for coverage in COVERAGES:
        kept = order[: max(1, round(coverage * len(order)))]
        points.append(
            Covered(coverage=coverage, level=float(sure[kept[-1]]), accuracy=float(np.mean(right[kept], dtype=float)))
        )
    return points


def pooled(parts: list[Predictions]) -> Predictions:
    """Utterances of several validation splits as one."""
    return Predictions(
        ids=tuple(each for part in parts for each in part.ids),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        recordings=tuple(each for part in parts for each in part.recordings),
        speakers=tuple(each for part in parts for each in part.speakers),
    )


def score(predictions: Predictions, label_names: tuple[str, ...]) -> Scores:
    """Scores of the most probable emotion."""
    found = choice_scores(predictions.probabilities, predictions.labels)
    return Scores(
        utterances=len(predictions.ids),
        accuracy=found.accuracy,
        uar=average(found.recall).value,
        recall={name: float(each) for name, each in zip(label_names, found.recall, strict=True) if not np.isnan(each)},
    )


def score_groups(predictions: Predictions, names: tuple[str, ...], label_names: tuple[str, ...]) -> dict[str, Scores]:
    """Scores of each group of utterances.

    Args:
        predictions: Of all.
        names: Group of each utterance; those of the empty name are left out.
        label_names: Of the emotions.
    """
    groups = np.array(names)
    return {name: score(_rows(predictions, groups == name), label_names) for name in sorted(set(names) - {""})}


def _rows(predictions: Predictions, kept: Bools) -> Predictions:
    places = np.flatnonzero(kept)
    return replace(
        predictions,
        ids=tuple(predictions.ids[place] for place in places),
        probabilities=predictions.probabilities[kept],
        labels=predictions.labels[kept],
        recordings=tuple(predictions.recordings[place] for place in places),
        speakers=tuple(predictions.speakers[place] for place in places),
    )
