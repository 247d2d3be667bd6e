"""What a run says about the utterances of a split."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress, track
from torch import nn
from torch.utils.data import DataLoader

from mme2e.data.batch import Batch
from mme2e.data.corpus import Corpus
from mme2e.data.loader import make_dataloader
from mme2e.errors import UserError
from mme2e.evaluation.metrics import Bools, Floats, sigmoid, softmax
from mme2e.training.hand_crafted import open_dataset
from mme2e.training.run_folder import LoadedRun


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


@torch.inference_mode()
def predict_split(
    run: LoadedRun,
    corpus: Corpus,
    split: str,
    *,
    batch_size: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Predictions:
    """Runs the model over a split, in the corpus' own order.

    Args:
        run: Its model is on `device`.
        corpus: A prepared corpus.
        split: "train", "valid" or "test".
        batch_size: Utterances at a time.
        device: Where the model is.
        progress: Where the way through the split is shown; a bar of its own when None.

    Raises:
        UserError: The corpus has no such split, the run has no tokenizer for its words, or the corpus lacks the
            features that the run reads.
    """
    dataset = open_dataset(corpus, split, run.info.model, run.tokenizer)
    loader = make_dataloader(dataset, batch_size=batch_size, pin_memory=device.type == "cuda")
    ids: list[str] = []
    logits, labels = [], []
    for batch in _tracked(loader, split, progress):
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


def _logits(model: nn.Module, batch: Batch, device: torch.device) -> np.ndarray:
    return model(batch.to(device, non_blocking=True).with_mel_chunks()).float().cpu().numpy()


def _tracked(batches: DataLoader, title: str, progress: Progress | None) -> Iterator[Any]:
    if progress is None:
        console = Console(stderr=True)
        yield from track(batches, title, console=console, transient=True, disable=not console.is_terminal)
        return
    bar = progress.add_task(title, total=len(batches))
    try:
        for batch in batches:
            yield batch
            progress.advance(bar)
    finally:
        progress.remove_task(bar)
