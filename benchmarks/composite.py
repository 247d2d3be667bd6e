"""Composite utterances: a clip of speech, photographs and a line of dialogue of different people who share an emotion.

The sources are three tables, `speech.csv` (audio, label, speaker, split), `faces.csv` (image, label, person, split) and
`text.csv` (text, label, dialogue, split), whose splits are train and valid. Their whole valid split becomes the test.
Validation is held out of train: speakers, persons and dialogues of their own.
"""

import csv
import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PHOTOGRAPHS = 6
TRAIN_COPIES = 2
"""Utterances a clip in training, with other words and photographs: there are more of these than clips."""
HELD_OUT = 0.13
"""Share of each emotion's training rows that validation gets at least: 2 of 15 speakers, 2 of 8 photographs of fear."""
START_S, END_S = 0.9, 2.89
"""Part of a clip that is used, five mel chunks; RAVDESS has silence before and after."""
COLUMNS = ("id", "images", "audio", "text", "labels", "speaker", "start_s", "end_s", "split")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One row of a table.

    Attributes:
        content: The words, or the path of the file within the folder.
        label: Emotion.
        group: Who or what may be in one split only: speaker, person or dialogue.
        split: "train", "valid" or "test".
    """

    content: str
    label: str
    group: str
    split: str


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The three tables, in our splits."""

    clips: tuple[Source, ...]
    photographs: tuple[Source, ...]
    lines: tuple[Source, ...]


def read_sources(folder: Path, seed: int = 0) -> Sources:
    """Reads the tables and holds validation out of train.

    A line that is spoken word by word in test as well leaves training and validation, and one of validation leaves
    training.

    Args:
        folder: With `speech.csv`, `faces.csv` and `text.csv`.
        seed: Decides who validates.
    """
    return Sources(
        clips=_read(folder / "speech.csv", "audio", "speaker", seed),
        photographs=_read(folder / "faces.csv", "image", "person", seed),
        lines=_without_echoes(_read(folder / "text.csv", "text", "dialogue", seed)),
    )


def compose(sources: Sources, folder: Path, seed: int = 0) -> list[dict[str, str]]:
    """Rows of a manifest: every clip once, in training `TRAIN_COPIES` times, with a line and six photographs.

    Photographs and lines are dealt as cards are: none comes again before all of its emotion and split were used.

    Args:
        sources: What to compose.
        folder: Where the files are.
        seed: Decides what goes together.
    """
    rng = random.Random(seed)  # noqa: S311  # a draw, no secret
    photographs, lines = _decks(sources.photographs, rng), _decks(sources.lines, rng)
    rows = []
    for clip in sources.clips:
        for copy in range(TRAIN_COPIES if clip.split == "train" else 1):
            key = clip.split, clip.label
            images = [folder.resolve() / photograph.content for photograph in photographs[key].deal(PHOTOGRAPHS)]
            audio = folder.resolve() / clip.content
            cells = (
                f"{audio.stem}_{copy}",
                "|".join(map(str, images)),
                str(audio),
                lines[key].deal(1)[0].content,
                clip.label,
                clip.group,
                str(START_S),
                str(END_S),
                clip.split,
            )
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


def write_manifest(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Writes the rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def count_table(rows: Sequence[dict[str, str]]) -> str:
    """Markdown: utterances, and different clips, photographs and lines in them, by split and emotion."""
    lines = ["| split | emotion | utterances | clips | photographs | lines |", "|---" * 6 + "|"]
    order = {"train": 0, "valid": 1, "test": 2}
    for split, label in sorted({(row["split"], row["labels"]) for row in rows}, key=lambda x: (order[x[0]], x[1])):
        here = [row for row in rows if (row["split"], row["labels"]) == (split, label)]
        images = {image for row in here for image in row["images"].split("|")}
        counts = (len(here), len({row["audio"] for row in here}), len(images), len({row["text"] for row in here}))
        lines.append(f"| {split} | {label} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


class _Deck:
    """Cards that are dealt in random order; when all were, they are shuffled again."""

    def __init__(self, cards: Sequence[Source], rng: random.Random) -> None:
        self._cards, self._rng = cards, rng
        self._left: list[Source] = []

    def deal(self, count: int) -> list[Source]:
        hand: list[Source] = []
        while len(hand) < count:
            self._left = self._left or self._rng.sample(self._cards, len(self._cards))
            hand.append(self._left.pop())
        return hand


def _decks(sources: Sequence[Source], rng: random.Random) -> dict[tuple[str, str], _Deck]:
    cards: defaultdict[tuple[str, str], list[Source]] = defaultdict(list)
    for source in sources:
        cards[source.split, source.label].append(source)
    return {key: _Deck(members, rng) for key, members in cards.items()}


def _read(path: Path, content: str, group: str, seed: int) -> tuple[Source, ...]:
    """A table, in our splits."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    own = _held_out([row for row in rows if row["split"] == "train"], group, seed)
    splits = {"valid": "test", "train": "train"}
    return tuple(
        Source(
            content=row[content],
            label=row["label"],
            group=row[group],
            split="valid" if row["split"] == "train" and row[group] in own else splits[row["split"]],
        )
        for row in rows
    )


def _held_out(rows: Sequence[dict[str, str]], group: str, seed: int) -> set[str]:
    """Groups for validation: drawn, rare emotions first, until each emotion has its share of rows among them.

    A group that would take more than twice the share of an emotion stays in training.
    """
    rng = random.Random(seed)  # noqa: S311
    members: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        members[row[group]][row["label"]] += 1
    counts = Counter(row["label"] for row in rows)
    wanted = {label: math.ceil(HELD_OUT * count) for label, count in counts.items()}
    held: Counter[str] = Counter()
    chosen: set[str] = set()
    for label in sorted(counts, key=lambda name: (counts[name], name)):
        candidates = sorted(name for name in members if members[name][label])
        for name in rng.sample(candidates, len(candidates)):
            fits = all(held[other] + size <= 2 * wanted[other] for other, size in members[name].items())
            if name not in chosen and fits and held[label] < wanted[label]:
                chosen.add(name)
                held += members[name]
    return chosen


def _without_echoes(lines: tuple[Source, ...]) -> tuple[Source, ...]:
    """Without the lines of training that validation or test has, and those of validation that the test has."""
    spoken: dict[str, set[str]] = {"train": set(), "valid": set(), "test": set()}
    for line in lines:
        spoken[line.split].add(line.content.strip().lower())
    later = {"train": spoken["valid"] | spoken["test"], "valid": spoken["test"], "test": set()}
    return tuple(line for line in lines if line.content.strip().lower() not in later[line.split])
