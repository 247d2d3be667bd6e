"""Reader of MELD (Poria et al. 2019): dialogues of a television series, one emotion an utterance.

Expected layout, of which some of the splits are enough, and the clips may be missing::

    train_sent_emo.csv    train_splits/dia0_utt0.mp4
    dev_sent_emo.csv      dev_splits_complete/dia0_utt0.mp4
    test_sent_emo.csv     output_repeated_splits_test/dia0_utt0.mp4
"""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from mme2e.corpora.raw_folder import existing_folder, files_of, text_of
from mme2e.corpora.utterance import RawCorpus, Skipped, Utterance, first_reason
from mme2e.errors import UserError

LABEL_NAMES = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
"""Those that are wanted; the others (Sentiment, Season, StartTime ...) are not read."""

_CLIP = re.compile(r"dia\d+_utt\d+")
_REPAIRS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
"""Apostrophes and dashes of the published text are Windows' bytes taken for Latin-1."""


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

    A clip is cut to its utterance and has picture and sound. Dialogues are numbered anew in each split, so that ids
    are like "train_dia0_utt0" and the recording is "train_dia0". An utterance without clip keeps its words; a clip
    without row is reported.

    Args:
        raw: Folder with the tables, or its parent where they are in MELD.Raw or data/MELD.

    Raises:
        UserError: There is no such folder, no table in it, or none with the wanted columns and a usable row.
    """
    existing_folder(raw)
    root = next((r for r in (raw, raw / "MELD.Raw", raw / "data" / "MELD") if any(r.glob("*_sent_emo.csv"))), raw)
    skipped: list[Skipped] = []
    utterances: dict[str, Utterance] = {}
    for part in PARTS:
        if (root / part.table).is_file():
            _read_part(root, part, utterances, skipped)
        else:
            skipped.append(Skipped(item=part.table, reason="no such file: the corpus is without this split"))
    if not utterances:
        tables = ", ".join(part.table for part in PARTS)
        raise UserError(f"{root} has no usable row of {tables}{first_reason(skipped)}")
    return RawCorpus(
        name="meld",
        label_names=LABEL_NAMES,
        multi_label=False,
        utterances=tuple(utterances.values()),
        skipped=tuple(skipped),
        split_protocol="as published",
    )


def _read_part(root: Path, part: _Part, utterances: dict[str, Utterance], skipped: list[Skipped]) -> None:
    """Adds the utterances of one split."""
    clips = {name: path for name, path in files_of(root / part.clips, ".mp4").items() if _CLIP.fullmatch(name)}
    reader = csv.DictReader(io.StringIO(text_of(root / part.table), newline=""))
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        skipped.append(Skipped(item=part.table, reason=f"no column {', '.join(missing)}"))
        return
    try:
        for row in reader:
            _add_row(row, f"{part.table}:{reader.line_num}", part, clips, utterances, skipped)
    except csv.Error as error:
        place = f"{part.table}:{reader.line_num}"
        skipped.append(Skipped(item=place, reason=f"broken CSV ({error}): what follows is not read"))
    known = {id_.removeprefix(f"{part.split}_") for id_ in utterances}
    without_row = sorted(clips.keys() - known)
    skipped += [Skipped(item=f"{part.clips}/{name}.mp4", reason="clip without row") for name in without_row]


def _add_row(
    row: dict[str, str | None],
    place: str,
    part: _Part,
    clips: dict[str, Path],
    utterances: dict[str, Utterance],
    skipped: list[Skipped],
) -> None:
    try:
        utterance = _utterance(row, part, clips)
    except ValueError as error:
        skipped.append(Skipped(item=place, reason=str(error)))
        return
    if utterance.id in utterances:
        skipped.append(Skipped(item=place, reason=f"second row of {utterance.id}"))
    else:
        utterances[utterance.id] = utterance


def _utterance(row: dict[str, str | None], part: _Part, clips: dict[str, Path]) -> Utterance:
    """One row.

    Raises:
        ValueError: It is too short, or its emotion or a number is none.
    """
    text, speaker, emotion, dialogue, number = (row[column] for column in COLUMNS)
    if text is None or speaker is None or emotion is None or dialogue is None or number is None:
        raise ValueError("too few cells")
    if emotion.strip().lower() not in LABEL_NAMES:
        raise ValueError(f"emotion '{emotion}'; there are {', '.join(LABEL_NAMES)}")
    if not (dialogue.isdecimal() and number.isdecimal()):
        raise ValueError(f"dialogue '{dialogue}' and utterance '{number}' are to be numbers")
    clip = clips.get(f"dia{int(dialogue)}_utt{int(number)}")
    recording = f"{part.split}_dia{int(dialogue)}"
    return Utterance(
        id=f"{recording}_utt{int(number)}",
        recording=recording,
        speaker=speaker.translate(_REPAIRS).strip() or recording,
        start_s=0.0,
        end_s=None,
        text=text.translate(_REPAIRS).strip() or None,
        labels=(emotion.strip().lower(),),
        split=part.split,
        video=clip,
        audio=clip,
    )
