"""Reader of GoEmotions (Demszky et al. 2020): comments of Reddit, with any of 27 emotions or neutral.

Expected layout, of which some of the splits are enough::

    train.tsv  dev.tsv  test.tsv      text, numbers of the emotions with commas between them, id of the comment
    emotions.txt                      names of the emotions, in the order of the numbers
"""

from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.raw_folder import existing_folder, lines_of
from mme2e.corpora.row_groups import RowGroups
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.errors import UserError
from mme2e.text_files import numbered_lines

EKMAN = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": (
        *("joy", "amusement", "approval", "excitement", "gratitude", "love"),
        *("optimism", "relief", "pride", "admiration", "desire", "caring"),
    ),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
    "neutral": ("neutral",),
}
"""The authors' grouping by Ekman's emotions (their ekman_mapping.json, which leaves neutral to itself)."""

NAMES_FILE = "emotions.txt"
TABLES = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}


def read_goemotions(raw: Path, *, grouping: str | None = None) -> RawCorpus:
    """Reads GoEmotions' tables, with its published splits.

    A comment may have several emotions. Text stays as it is published, with `[NAME]` and `[RELIGION]`. Comments of a
    split are put together in recordings (see `row_groups`); who wrote them is not known.

    Args:
        raw: Folder with the tables and emotions.txt.
        grouping: "ekman": seven emotions, `EKMAN`; None: all as they are.

    Raises:
        UserError: There is no such folder, no emotions.txt or no table in it, an emotion that is in no group, or no
            row that can be used.
        ValueError: There is no such grouping.
    """
    if grouping not in (None, "ekman"):
        raise ValueError(f"grouping is '{grouping}'; expected is ekman or None")
    existing_folder(raw)
    if not (raw / NAMES_FILE).is_file():
        raise UserError(f"{raw} has no {NAMES_FILE}, the names of GoEmotions' emotions; expected is its folder data")
    emotions = tuple(line.strip() for _, line in numbered_lines(raw / NAMES_FILE))
    label_of = {emotion: emotion for emotion in emotions}
    if grouping == "ekman":
        label_of = {emotion: group for group, members in EKMAN.items() for emotion in members}
        if unknown := [emotion for emotion in emotions if emotion not in label_of]:
            raise UserError(f"{raw / NAMES_FILE} has '{unknown[0]}', which is in no group of Ekman's emotions")
    found = Collection()
    groups = RowGroups()
    for split, table in TABLES.items():
        if not (raw / table).is_file():
            found.skip(table, "no such file: the corpus is without this split")
            continue
        for place, line in lines_of(raw / table, found):
            try:
                found.add(_utterance(line, split, emotions, label_of, groups), place)
            except ValueError as error:
                found.skip(place, error)
    return found.corpus(
        "goemotions" if grouping is None else f"goemotions_{grouping}",
        emotions if grouping is None else tuple(EKMAN),
        empty=f"{raw} has no usable row of {', '.join(TABLES.values())}",
        multi_label=True,
        split_protocol="as published",
    )


def read_goemotions_ekman(raw: Path) -> RawCorpus:
    """As `read_goemotions`, grouped by Ekman's emotions."""
    return read_goemotions(raw, grouping="ekman")


def _utterance(
    line: str, split: str, emotions: tuple[str, ...], label_of: dict[str, str], groups: RowGroups
) -> Utterance:
    """One row.

    Raises:
        ValueError: It has other than three cells, no text, or a number that is no emotion.
    """
    cells = line.split("\t")
    if len(cells) != 3:
        raise ValueError(f"{len(cells)} cells with tabs between them; expected are text, emotions and id")
    text, numbers, id_ = (cell.strip() for cell in cells)
    if not text or not id_:
        raise ValueError(f"no {'id' if text else 'text'}")
    labels = set()
    for number in numbers.split(","):
        if not number.strip().isdecimal() or int(number) >= len(emotions):
            raise ValueError(f"emotion '{number}'; expected are numbers from 0 to {len(emotions) - 1}")
        labels.add(label_of[emotions[int(number)]])
    recording = groups.next(split)
    return Utterance(
        id=id_,
        recording=recording,
        speaker=recording,
        start_s=0.0,
        end_s=None,
        text=text,
        labels=tuple(sorted(labels)),
        split=split,
    )
