"""A smaller prepared corpus: some of the training utterances of another one, the same ones for the same seed."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from mme2e.data.corpus import load_corpus
from mme2e.preparation.copying import ShardWriter, whole_folder


def in_turn(labels: Sequence[str], seed: int) -> list[int]:
    """All places in an order whose beginnings have the emotions as equally often as there are utterances of them.

    The first n of it are part of the first n + 1, so that more utterances means the same ones and others.

    Args:
        labels: Of the utterances.
        seed: Decides which utterance of an emotion comes first, and which emotion.
    """
    rng = random.Random(seed)  # noqa: S311
    waiting: defaultdict[str, list[int]] = defaultdict(list)
    for place in rng.sample(range(len(labels)), len(labels)):
        waiting[labels[place]].append(place)
    rounds = [(turn, place) for places in waiting.values() for turn, place in enumerate(places)]
    return [place for _, place in sorted(rounds, key=lambda each: each[0])]


def drawn(labels: Sequence[str], seed: int) -> list[int]:
    """All places in a random order, as `in_turn`, but with the emotions as frequent as they are."""
    return random.Random(seed).sample(range(len(labels)), len(labels))  # noqa: S311


def write_smaller(source: Path, out: Path, *, train: int, seed: int, balanced: bool) -> int:
    """Writes a corpus with so many of the training utterances and the whole validation split; one that is there stays.

    Args:
        source: Prepared corpus of one label an utterance.
        out: Folder of the new one.
        train: Training utterances, at most; all where there are fewer.
        seed: Decides which.
        balanced: Whether the emotions take turns.

    Returns:
        How many training utterances it has.
    """
    if out.is_dir():
        return load_corpus(out).info.counts["train"]
    corpus = load_corpus(source)
    labels = [each[0] for each in corpus.columns("train", ["labels"])["labels"].to_pylist()]
    chosen = sorted((in_turn if balanced else drawn)(labels, seed)[:train])
    with whole_folder(out) as folder:
        for split in ("train", "valid"):
            rows = pa.concat_tables(corpus.tables(split))
            kept = rows.take(chosen) if split == "train" else rows
            with ShardWriter(folder / split, "part-") as writer:
                writer.add_table(kept)
        counts = {"train": len(chosen), "valid": corpus.info.counts["valid"]}
        provenance = {**corpus.info.provenance, "training utterances drawn": f"{len(chosen)}, seed {seed}"}
        replace(corpus.info, counts=counts, provenance=provenance).write(folder)
    return len(chosen)
