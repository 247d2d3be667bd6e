"""`evaluate`: a run folder on a split of a prepared corpus."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn

from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.dataset import UtteranceDataset
from mme2e.data.loader import make_dataloader
from mme2e.errors import UserError
from mme2e.evaluation.chance import always_yes, drawn_from_prior
from mme2e.evaluation.metrics import (
    Bools,
    Floats,
    choice_scores,
    emotion_scores,
    one_choice,
    set_scores,
    sigmoid,
    softmax,
)
from mme2e.evaluation.plots import plot_evaluation
from mme2e.evaluation.result import Evaluation, SharedWithTrain
from mme2e.evaluation.tables import print_evaluation, to_markdown
from mme2e.evaluation.thresholds import DEFAULT_THRESHOLD, choose_thresholds, decide
from mme2e.training.run_folder import LoadedRun, load_run
from mme2e.training.run_info import RunInfo

EVALUATION_FOLDER = "evaluation"


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model says about the utterances of one split.

    Attributes:
        ids: (utterances,) their ids.
        probabilities: (utterances, emotions) in [0, 1].
        labels: (utterances, emotions) the truth.
        left_out: How many utterances have none of the model's modalities and are not among these.
    """

    ids: tuple[str, ...]
    probabilities: Floats
    labels: Bools
    left_out: int = 0


def evaluate(
    run: Path,
    *,
    data: Path,
    split: str = "test",
    out: Path | None = None,
    batch_size: int = 8,
    device: str = "cpu",
    console: Console | None = None,
) -> Evaluation:
    """Scores a run and writes metrics_SPLIT.json, .md and .png and predictions_SPLIT.csv.

    Thresholds come from validation data only: those that the run stores when it was trained on this very corpus, else
    chosen on the validation split of `data`, else 0.5; the result says which.

    Args:
        run: Run folder.
        data: Prepared corpus.
        split: "train", "valid" or "test".
        out: Folder to write into; RUN/evaluation when None.
        batch_size: Utterances at a time.
        device: "auto" (CUDA when present), "cpu", "cuda", "cuda:1", ...
        console: Where the table is printed; standard output when None.

    Raises:
        UserError: Run or corpus cannot be read, their label names differ, or the corpus has no such split.
    """
    from mme2e.inference.request import resolve_device

    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1, not {batch_size}")
    chosen = resolve_device(device)
    corpus = load_corpus(data)
    loaded = load_run(run, device=chosen)
    if loaded.info.label_names != corpus.info.label_names:
        raise UserError(
            f"{run} tells {', '.join(loaded.info.label_names)}, but {data} has {', '.join(corpus.info.label_names)}: "
            "a run is evaluated on the emotions that it was trained on, in the same order"
        )
    predictions = predict_split(loaded, corpus, split, batch_size=batch_size, device=chosen)
    if loaded.info.loss == "ce":
        thresholds, source = None, "the most probable emotion of each utterance (trained with ce)"
    else:
        thresholds, source = _thresholds(loaded, corpus, split, predictions, batch_size=batch_size, device=chosen)
    evaluation = score(Path(run).resolve().name, loaded.info, corpus, split, predictions, thresholds, source)
    _write(evaluation, predictions, Path(run) / EVALUATION_FOLDER if out is None else out)
    print_evaluation(evaluation, console)
    return evaluation


@torch.inference_mode()
def predict_split(run: LoadedRun, corpus: Corpus, split: str, *, batch_size: int, device: torch.device) -> Predictions:
    """Runs the model over a split, in the corpus' own order.

    Raises:
        UserError: The corpus has no such split, or the run has no tokenizer for its words.
    """
    settings = run.info.model
    dataset = UtteranceDataset(corpus, split, settings.modalities, run.tokenizer, settings.text.max_length)
    loader = make_dataloader(dataset, batch_size=batch_size, pin_memory=device.type == "cuda")
    console = Console(stderr=True)
    ids: list[str] = []
    logits, labels = [], []
    for batch in track(loader, split, console=console, transient=True, disable=not console.is_terminal):
        ids.extend(batch.ids)
        labels.append(batch.labels.numpy() > 0)
        logits.append(_logits(run.model, batch, device))
    scores = np.concatenate(logits)
    if not np.isfinite(scores).all():
        raise UserError(f"the model's logits on split '{split}' are not all finite numbers: its weights are of no use")
    probabilities = softmax(scores) if run.info.loss == "ce" else sigmoid(scores)
    return Predictions(
        ids=tuple(ids),
        probabilities=probabilities,
        labels=np.concatenate(labels),
        left_out=len(dataset.left_out),
    )


