"""A run folder on a split of a prepared corpus."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.progress import Progress

from mme2e.data.corpus import Corpus, load_corpus
from mme2e.errors import UserError
from mme2e.evaluation.plots import plot_evaluation, plot_reliability
from mme2e.evaluation.predictions import Predictions, predict_split
from mme2e.evaluation.report_files import write_report
from mme2e.evaluation.result import Evaluation
from mme2e.evaluation.score_report import to_markdown
from mme2e.runs.folder import LoadedRun, load_run
from mme2e.runs.info import RunInfo
from mme2e.runs.label_mapping import match_labels
from mme2e.runs.starter import STARTER
from mme2e.scores.calibration import Calibration, calibrate
from mme2e.scores.chance import always_yes, drawn_from_prior
from mme2e.scores.label_sets import choice_scores, set_scores
from mme2e.scores.metrics import METRICS, Floats, emotion_scores, one_choice
from mme2e.scores.statistics import Unit, intervals
from mme2e.scores.thresholds import DEFAULT_THRESHOLD, choose_thresholds, decide

EVALUATION_FOLDER = "evaluation"


def evaluate_run(
    run: Path, *, data: Path, split: str, out: Path | None, batch_size: int, device: str, unit: Unit
) -> Evaluation:
    """Does what `mme2e.evaluate` does for one run, with its arguments and errors."""
    loaded, corpus, chosen = open_run(run, data, batch_size=batch_size, device=device)
    name = Path(run).resolve().name
    evaluation, predictions = score_loaded(
        loaded, name, corpus, split, batch_size=batch_size, device=chosen, calibrated=True, unit=unit
    )
    _write(evaluation, predictions, report_folder(run) if out is None else out)
    return evaluation


def report_folder(run: Path) -> Path:
    """Where the report of a run goes: into its folder; that of the starter into the present one."""
    return Path(f"{STARTER}-{EVALUATION_FOLDER}") if str(run) == STARTER else run / EVALUATION_FOLDER


def open_run(run: Path, data: Path, *, batch_size: int, device: str) -> tuple[LoadedRun, Corpus, torch.device]:
    """The run and the corpus to score it on, and the device that was named, as `evaluate` takes them.

    Raises:
        UserError: One of them cannot be had, the run recognises other emotions than the corpus has, or `batch_size` is
            below 1.
    """
    from mme2e.models.device import resolve_device

    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1, not {batch_size}")
    chosen = resolve_device(device)
    corpus = load_corpus(data)
    return *load_run_for(run, corpus, chosen), chosen


def load_run_for(run: Path, corpus: Corpus, device: torch.device) -> tuple[LoadedRun, Corpus]:
    """Reads a run that is to be scored on a corpus.

    Returns:
        The run, and the corpus with its label names: it may know more emotions than the corpus has, by other names.

    Raises:
        UserError: The run cannot be read, or the corpus has an emotion that it does not know.
    """
    loaded = load_run(run, device=device)
    info, ours = loaded.info, corpus.info.label_names
    if ours == info.label_names:
        return loaded, corpus
    known = match_labels(ours, info.label_names)
    unknown = [name for name in ours if name not in known]
    if unknown:
        raise UserError(
            f"{run} recognises {', '.join(info.label_names)}, but {corpus.folder} is also labelled "
            f"{', '.join(unknown)}: 'mme2e merge {corpus.folder} --out OUT --labels {','.join(known)}' leaves those out"
        )
    return loaded, corpus.relabelled(info.label_names, known)


def score_loaded(
    run: LoadedRun,
    name: str,
    corpus: Corpus,
    split: str,
    *,
    batch_size: int,
    device: torch.device,
    progress: Progress | None = None,
    calibrated: bool = False,
    unit: Unit | None = None,
) -> tuple[Evaluation, Predictions]:
    """Scores a run in memory, as `evaluate` does.

    Args:
        run: Its model is on `device`.
        name: Of the run.
        corpus: What it is scored on.
        split: What it is scored on.
        batch_size: Utterances at a time.
        device: Where the model is.
        progress: Where the way through a split is shown; a bar of its own when None.
        calibrated: Whether to measure calibration, too; requires predictions of the validation split.
        unit: What the bootstrap of the intervals draws; None makes none.

    Raises:
        UserError: As `predict_split`.
    """

    @cache
    def predict(which: str) -> Predictions:
        return predict_split(run, corpus, which, batch_size=batch_size, device=device, progress=progress)

    predictions = predict(split)
    if run.info.loss == "ce":
        thresholds, source = None, "the most probable emotion of each utterance (trained with ce)"
    else:
        thresholds, source = _thresholds(run, corpus, predict)
    calibration = _calibration(corpus, split, predictions, predict) if calibrated else None
    evaluation = score(name, run.info, corpus, split, predictions, thresholds, source, calibration, unit)
    return evaluation, predictions


def score(
    name: str,
    info: RunInfo,
    corpus: Corpus,
    split: str,
    predictions: Predictions,
    thresholds: Floats | None,
    thresholds_from: str,
    calibration: Calibration | None = None,
    unit: Unit | None = None,
) -> Evaluation:
    """Makes all scores of one split.

    Args:
        name: Of the run.
        info: Of the run.
        corpus: What was predicted.
        split: What was predicted.
        predictions: Of the model.
        thresholds: (emotions,); None decides for the most probable emotion.
        thresholds_from: Where they come from, for people.
        calibration: Of the predictions.
        unit: What the bootstrap of the intervals draws; None makes none.
    """
    probabilities, labels = predictions.probabilities, predictions.labels
    decisions = one_choice(probabilities) if thresholds is None else decide(probabilities, thresholds)
    at_half = decide(probabilities, np.full(labels.shape[1], DEFAULT_THRESHOLD))
    single = not corpus.info.multi_label
    prior = drawn_from_prior(labels, corpus.labels("train") > 0) if "train" in corpus.splits and single else None
    return Evaluation(
        run=name,
        corpus=f"{corpus.info.name} {corpus.fingerprint}",
        split=split,
        split_protocol=corpus.info.split_protocol,
        shared=corpus.leakage(split) if split != "train" and "train" in corpus.splits else None,
        label_names=info.label_names,
        multi_label=corpus.info.multi_label,
        loss=info.loss,
        utterances=len(labels),
        positives=tuple(int(count) for count in labels.sum(axis=0)),
        thresholds=None if thresholds is None else tuple(float(threshold) for threshold in thresholds),
        thresholds_from=thresholds_from,
        scores=emotion_scores(probabilities, decisions, labels),
        sets=set_scores(decisions, labels),
        at_half=emotion_scores(probabilities, at_half, labels),
        sets_at_half=set_scores(at_half, labels),
        choice=choice_scores(probabilities, labels) if single else None,
        chance=prior if thresholds is None and prior is not None else always_yes(labels),
        choice_chance=prior,
        calibration=calibration,
        intervals=None if unit is None else intervals(predictions.outcome(decisions), METRICS, unit=unit),
        notes=_notes(info, corpus, predictions),
    )


def _thresholds(run: LoadedRun, corpus: Corpus, predict: Callable[[str], Predictions]) -> tuple[Floats, str]:
    if run.info.thresholds is not None and run.info.corpus == f"{corpus.info.name} {corpus.fingerprint}":
        return np.array(run.info.thresholds), "thresholds chosen on the validation split, stored in the run"
    if "valid" in corpus.splits:
        valid = predict("valid")
        chosen = choose_thresholds(valid.probabilities, valid.labels)
        return chosen, f"thresholds chosen on the validation split of {corpus.folder.resolve().name}"
    reason = "the run stores none for this corpus, and the corpus has no validation split"
    return np.full(len(run.info.label_names), DEFAULT_THRESHOLD), f"default 0.5: {reason}"


def _calibration(
    corpus: Corpus, split: str, predictions: Predictions, predict: Callable[[str], Predictions]
) -> Calibration | None:
    if "valid" not in corpus.splits:
        return None
    valid = predict("valid")
    fitted_on = f"{len(valid.ids)} utterances of the validation split"
    if split == "valid":
        fitted_on += ", the very ones that are scored: the error afterwards flatters"
    return calibrate(
        valid.probabilities, valid.labels, predictions.probabilities, predictions.labels, fitted_on=fitted_on
    )


def _notes(info: RunInfo, corpus: Corpus, predictions: Predictions) -> tuple[str, ...]:
    notes = []
    if "v" in info.model.modalities and info.frame_interval_ms != corpus.info.frame_interval_ms:
        here, there = corpus.info.frame_interval_ms, info.frame_interval_ms
        notes.append(f"note: this corpus has a frame every {here} ms, the run was trained with one every {there} ms")
    if predictions.left_out_note:
        notes.append(f"note: {predictions.left_out_note}")
    if predictions.cut_texts:
        longest = info.model.text.max_length
        notes.append(f"note: {predictions.cut_texts} transcripts are cut after {longest} tokens")
    return tuple(notes)


def _write(evaluation: Evaluation, predictions: Predictions, out: Path) -> None:
    files: dict[str, dict[str, str | bytes]] = {
        "metrics": {
            "json": evaluation.to_json(),
            "md": to_markdown(evaluation),
            "png": plot_evaluation(evaluation),
        },
        "predictions": {"csv": _predictions_csv(predictions, evaluation.label_names)},
        "reliability": {} if evaluation.calibration is None else {"png": plot_reliability(evaluation)},
    }
    for name, contents in files.items():
        write_report(out, f"{name}_{evaluation.split}", contents, "evaluation")
    if evaluation.calibration is None:
        (out / f"reliability_{evaluation.split}.png").unlink(missing_ok=True)  # of an earlier evaluation


def _predictions_csv(predictions: Predictions, label_names: tuple[str, ...]) -> str:
    origins = {"id": predictions.ids, "recording": predictions.recordings, "speaker": predictions.speakers}
    probabilities = {f"probability_{name}": predictions.probabilities[:, i] for i, name in enumerate(label_names)}
    labels = {f"label_{name}": predictions.labels[:, i].astype(int) for i, name in enumerate(label_names)}
    # All digits: who reads the file gets the same decisions and ranks.
    return pd.DataFrame({**origins, **probabilities, **labels}).to_csv(index=False, lineterminator="\n")
