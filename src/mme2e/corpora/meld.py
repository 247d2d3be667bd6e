"""Reader of MELD (Poria et al. 2019): dialogues of a television series, one emotion an utterance.

Expected layout, of which some of the splits are enough, and the clips may be missing::

    train_sent_emo.csv    train_splits/dia0_utt0.mp4
    dev_sent_emo.csv      dev_splits_complete/dia0_utt0.mp4
    test_sent_emo.csv     output_repeated_splits_test/dia0_utt0.mp4
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.raw_folder import existing_folder, files_of, rows_of
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.text_files import tidy_name

LABEL_NAMES = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
"""Those that are read; the others (Sentiment, Season, StartTime ...) are not read."""

_CLIP = re.compile(r"dia\d+_utt\d+")


@dataclass(frozen=True, kw_only=True)
class _Part:
    split: str
    table: str
    clips: str


PARTS = (
    _Part(split="train", table="train_sent_emo.csv", clips="train_splits"),
    _Part(split="valid", table="dev_sent_emo.csv", clips="dev_splits_complete"),
    _Part(split="test", table="test_sent_emo.csv", clips="output_repeated_splits_test"),
)


def read_meld(raw: Path) -> RawCorpus:
    """Reads MELD's tables, with its published splits; clips are looked up, not opened.

    A clip is cut to its utterance and has video and audio. Dialogues are numbered anew in each split, so that ids
    are like "train_dia0_utt0" and the recording is "train_dia0". An utterance without clip keeps its text; a clip
    without row is reported.

    Args:
        raw: Folder with the tables, or its parent where they are in MELD.Raw or data/MELD.

    Raises:
        UserError: There is no such folder, no table in it, or none with the required columns and a usable row.
    """
    existing_folder(raw)
    root = next((r for r in (raw, raw / "MELD.Raw", raw / "data" / "MELD") if any(r.glob("*_sent_emo.csv"))), raw)
    found = Collection()
    for part in PARTS:
        if (root / part.table).is_file():
            _read_part(root, part, found)
        else:
            found.skip(part.table, "no such file: the corpus is without this split")
    tables = ", ".join(part.table for part in PARTS)
    empty = f"{root} has no usable row of {tables}"
    return found.corpus("meld", LABEL_NAMES, empty=empty, split_protocol="as published")


def _read_part(root: Path, part: _Part, found: Collection) -> None:
    """Adds the utterances of one split."""
    clips = {name: path for name, path in files_of(root / part.clips, ".mp4").items() if _CLIP.fullmatch(name)}
    rows = rows_of(root / part.table, COLUMNS, found)
    if rows is None:
        return
    for row in rows:
        place = f"{part.table}:{row.line}"
        try:
            found.add(_utterance(row.cells, part, clips), place)
        except ValueError as error:
            found.skip(place, error)
    known = {id_.removeprefix(f"{part.split}_") for id_ in found.utterances}
    for name in sorted(clips.keys() - known):
        found.skip(f"{part.clips}/{name}.mp4", "clip without row")


def _utterance(cells: dict[str, str], part: _Part, clips: dict[str, Path]) -> Utterance:
    """One row.

    Raises:
        ValueError: It is too short, or its emotion or a number is none.
    """
    if not all(column in cells for column in COLUMNS):
        raise ValueError("too few cells")
    text, speaker, emotion, dialogue, number = (cells[column] for column in COLUMNS)
    if emotion.strip().lower() not in LABEL_NAMES:
        raise ValueError(f"emotion '{emotion}'; there are {', '.join(LABEL_NAMES)}")
    if not (dialogue.isdecimal() and number.isdecimal()):
        raise ValueError(f"dialogue '{dialogue}' and utterance '{number}' are to be numbers")
    clip = clips.get(f"dia{int(dialogue)}_utt{int(number)}")
    recording = f"{part.split}_dia{int(dialogue)}"
    return Utterance(
        id=f"{recording}_utt{int(number)}",
        recording=recording,
        speaker=tidy_name(speaker) or recording,
        start_s=0.0,
        end_s=None,
        text=text.strip() or None,
        labels=(emotion.strip().lower(),),
        split=part.split,
        video=clip,
        audio=clip,
    )
