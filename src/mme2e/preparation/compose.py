"""`compose`: utterances put together from audio, faces and text of different people who share an emotion."""

import re
from dataclasses import dataclass
from pathlib import Path

from mme2e.errors import UserError
from mme2e.report import Part, Result, Table


@dataclass(frozen=True, kw_only=True)
class ComposedGroup:
    """The composite utterances of one emotion in one split.

    Attributes:
        split: Its name.
        label: The emotion.
        utterances: How many.
        audio: Different audio in them; so `photographs` and `texts`.
        photographs: Rows of the corpus of faces.
        texts: Rows of the corpus of text.
    """

    split: str
    label: str
    utterances: int
    audio: int
    photographs: int
    texts: int


@dataclass(frozen=True, kw_only=True)
class ComposeSummary(Result):
    """What `compose` did.

    Attributes:
        folder: The prepared corpus.
        counts: Utterances by split.
        groups: What is in them, by split and emotion.
        lacking: What was left out, or composed without a modality, and why.
        already_done: Whether an earlier call had made the very same corpus.
    """

    folder: Path
    counts: dict[str, int]
    groups: tuple[ComposedGroup, ...]
    lacking: tuple[str, ...]
    already_done: bool = False

    def report(self) -> list[Part]:
        """For the screen."""
        rows = [
            (f"{each.split} {each.label}", *map(str, (each.utterances, each.audio, each.photographs, each.texts)))
            for each in self.groups
        ]
        heads = ["", "utterances", "audio", "photographs", "texts"]
        parts: list[Part] = [Table(title=f"composed corpus {self.folder}", heads=heads, rows=rows), *self.lacking]
        return [*parts, "nothing to do: it was composed before"] if self.already_done else parts


def compose(
    *,
    audio: str | Path,
    faces: str | Path,
    text: str | Path,
    out: str | Path,
    photographs: str = "4",
    copies: int = 3,
    seed: int = 0,
    partial: bool = False,
) -> ComposeSummary:
    """Puts utterances together from three prepared corpora, of people who share nothing but the emotion and the split.

    Each utterance with audio gets faces and a text, dealt as cards are: none comes again before all of its emotion and
    split were used. Only rows with a single label take part. Recording, speaker and times are those of the audio; the
    faces stand at its start and every time between two frames of their corpus. The folder appears whole or not at all.

    Args:
        audio: Prepared corpus whose audio is used.
        faces: Prepared corpus whose faces are used; a row counts as a photograph, and a video brings all its frames.
        text: Prepared corpus whose text is used.
        out: Folder of the composed corpus; new, empty, or of an earlier call with the same corpora and options.
        photographs: Photographs an utterance: a number, or a range to draw from, as 1-6.
        copies: Utterances that each audio of the split train becomes, with other faces and text; one in other splits.
        seed: Decides what goes together.
        partial: Compose emotions that one of the corpora lacks in a split without that modality; they are left out
            otherwise. Without audio there are as many utterances as the median emotion of the split has.

    Raises:
        UserError: A corpus is missing or damaged; nothing can be composed; `photographs` or `copies` cannot be; `out`
            holds something else, is one of the corpora, or is being written by another process.
    """
    from mme2e.preparation.companions import ComposePlan
    from mme2e.preparation.composing import compose_corpora

    fewest, most = _range(str(photographs))
    plan = ComposePlan(fewest=fewest, most=most, copies=copies, seed=seed, partial=partial)
    return compose_corpora(Path(audio), Path(faces), Path(text), Path(out), plan)


def _range(photographs: str) -> tuple[int, int]:
    """The fewest and the most photographs an utterance."""
    found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", photographs.strip())
    fewest, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= fewest <= most:
        raise UserError(f"photographs must be a number from 1 on, or a range as 1-6, not '{photographs}'")
    return fewest, most
