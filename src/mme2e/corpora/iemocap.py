"""Reader of IEMOCAP (Busso et al. 2008) as its distributors ship it.

Expected layout, for each session S from 1 to 5::

    IEMOCAP_full_release/SessionS/dialog/EmoEvaluation/<dialogue>.txt    labels
    IEMOCAP_full_release/SessionS/dialog/transcriptions/<dialogue>.txt   text
    IEMOCAP_full_release/SessionS/dialog/wav/<dialogue>.wav              stereo, one speaker a channel
    IEMOCAP_full_release/SessionS/dialog/avi/DivX/<dialogue>.avi         720x480, two people side by side
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.raw_folder import existing_folder, files_of, lines_of
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.errors import UserError
from mme2e.media.region import Region
from mme2e.times import seconds_of

LABEL_NAMES = ("ang", "exc", "fru", "hap", "neu", "sad")
"""The six classes of Dai et al. 2021; turns with another label are skipped."""

RELEASE_FOLDER = "IEMOCAP_full_release"
FRAME_WIDTH_PX, FRAME_HEIGHT_PX = 720, 480
REGION_SIZE_PX = 224

_TIMES = r"\[\s*([\d:.,]+)\s*-\s*([\d:.,]+)\s*\]"
_LABEL_LINE = re.compile(rf"^{_TIMES}\t(?P<id>\S+)\t(?P<label>[a-z]{{3}})(?:\t.*)?$")
_TRANSCRIPT_LINE = re.compile(rf"^(?P<id>\S+)\s+{_TIMES}\s*:(?P<text>.*)$")
_UNTIMED_LINE = re.compile(r"^[FM]:")  # remarks between turns: "M: [LAUGHTER]"
_OTHER_LABEL_FILE_LINE = re.compile(r"^(%|[CA]-[EFM]\d+:)")  # header, single annotators
_EVALUATOR_LINE = re.compile(r"^C-E\d+:\s*(?P<chosen>[^(]*)")  # "C-E2:<tab>Frustration; Anger;<tab>(remark)"
_EVALUATORS_NAMES = {
    "anger": "ang",
    "excited": "exc",
    "frustration": "fru",
    "happiness": "hap",
    "neutral": "neu",
    "neutral state": "neu",
    "sadness": "sad",
}
_TURN = re.compile(r"^(?P<dialogue>Ses(?P<session>\d\d)(?P<left>[FM])_\w+)_(?P<speaker>[FM])\w*$")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What the id of a turn says.

    Attributes:
        dialogue: Its recording.
        speaker: Session and letter of who speaks ("Ses01F").
        left: Whether that person is left in the frame and on channel 0: the one whose letter ends the session
            prefix (`Ses01F_impro01_F000`) is.
    """

    dialogue: str
    speaker: str
    left: bool


def turn_of(id_: str) -> Turn | None:
    """The turn that an id names; None where it names none."""
    match = _TURN.match(id_)
    if match is None:
        return None
    return Turn(
        dialogue=match["dialogue"],
        speaker=f"Ses{match['session']}{match['speaker']}",
        left=match["speaker"] == match["left"],
    )


def region_of_half(left: bool) -> Region:
    """The centre 224x224 of the left or right half of a 720x480 frame, where one of the two people sits."""
    half_px = FRAME_WIDTH_PX // 2
    return Region(
        x_px=(half_px - REGION_SIZE_PX) // 2 + (0 if left else half_px),
        y_px=(FRAME_HEIGHT_PX - REGION_SIZE_PX) // 2,
        width_px=REGION_SIZE_PX,
        height_px=REGION_SIZE_PX,
    )


