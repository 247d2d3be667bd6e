"""From the runs of an experiment to the numbers of its tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mme2e.config.experiment import ExperimentSettings, Protocol, Variant
from mme2e.errors import UserError
from mme2e.experiments.outcomes import read_metrics, read_outcome
from mme2e.experiments.plan import PlannedRun
from mme2e.experiments.rows import AVERAGE, Cell, Comparison, Drawn, RunScore, Summary
from mme2e.scores.metrics import Floats, defined_mean, weighted_average
from mme2e.scores.published import TABLES
from mme2e.scores.statistics import (
    Outcome,
    Unit,
    holm,
    interval,
    paired_p,
    resamples,
    scores_of,
)


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A run that is done: what it said."""

    run: PlannedRun
    metrics: Mapping[str, Any]
    outcome: Outcome


def summarise(settings: ExperimentSettings, done: Sequence[PlannedRun]) -> Summary:
    """Computes all numbers.

    Args:
        settings: Of the experiment.
        done: Runs that are scored.

    Raises:
        UserError: Scores cannot be read, or corpora of one protocol have different emotions.
    """
    scores: list[RunScore] = []
    cells: list[Cell] = []
    comparisons: list[Comparison] = []
    label_names, drawn = {}, {}
    for protocol in settings.protocols:
        read = [
            _Read(run=run, metrics=read_metrics(run.scores), outcome=read_outcome(run.scores))
            for run in done
            if run.protocol == protocol.name
        ]
        names = {tuple(each.metrics["label_names"]) for each in read}
        if len(names) > 1:
            raise UserError(f"the corpora of protocol '{protocol.name}' have different emotions: {sorted(names)}")
        if not read:
            continue
        label_names[protocol.name] = names.pop()
        found = _Protocol(settings, protocol, read, label_names[protocol.name])
        drawn[protocol.name] = found.drawn
        scores += found.scores
        cells += found.cells()
        comparisons += found.comparisons()
    corrected = holm([each.p for each in comparisons])
    return Summary(
        scores=tuple(scores),
        cells=tuple(cells),
        comparisons=tuple(replace(each, p_holm=p) for each, p in zip(comparisons, corrected, strict=True)),
        label_names=label_names,
        drawn=drawn,
    )


class _Protocol:
    """The runs of one protocol and their resamples."""

    def __init__(
        self, settings: ExperimentSettings, protocol: Protocol, read: Sequence[_Read], names: tuple[str, ...]
    ) -> None:
        self.settings, self.protocol, self.read = settings, protocol, read
        self.emotions = (*names, AVERAGE)
        self.table = TABLES[settings.published.table] if settings.published else None
        self.drawn = _drawn(settings.bootstrap.unit, read)
        self.scores: list[RunScore] = [
            RunScore(
                protocol=protocol.name,
                fold=each.run.fold + 1,
                variant=each.run.variant.name,
                seed=each.run.seed,
                metric=metric,
                emotion=emotion,
                value=float(value),
                utterances=len(each.outcome.ids),
                run=str(each.run.folder),
            )
            for each in read
            for metric in settings.metrics
            for emotion, value in zip(self.emotions, scores_of(each.outcome, metric), strict=True)
        ]

    def of(self, variant: str) -> dict[int, list[Outcome]]:
        """Outcomes of a variant by fold."""
        folds: dict[int, list[Outcome]] = {}
        for each in self.read:
            if each.run.variant.name == variant:
                folds.setdefault(each.run.fold, []).append(each.outcome)
        return folds

    def replicates(self, variant: str, folds: Mapping[int, Sequence[Outcome]], metric: str) -> Floats:
        """(draws, emotions + 1): the mean over runs on each resample.

        All runs of a fold are scored on the same resampled test sets; seeds are drawn for each variant by itself. NaN
        where a fold has a single unit to draw.
        """
        settings = self.settings.bootstrap
        number = [each.name for each in self.settings.variants].index(variant)
        means = []
        for fold, outcomes in sorted(folds.items()):
            units = outcomes[0].units(self.drawn.unit)
            assert units is not None
            if len(set(units)) < 2:  # nothing to draw: nobody knows how sure the score is
                return np.full((settings.draws, len(self.emotions)), np.nan)
            weights = resamples(units, settings.draws, (settings.seed, fold))
            scores = np.stack([scores_of(each, metric, weights) for each in outcomes], axis=-1)
            drawn = np.ones((settings.draws, len(outcomes)))
            if settings.seeds:
                drawn = resamples(len(outcomes), settings.draws, (settings.seed, fold, 1 + number))
            means.append(weighted_average(scores, drawn[:, None, :]))
        return defined_mean(np.stack(means), axis=0)

    def cells(self) -> list[Cell]:
        """Of all variants that have runs."""
        return [
            cell
            for variant in self.settings.variants
            if self.of(variant.name)
            for metric in self.settings.metrics
            for cell in self._cells(variant, metric)
        ]

    def _cells(self, variant: Variant, metric: str) -> list[Cell]:
        replicates = self.replicates(variant.name, self.of(variant.name), metric)
        cells = []
        for index, emotion in enumerate(self.emotions):
            rows = [
                row for row in self.scores if (row.variant, row.metric, row.emotion) == (variant.name, metric, emotion)
            ]
            low, high = interval(replicates[:, index])
            mean, std = _mean_and_std(rows)
            cells.append(
                Cell(
                    protocol=self.protocol.name,
                    variant=variant.name,
                    metric=metric,
                    emotion=emotion,
                    runs=len(rows),
                    mean=mean,
                    std=std,
                    low=low,
                    high=high,
                    chance=self._chance(metric, index),
                    published=self._published(variant.name, metric, emotion),
                )
            )
        return cells

    def _chance(self, metric: str, index: int) -> float:
        firsts = {each.run.fold: each.metrics["chance"].get(metric) for each in reversed(self.read)}
        values = [_chance_of(chance, index) for chance in firsts.values()]
        return float(defined_mean(np.array(values), axis=0))

    def _published(self, variant: str, metric: str, emotion: str) -> float:
        row = self.settings.published.rows.get(variant) if self.settings.published else None
        if self.table is None or row is None:
            return math.nan
        score = self.table.score(row, metric, None if emotion == AVERAGE else emotion)
        return math.nan if score is None else score

    def comparisons(self) -> list[Comparison]:
        """Of all variants with the baseline."""
        baseline = self.settings.baseline
        if baseline is None or not self.of(baseline):
            return []
        others = [variant.name for variant in self.settings.variants if variant.name != baseline]
        pairs = [(name, _paired(self.of(name), self.of(baseline))) for name in others]
        return [
            self._compare(name, metric, *pair) for name, pair in pairs if pair[0] for metric in self.settings.metrics
        ]

    def _compare(
        self, variant: str, metric: str, mine: Mapping[int, list[Outcome]], theirs: Mapping[int, list[Outcome]]
    ) -> Comparison:
        assert self.settings.baseline is not None
        differences = (
            self.replicates(variant, mine, metric)[:, -1]
            - self.replicates(self.settings.baseline, theirs, metric)[:, -1]
        )
        low, high = interval(differences)
        return Comparison(
            protocol=self.protocol.name,
            variant=variant,
            metric=metric,
            utterances=sum(len(outcomes[0].ids) for outcomes in mine.values()),
            difference=_mean_score(mine, metric) - _mean_score(theirs, metric),
            low=low,
            high=high,
            p=paired_p(differences),
        )


