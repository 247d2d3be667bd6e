"""Training, step by step: corpus, model, Lightning, run folder."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from mme2e.config import AugmentSettings, FaceSettings, TrainSettings
from mme2e.console import screen, show
from mme2e.data.corpus import Corpus, load_corpus
from mme2e.data.features import Features, load_features
from mme2e.data.hand_crafted import corpus_identity, describe_features, with_sizes
from mme2e.errors import UserError
from mme2e.models import build_model
from mme2e.models.debug import refuse_nan
from mme2e.report import Result
from mme2e.runs.folder import RunInfo, save_run
from mme2e.text import load_text
from mme2e.training.callbacks import EpochFiles, Reporter, TopPAnnealing
from mme2e.training.data_module import EmotionData, process_rank, seed_all
from mme2e.training.fit import fit, writing
from mme2e.training.history import (
    BEST_FILE,
    CHECKPOINT_FOLDER,
    EpochRecord,
    TrainingReport,
    best_epoch,
)
from mme2e.training.initial_weights import load_initial, standardise, with_model_of_run
from mme2e.training.losses import check_loss_fits, check_votes_exist, logit_adjustment, positive_weights
from mme2e.training.module import EmotionModule
from mme2e.training.resume import Standing, owned, require_empty, require_started, resume_run, start_run

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainResult(Result):
    """What came of a training run.

    Attributes:
        run: Run folder.
        best: The epoch whose weights were kept.
        history: All epochs, those before a resume included.
        seconds: This call took.
    """

    run: Path
    best: EpochRecord
    history: tuple[EpochRecord, ...]
    seconds: float

    def report(self) -> list[str]:
        """For the screen."""
        return [f"{self.run}: best epoch {self.best.epoch}, validation macro F1 {self.best.valid_macro_f1:.3f}"]


def train_model(
    settings: TrainSettings,
    *,
    data: Path | Corpus,
    out: Path,
    resume: bool = False,
    console: Console | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainResult:
    """Does what `mme2e.train` does, with its arguments and errors.

    Args:
        settings: How to train.
        data: Prepared corpus, or its folder.
        out: Run folder.
        resume: Go on after the last finished epoch.
        console: Where progress is shown; standard error when None.
        on_epoch: Called after each epoch, when it is saved; may raise to end training, and whatever it raises comes
            out of here.
    """
    with ExitStack() as lock:
        return _train(settings, data, out, resume, console, on_epoch, lock)


def _train(
    settings: TrainSettings,
    data: Path | Corpus,
    out: Path,
    resume: bool,
    console: Console | None,
    on_epoch: Callable[[EpochRecord], None] | None,
    lock: ExitStack,
) -> TrainResult:
    """As `train`; the lock on the run folder is entered into a stack, as soon as the folder may be written to."""
    began_s = time.perf_counter()
    console = console or screen(stderr=True, quiet=process_rank() != 0)
    corpus = data if isinstance(data, Corpus) else load_corpus(data)
    settings = with_model_of_run(settings)
    _check_hardware(settings)
    _check_corpus(corpus, settings)
    features = load_features(corpus) if settings.model.hand_crafted else None
    if features is not None:
        settings = _fitted(settings, features)
    standing = Standing()
    if resume:
        require_started(out)
        with writing(out):
            lock.enter_context(owned(out))
        standing = resume_run(out, settings, corpus_identity(corpus, features))
    elif process_rank() == 0:
        require_empty(out)
    if standing.finished:
        show(f"{out} is finished after {len(standing.history)} epochs: nothing to resume", console=console)
        return _result(out, standing.history, began_s)
    if resume:
        show(f"resuming {out} after epoch {len(standing.history)}", console=console)
    seed_all(settings.seed)
    initial = load_initial(settings, corpus.info.label_names)
    text = None if initial is None else initial.text
    if text is None and settings.model.reads_tokens:
        text = load_text(settings.model.text, texts=corpus.texts("train"))
    model = build_model(
        settings.model,
        num_emotions=len(corpus.info.label_names),
        text_encoder=None if text is None else text.encoder,
    )
    if features is not None:
        standardise(model, settings.model, features)
    if initial is not None:
        initial.copy_into(model, settings.model.name)
        for line in initial.remarks():
            show(line, console=console)
    if settings.debug:
        refuse_nan(model)
    tokenizer = None if text is None else text.tokenizer
    report = TrainingReport(
        finished=False,
        corpus=corpus_identity(corpus, features),
        label_names=corpus.info.label_names,
        best=None,
        history=(),
    )
    labels = corpus.labels("train")
    pos_weight = positive_weights(labels) if settings.pos_weight and settings.loss == "bce" else None
    adjustment = logit_adjustment(labels, settings.logit_adjustment)
    module = EmotionModule(model, settings, pos_weight=pos_weight, adjustment=adjustment)
    if not standing.is_trained(settings):
        batches = EmotionData(corpus, settings, tokenizer)
        reporter = Reporter(settings.epochs, console)
        listeners = [reporter.epoch_saved]
        if on_epoch is not None:
            listeners.append(lambda history: on_epoch(history[-1]))
        callbacks = [TopPAnnealing(settings), reporter, EpochFiles(out, report, listeners)]
        with writing(out):
            if not resume and process_rank() == 0:
                lock.enter_context(owned(out))
                start_run(out, settings, report)
            fit(module, batches, settings, out=out, checkpoint=standing.checkpoint, callbacks=callbacks)
    history = tuple(module.history or standing.history)
    result = _result(out, history, began_s)
    if process_rank() == 0:
        _load_best(module, out)
        with writing(out):
            info = _run_info(settings, corpus, features, result.best)
            save_run(out, model=module.model, tokenizer=tokenizer, info=info)
            report.with_history(history, finished=True).write(out)
    return result


def _result(run: Path, history: tuple[EpochRecord, ...], began_s: float) -> TrainResult:
    seconds = time.perf_counter() - began_s
    return TrainResult(run=run, best=best_epoch(history), history=history, seconds=seconds)


def _check_hardware(settings: TrainSettings) -> None:
    gpu = torch.cuda.is_available()
    if settings.accelerator == "gpu" and not gpu:
        raise UserError("accelerator gpu requires a CUDA device, and torch finds none here: use cpu or auto")
    if settings.precision == "16" and (settings.accelerator == "cpu" or not gpu):
        raise UserError("precision 16 requires a GPU: use bf16 or 32 on the CPU")
    on_gpu = gpu and settings.accelerator != "cpu"
    most = torch.cuda.device_count() if on_gpu else os.cpu_count() or 1
    if settings.devices > most:
        raise UserError(
            f"devices {settings.devices} is more than there are here: {most} {'GPU' if on_gpu else 'CPU'}(s)"
        )


def _check_corpus(corpus: Corpus, settings: TrainSettings) -> None:
    check_loss_fits(settings.loss, corpus.labels("train"), corpus.info.multi_label)
    if settings.targets == "votes":
        check_votes_exist(corpus)
    if not corpus.labels("valid").any():
        raise UserError(f"{corpus.folder}: no utterance of the validation split has an emotion: F1 cannot be measured")


def _fitted(settings: TrainSettings, features: Features) -> TrainSettings:
    """The settings with the sizes of the features."""
    if settings.augment != AugmentSettings() and process_rank() == 0:
        _log.warning("augment has no effect: %s reads hand-crafted features", settings.model.name)
    return replace(settings, model=with_sizes(settings.model, features))


def _load_best(module: EmotionModule, out: Path) -> None:
    checkpoint = torch.load(out / CHECKPOINT_FOLDER / BEST_FILE, map_location="cpu", weights_only=True)
    module.cpu().load_state_dict(checkpoint["state_dict"])


def _run_info(settings: TrainSettings, corpus: Corpus, features: Features | None, best: EpochRecord) -> RunInfo:
    info = corpus.info
    prepared_with = info.provenance.get("settings")
    face = prepared_with.get("face") if isinstance(prepared_with, dict) else None
    return RunInfo(
        model=settings.model,
        label_names=info.label_names,
        multi_label=info.multi_label,
        loss=settings.loss,
        thresholds=best.thresholds,
        frame_interval_ms=info.frame_interval_ms,
        face=FaceSettings() if face is None else FaceSettings(**face),
        corpus=corpus_identity(corpus),
        provenance={
            "split protocol": info.split_protocol,
            "best epoch": str(best.epoch),
            "validation macro F1": f"{best.valid_macro_f1:.4f}",
            "seed": str(settings.seed),
            **({} if features is None else describe_features(settings.model, features)),
        },
    )