def read_iemocap(raw: Path) -> RawCorpus:
    """Reads IEMOCAP's labels, votes and transcripts; media files are looked up, not opened.

    Times, region, channel and text of a turn are its own, also where turns overlap. Text is kept as it is
    written, with remarks such as `[LAUGHTER]` or `(sighs)`, as the reference keeps them. Frame rates are of no matter:
    frames are found by their times. Votes are those of the evaluators for these six emotions (lines `C-E...`, not what
    the actors said of themselves); who chose two gives a vote to both.

    Args:
        raw: The folder with Session1 ... Session5, or its parent. Some of the sessions are enough.

    Raises:
        UserError: There is no such folder, or no label file or no usable turn in it.
    """
    existing_folder(raw)
    root = raw / RELEASE_FOLDER if (raw / RELEASE_FOLDER).is_dir() else raw
    sessions = sorted(path for path in root.glob("Session[1-5]") if path.is_dir())
    if not sessions:
        raise UserError(f"{raw} has no folder Session1 ... Session5 and no folder {RELEASE_FOLDER} that holds them")

    found = Collection()
    label_files = 0
    for session in sessions:
        dialog = session / "dialog"
        audio = files_of(dialog / "wav", ".wav")
        video = files_of(dialog / "avi" / "DivX", ".avi")
        transcripts = files_of(dialog / "transcriptions", ".txt")
        for dialogue, path in files_of(dialog / "EmoEvaluation", ".txt").items():
            label_files += 1
            texts = _read_transcript(transcripts[dialogue], found) if dialogue in transcripts else {}
            _read_labels(path, texts, video.get(dialogue), audio.get(dialogue), found)
    if not label_files:
        raise UserError(f"{root} has no label file Session*/dialog/EmoEvaluation/*.txt")
    empty = f"{root}: none of {label_files} label files has a turn labelled {' '.join(LABEL_NAMES)}"
    return found.corpus("iemocap", LABEL_NAMES, empty=empty)


def _read_transcript(path: Path, found: Collection) -> dict[str, str]:
    """Text by turn id; broken lines are noted. Only the first ':' after the times ends the head."""
    texts = {}
    for place, line in lines_of(path, found):
        match = _TRANSCRIPT_LINE.match(line)
        if match and match["id"] in texts:
            found.skip(place, f"second transcript line of {match['id']}")
        elif match:
            texts[match["id"]] = match["text"].strip()
        elif not _UNTIMED_LINE.match(line):
            found.skip(place, f"not 'id [start-end]: text': {line[:80]}")
    return texts


def _read_labels(path: Path, texts: dict[str, str], video: Path | None, audio: Path | None, found: Collection) -> None:
    """Adds the turns of one dialogue."""
    lines = list(lines_of(path, found))
    votes = _votes(lines)
    for place, line in lines:
        if _OTHER_LABEL_FILE_LINE.match(line):
            continue
        match = _LABEL_LINE.match(line)
        if match is None:
            found.skip(place, f"not '[start - end]<tab>id<tab>label': {line[:80]}")
            continue
        id_, turn = match["id"], turn_of(match["id"])
        if turn is None or turn.dialogue != path.stem:
            found.skip(place, f"'{id_}' is no turn of {path.stem}")
            continue
        try:
            utterance = _utterance(id_, turn, match, texts.get(id_) or None, video, audio)
        except ValueError as error:
            found.skip(id_, error)
        else:
            given = tuple(sorted(votes[place].items()))
            found.add(replace(utterance, votes=given) if given else utterance, place, "label line")


def _votes(lines: list[tuple[str, str]]) -> dict[str, Counter[str]]:
    """Votes by the place of the label line that the evaluators' lines follow."""
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    turn = ""
    for place, line in lines:
        if (match := _EVALUATOR_LINE.match(line)) is not None:
            names = (name.strip().lower() for name in match["chosen"].split(";"))
            votes[turn].update({_EVALUATORS_NAMES[name] for name in names if name in _EVALUATORS_NAMES})
        elif not _OTHER_LABEL_FILE_LINE.match(line):
            turn = place
    return votes


def _utterance(
    id_: str, turn: Turn, line: re.Match[str], text: str | None, video: Path | None, audio: Path | None
) -> Utterance:
    """One turn.

    Raises:
        ValueError: It cannot be used; one line says why.
    """
    if line["label"] not in LABEL_NAMES:
        raise ValueError(f"label {line['label']}")
    start_s, end_s = seconds_of(line[1]), seconds_of(line[2])
    if end_s <= start_s:
        raise ValueError(f"ends at {end_s:g} s, not after its start at {start_s:g} s")
    if video is None and audio is None and text is None:
        raise ValueError("no video, no audio and no transcript")
    return Utterance(
        id=id_,
        recording=turn.dialogue,
        speaker=turn.speaker,
        start_s=start_s,
        end_s=end_s,
        text=text,
        labels=(line["label"],),
        video=video,
        audio=audio,
        region=region_of_half(turn.left),
        audio_channel=0 if turn.left else 1,
        square_pixels=False,  # regions are those of the reference
    )