def _drawn(unit: Unit, read: Sequence[_Read]) -> Drawn:
    """What can be drawn: utterances where the predictions of a run do not carry the unit."""
    unknown = any(each.outcome.units(unit) is None for each in read)
    known: Unit = "utterance" if unknown else unit
    units = {(each.run.fold, name) for each in read for name in each.outcome.units(known) or ()}
    return Drawn(unit=known, count=len(units), unknown=unknown)


def _mean_and_std(rows: Sequence[RunScore]) -> tuple[float, float]:
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row.seed, []).append(row.value)
    seeds = np.array([float(defined_mean(np.array(values), axis=0)) for values in by_seed.values()])
    return _mean_of_folds(rows), float(seeds.std(ddof=1)) if len(seeds) > 1 else math.nan


def _mean_of_folds(rows: Sequence[RunScore]) -> float:
    by_fold: dict[int, list[float]] = {}
    for row in rows:
        by_fold.setdefault(row.fold, []).append(row.value)
    folds = [float(defined_mean(np.array(values), axis=0)) for values in by_fold.values()]
    return float(defined_mean(np.array(folds), axis=0))


def _mean_score(folds: Mapping[int, Sequence[Outcome]], metric: str) -> float:
    means = [np.mean([scores_of(each, metric)[-1] for each in outcomes]) for outcomes in folds.values()]
    return float(np.mean(means))


def _paired(
    mine: Mapping[int, Sequence[Outcome]], theirs: Mapping[int, Sequence[Outcome]]
) -> tuple[dict[int, list[Outcome]], dict[int, list[Outcome]]]:
    """Both on the utterances that both scored, in the folds that both have.

    A model of faces alone scores no utterance without a face; one of text and faces does.
    """
    ours: dict[int, list[Outcome]] = {}
    others: dict[int, list[Outcome]] = {}
    for fold in sorted(mine.keys() & theirs.keys()):
        known = set(mine[fold][0].ids)
        common = [identity for identity in theirs[fold][0].ids if identity in known]
        if common:
            ours[fold] = [each.only(common) for each in mine[fold]]
            others[fold] = [each.only(common) for each in theirs[fold]]
    return ours, others


def _chance_of(chance: Any, index: int) -> float:
    """From the chance in metrics_test.json: one number, or one an emotion with their average."""
    if isinstance(chance, dict):
        chance = [*chance["per_emotion"], chance["average"]][index]
    return math.nan if chance is None else float(chance)
