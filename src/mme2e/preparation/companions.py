"""Which audio, faces and text make composite utterances: dealt as cards are."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mme2e.config.checks import require

MODALITY_WORDS = ("audio", "faces", "text")

Pools = Mapping[str, Sequence[int]]
"""Rows of one split of a corpus, by label."""


@dataclass(frozen=True, kw_only=True)
class ComposePlan:
    """How utterances are put together.

    Attributes:
        fewest: Photographs an utterance, at least.
        most: At most.
        copies: Utterances that each audio of the split train becomes; one in other splits.
        seed: Decides what goes together.
        partial: Whether emotions that one corpus lacks are composed without that modality.
    """

    fewest: int
    most: int
    copies: int
    seed: int
    partial: bool

    def __post_init__(self) -> None:
        require(self.copies >= 1, f"copies must be at least 1, not {self.copies}")


@dataclass(frozen=True, kw_only=True)
class Composite:
    """A composite utterance, as rows of the three corpora.

    Attributes:
        label: The emotion.
        copy: 0, 1, ...: how many utterances with this audio (without audio: with this text) come before it.
        audio: Row; None without.
        faces: Rows; empty without.
        text: Row; None without.
    """

    label: str
    copy: int
    audio: int | None
    faces: tuple[int, ...]
    text: int | None


class Deck:
    """Cards that are dealt in random order; when all were dealt, they are shuffled again.

    A hand has no card twice as long as there are as many cards.
    """

    def __init__(self, cards: Sequence[int], rng: random.Random) -> None:
        self._cards, self._rng = cards, rng
        self._left: list[int] = []

    def deal(self, count: int) -> list[int]:
        """So many cards; none when there are no cards at all."""
        hand: list[int] = []
        while self._cards and len(hand) < count:
            if not self._left:
                shuffled = self._rng.sample(self._cards, len(self._cards))
                self._left = sorted(shuffled, key=lambda card: card not in hand)
            hand.append(self._left.pop())
        return hand


def composites(
    split: str, label_names: Sequence[str], pools: tuple[Pools, Pools, Pools], plan: ComposePlan
) -> tuple[list[Composite], list[str]]:
    """Puts the utterances of a split together; the same for the same arguments, each emotion for itself.

    Args:
        split: Name of the split.
        label_names: Emotions.
        pools: Rows with audio, faces, text.
        plan: How.

    Returns:
        The utterances, and what is lacking, in words.
    """
    copies = plan.copies if split == "train" else 1
    dealt: dict[str, list[Composite]] = {}
    lacking: list[str] = []
    without_audio: list[str] = []
    for label in label_names:
        missing = [word for word, pool in zip(MODALITY_WORDS, pools, strict=True) if not pool.get(label)]
        if len(missing) == len(MODALITY_WORDS):
            lacking.append(f"{split}: no utterance of '{label}' in any of the corpora")
        elif missing and not (plan.partial and len(missing) == 1):
            lacking.append(f"{split}: '{label}' left out: no {' and no '.join(missing)}")
        elif missing == ["audio"]:
            without_audio.append(label)
        else:
            lacking += [f"{split}: '{label}' composed without {word}" for word in missing]
            audio = [(row, copy) for row in pools[0][label] for copy in range(copies)]
            dealt[label] = _with_companions(split, label, audio, pools, plan)
    if without_audio and not dealt:
        lacking += [f"{split}: '{label}' left out: no emotion has audio" for label in without_audio]
    elif without_audio:
        count = round(statistics.median(len(members) for members in dealt.values()))
        for label in without_audio:
            lacking.append(f"{split}: '{label}' composed without audio")
            dealt[label] = _with_companions(split, label, [(None, 0)] * count, pools, plan)
    return [each for label in label_names for each in dealt.get(label, [])], lacking


def _with_companions(
    split: str,
    label: str,
    audio: Sequence[tuple[int | None, int]],
    pools: tuple[Pools, Pools, Pools],
    plan: ComposePlan,
) -> list[Composite]:
    """An utterance for each audio and copy."""
    rng = random.Random(f"{plan.seed} {split} {label}")  # noqa: S311  # a draw, no secret
    photographs, texts = (Deck(pool.get(label, ()), rng) for pool in pools[1:])
    seen: dict[int, int] = {}
    found = []
    for row, copy in audio:
        faces = photographs.deal(rng.randint(plan.fewest, plan.most))
        text = next(iter(texts.deal(1)), None)
        if row is None and text is not None:
            copy = seen.get(text, 0)
            seen[text] = copy + 1
        found.append(Composite(label=label, copy=copy, audio=row, faces=tuple(faces), text=text))
    return found
