"""What a split shares with training: a score on what was seen before says less than one on what was not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KINDS = ("speaker", "recording", "text")
"""What an utterance may share with another one; columns of a corpus."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What two splits share of one kind of thing: of their speakers, recordings or texts.

    Attributes:
        shared: Different ones that are in both splits.
        of: Different ones in the split that is scored.
        utterances: Utterances of that split whose one is in the other split too.
        of_utterances: All utterances of that split.
        share: Share of the utterances concerned, in [0, 1]; None without utterances.
    """

    shared: int
    of: int
    utterances: int
    of_utterances: int
    share: float | None = field(init=False)

    def __post_init__(self) -> None:
        share = self.utterances / self.of_utterances if self.of_utterances else None
        object.__setattr__(self, "share", share)


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """How much of a split another split knows already.

    Attributes:
        split: Whose utterances are counted, mostly "test".
        against: In which split they are looked for, mostly "train".
        speakers, recordings: By their ids.
        texts: By their wording, whatever their case and spaces; utterances without text share none.
    """

    split: str
    against: str
    speakers: Overlap
    recordings: Overlap
    texts: Overlap

    def __str__(self) -> str:
        counts = f"{_of(self.recordings)} recordings, {_of(self.speakers)} speakers and {_of(self.texts)} texts"
        shares = [overlap.share or 0.0 for overlap in (self.recordings, self.speakers, self.texts)]
        where = {"train": "training", "valid": "validation"}.get(self.against, self.against)
        return (
            f"{counts} are in the {where} split too "
            f"({', '.join(f'{share:.1%}' for share in shares[:-1])} and {shares[-1]:.1%} of the utterances)"
        )


def leakage(
    here: Mapping[str, Sequence[str | None]], there: Mapping[str, Sequence[str | None]], *, split: str, against: str
) -> Leakage:
    """Counts what the utterances of a split share with those of another one; an empty split shares nothing.

    Args:
        here: For each of `KINDS` a value an utterance, of the split whose utterances are counted.
        there: Those of the split in which they are looked for.
        split: What the first is called.
        against: What the second is called.
    """
    speakers, recordings, texts = (
        overlap_of(*([_key(kind, value) for value in values[kind]] for values in (here, there))) for kind in KINDS
    )
    return Leakage(split=split, against=against, speakers=speakers, recordings=recordings, texts=texts)


def overlap_of(here: Sequence[str | None], there: Sequence[str | None]) -> Overlap:
    """What the utterances of one split share with those of another.

    Args:
        here: One value an utterance; None where it has none.
        there: The same of the split in which they are looked for.
    """
    known = {value for value in there if value}
    mine = {value for value in here if value}
    return Overlap(
        shared=len(mine & known),
        of=len(mine),
        utterances=sum(value in known for value in here),
        of_utterances=len(here),
    )


def _key(kind: str, value: str | None) -> str | None:
    return " ".join(value.split()).casefold() if kind == "text" and value else value


def _of(overlap: Overlap) -> str:
    return f"{overlap.shared} of {overlap.of}"
