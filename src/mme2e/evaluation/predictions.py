"""What a run says about the utterances of a split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader

from mme2e.config import MODALITIES, ModelSettings
from mme2e.console import tracked
from mme2e.data.batch import Batch
from mme2e.data.corpus import Corpus
from mme2e.data.dataset import UtteranceDataset
from mme2e.data.hand_crafted import open_dataset
from mme2e.data.loader import make_dataloader
from mme2e.errors import UserError
from mme2e.models import MESM
from mme2e.runs.folder import LoadedRun
from mme2e.scores.metrics import Bools, Floats, sigmoid, softmax
from mme2e.scores.statistics import Outcome

SHOWN_IDS = 5


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a model says about the utterances of one split.

    Attributes:
        ids: (utterances,) their ids.
        probabilities: (utterances, emotions) in [0, 1].
        labels: (utterances, emotions) the truth.
        recordings, speakers: (utterances,) the recording and the speaker of each.
        left_out: How many utterances have none of the model's modalities, or lack one that it requires, and are not
            among these.
        left_out_note: Which those are, and what they lack; empty where there are none.
        cut_texts: How many transcripts are longer than the model reads.
    """

    ids: tuple[str, ...]
    probabilities: Floats
    labels: Bools
    recordings: tuple[str, ...]
    speakers: tuple[str, ...]
    left_out: int = 0
    left_out_note: str = ""
    cut_texts: int = 0

    def outcome(self, decisions: Bools) -> Outcome:
        """With what is decided, for the statistics."""
        return Outcome(
            ids=self.ids,
            probabilities=self.probabilities,
            decisions=decisions,
            labels=self.labels,
            recordings=self.recordings,
            speakers=self.speakers,
        )


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
        UserError: The corpus has no such split, the run has no tokenizer for its text, or the corpus lacks the
            features that the run reads.
    """
    dataset = open_dataset(corpus, split, run.info.model, run.tokenizer)
    ids: list[str] = []
    logits, labels = [], []
    for batch in _batches(dataset, split, batch_size, device, progress):
        ids.extend(batch.ids or ())
        labels.append(_labels(batch))
        logits.append(_to_numpy(run.model(batch)))
    recordings, speakers = _origins(corpus, split, ids)
    return Predictions(
        ids=tuple(ids),
        probabilities=_probabilities(np.concatenate(logits), run.info.loss, split),
        labels=np.concatenate(labels),
        recordings=recordings,
        speakers=speakers,
        left_out=len(dataset.left_out),
        left_out_note=_left_out_note(dataset),
        cut_texts=dataset.count_cut_texts(),
    )


def modality_subsets(settings: ModelSettings) -> tuple[str, ...]:
    """Sets of modalities that a model can do with, the largest first; those of mesm hold the text it selects by."""
    used = "".join(letter for letter in MODALITIES if letter in settings.modalities)
    sizes = range(len(used), 0, -1)
    subsets = ("".join(letters) for size in sizes for letters in combinations(used, size))
    return tuple(subset for subset in subsets if set(settings.required_modalities) <= set(subset))


@torch.inference_mode()
def predict_subsets(
    run: LoadedRun,
    corpus: Corpus,
    split: str,
    subsets: Sequence[str],
    *,
    batch_size: int,
    device: torch.device,
    progress: Progress | None = None,
) -> dict[str, Predictions]:
    """As `predict_split`, with each of several sets of modalities alone: the fusion gets to know of no others.

    Each branch reads each utterance once, whatever the number of subsets; those of MESM that are conditioned on the
    text twice, with it and without.

    Args:
        run: Its model is on `device`.
        corpus: A prepared corpus.
        split: "train", "valid" or "test".
        subsets: Some of the letters of the model's modalities, each.
        batch_size: Utterances at a time.
        device: Where the model is.
        progress: Where the way through the split is shown; a bar of its own when None.

    Returns:
        By subset, without those that no utterance has anything of.

    Raises:
        UserError: As `predict_split`.
    """
    dataset = open_dataset(corpus, split, run.info.model, run.tokenizer)
    model = run.model
    order: str = model.fusion_order  # type: ignore[assignment]  # every model of ours has one
    # Faces and audio of MESM depend on the text: without it they are read once more.
    conditioned = isinstance(model, MESM) and "t" in order and any("t" not in subset for subset in subsets)
    gathered: dict[str, list[tuple[tuple[str, ...], np.ndarray, Bools]]] = {subset: [] for subset in subsets}
    total = len(dataset.left_out)
    for batch in _batches(dataset, split, batch_size, device, progress):
        outputs = model.modality_outputs(batch)  # type: ignore[operator]  # likewise
        silent = model.modality_outputs(replace(batch, tokens=None)) if conditioned else outputs  # type: ignore[operator]
        total += len(batch)
        for subset, parts in gathered.items():
            wanted = torch.tensor([letter in subset for letter in order], device=outputs.present.device)
            seen = outputs if "t" in subset else silent
            present = seen.present & wanted
            here = present.any(dim=1)
            if not here.any():
                continue
            rows = here.cpu().numpy()
            logits = _to_numpy(model.fusion(seen.values[here], present[here]))  # type: ignore[operator]
            ids = tuple(identity for identity, is_here in zip(batch.ids or (), rows, strict=True) if is_here)
            parts.append((ids, logits, _labels(batch)[rows]))
    found = {}
    for subset, parts in gathered.items():
        if parts:
            ids = tuple(identity for part in parts for identity in part[0])
            recordings, speakers = _origins(corpus, split, ids)
            found[subset] = Predictions(
                ids=ids,
                probabilities=_probabilities(np.concatenate([part[1] for part in parts]), run.info.loss, split),
                labels=np.concatenate([part[2] for part in parts]),
                recordings=recordings,
                speakers=speakers,
                left_out=total - len(ids),
            )
    return found


def _left_out_note(dataset: UtteranceDataset) -> str:
    out = dataset.left_out
    if not out:
        return ""
    named = ", ".join(out[:SHOWN_IDS]) + (", ..." if len(out) > SHOWN_IDS else "")
    return f"{len(out)} of {len(out) + len(dataset)} utterances have {dataset.lacking}, and are not scored: {named}"


def _batches(
    dataset: UtteranceDataset, split: str, batch_size: int, device: torch.device, progress: Progress | None
) -> Iterator[Batch]:
    """The utterances in order, on the device, with mel chunks where there is audio."""
    loader = make_dataloader(dataset, batch_size=batch_size, pin_memory=device.type == "cuda")
    for batch in _tracked(loader, split, progress):
        yield batch.to(device).with_mel_chunks()


def _origins(corpus: Corpus, split: str, ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Recordings and speakers of utterances."""
    columns = corpus.columns(split, ["id", "recording", "speaker"]).to_pydict()
    known = {identity: (recording, speaker) for identity, recording, speaker in zip(*columns.values(), strict=True)}
    recordings, speakers = zip(*(known[identity] for identity in ids), strict=True)
    return recordings, speakers


def _labels(batch: Batch) -> Bools:
    assert batch.labels is not None  # prepared corpora have labels
    return batch.labels.cpu().numpy() > 0


def _to_numpy(logits: Tensor) -> Floats:
    return logits.float().cpu().numpy()


def _probabilities(logits: Floats, loss: str, split: str) -> Floats:
    if not np.isfinite(logits).all():
        raise UserError(f"the model's logits on split '{split}' are not all finite numbers: its weights are of no use")
    return softmax(logits) if loss == "ce" else sigmoid(logits)


def _tracked(batches: DataLoader, title: str, progress: Progress | None) -> Iterator[Any]:
    if progress is None:
        yield from tracked(batches, len(batches), title)
        return
    bar = progress.add_task(title, total=len(batches))
    try:
        for batch in batches:
            yield batch
            progress.advance(bar)
    finally:
        progress.remove_task(bar)
