"""How much of what MESM's faces and sound say they have from the words that ask them.

    python benchmarks/words_in_towers.py CORPUS RUN [RUN ...]

Every modality's own logits on the test split, as AUC over emotions: once with the words that were spoken, once with
faces and sound asked by the words of another utterance of the batch. What is lost is what they had from the words.
A single utterance in a last batch keeps its own. Prints a table.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mme2e.data.batch import Batch
from mme2e.data.hand_crafted import open_dataset
from mme2e.data.loader import make_dataloader
from mme2e.evaluation.score_run import open_run
from mme2e.models import MESM
from mme2e.scores.metrics import average, emotion_scores

BATCH = 32


def with_other_words(batch: Batch) -> Batch:
    """Every utterance with the words of the one before it."""
    assert batch.tokens is not None
    return replace(batch, tokens=batch.tokens.select([*range(-1, len(batch) - 1)]))


def auc(logits: np.ndarray, labels: np.ndarray) -> float:
    """Average over emotions, in percent."""
    return 100 * average(emotion_scores(logits, logits > 0, labels).auc).value


def mesm_runs(split: str, batch_size: int) -> Iterator[tuple[str, MESM, Iterable[Batch]]]:
    """Name, model and batches of a split, of every run on the command line: CORPUS RUN [RUN ...].

    Args:
        split: Of the corpus.
        batch_size: Utterances at a time.
    """
    corpus_folder, *runs = map(Path, sys.argv[1:])
    for folder in runs:
        run, corpus, _ = open_run(folder, corpus_folder, batch_size=batch_size, device="cpu")
        if not isinstance(run.model, MESM):
            raise SystemExit(f"{folder} is not a MESM: it selects nothing")
        dataset = open_dataset(corpus, split, run.info.model, run.tokenizer)
        yield folder.name, run.model, make_dataloader(dataset, batch_size=batch_size)


def main() -> None:
    """Scores each run twice."""
    print("| run | asked with | words | faces | sound |\n|---|---|---|---|---|")
    for run, model, loader in mesm_runs("test", BATCH):
        batches = list(loader)
        labels = torch.cat([batch.labels for batch in batches if batch.labels is not None]).numpy() > 0
        for name, change in (("its words", lambda batch: batch), ("other words", with_other_words)):
            with torch.no_grad():
                said = torch.cat([model.modality_outputs(change(batch)).values for batch in batches]).numpy()
            order = model.fusion_order
            cells = [f"{auc(said[:, order.index(m)], labels):.1f}" if m in order else "" for m in "tva"]
            print(f"| {run} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