def score(
    name: str,
    info: RunInfo,
    corpus: Corpus,
    split: str,
    predictions: Predictions,
    thresholds: Floats | None,
    thresholds_from: str,
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
        shared=_shared(corpus, split),
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
        notes=_notes(info, corpus, predictions),
    )


def _logits(model: nn.Module, batch, device: torch.device) -> np.ndarray:  # type: ignore[no-untyped-def]  # a Batch
    return model(batch.to(device, non_blocking=True).with_mel_chunks()).float().cpu().numpy()


def _thresholds(
    run: LoadedRun, corpus: Corpus, split: str, predictions: Predictions, *, batch_size: int, device: torch.device
) -> tuple[Floats, str]:
    if run.info.thresholds is not None and run.info.corpus == f"{corpus.info.name} {corpus.fingerprint}":
        return np.array(run.info.thresholds), "thresholds chosen on the validation split, stored in the run"
    if "valid" in corpus.splits:
        if split != "valid":
            predictions = predict_split(run, corpus, "valid", batch_size=batch_size, device=device)
        chosen = choose_thresholds(predictions.probabilities, predictions.labels)
        return chosen, f"thresholds chosen on the validation split of {corpus.folder.resolve().name}"
    reason = "the run stores none for this corpus, and the corpus has no validation split"
    return np.full(len(run.info.label_names), DEFAULT_THRESHOLD), f"default 0.5: {reason}"


def _shared(corpus: Corpus, split: str) -> SharedWithTrain | None:
    if split == "train" or "train" not in corpus.splits:
        return None
    here, there = corpus.split(split), corpus.split("train")
    recordings, speakers = (set(here[column]) for column in ("recording", "speaker"))
    return SharedWithTrain(
        recordings=len(recordings & set(there["recording"])),
        of_recordings=len(recordings),
        speakers=len(speakers & set(there["speaker"])),
        of_speakers=len(speakers),
    )


def _notes(info: RunInfo, corpus: Corpus, predictions: Predictions) -> tuple[str, ...]:
    notes = []
    if "v" in info.model.modalities and info.frame_interval_ms != corpus.info.frame_interval_ms:
        here, there = corpus.info.frame_interval_ms, info.frame_interval_ms
        notes.append(f"note: this corpus has a frame every {here} ms, the run was trained with one every {there} ms")
    if predictions.left_out:
        total = predictions.left_out + len(predictions.ids)
        lacking = f"have none of the modalities '{info.model.modalities}'"
        notes.append(f"note: {predictions.left_out} of {total} utterances {lacking} and are not scored")
    return tuple(notes)


def _write(evaluation: Evaluation, predictions: Predictions, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        texts = {
            f"metrics_{evaluation.split}.json": evaluation.to_json(),
            f"metrics_{evaluation.split}.md": to_markdown(evaluation),
            f"predictions_{evaluation.split}.csv": _predictions_csv(predictions, evaluation.label_names),
        }
        for name, text in texts.items():
            temporary = out / f".{name}.tmp"
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(out / name)
        plot_evaluation(evaluation, out / f"metrics_{evaluation.split}.png")
    except OSError as error:
        raise UserError(f"cannot write the evaluation into {out}: {error.strerror or error}") from error


def _predictions_csv(predictions: Predictions, label_names: tuple[str, ...]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["id", *(f"probability_{name}" for name in label_names), *(f"label_{name}" for name in label_names)]
    )
    for identity, probabilities, labels in zip(
        predictions.ids, predictions.probabilities, predictions.labels, strict=True
    ):
        writer.writerow([identity, *(f"{value:.6f}" for value in probabilities), *(int(label) for label in labels)])
    return file.getvalue()
