"""Reader of CMU-MOSEI (Zadeh et al. 2018) as its raw data are shipped.

Expected layout (the folder may also be the parent of `Raw`)::

    Videos/Full/Combined/<video>.mp4
    Audio/WAV_16000/<video>.wav          or Audio/Full/WAV_16000
    Transcript/Combined/<video>.txt      or Transcript/Segmented/Combined; lines video___clip___start___end___text
    Labels/*.csv                         one row an annotator and clip
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.raw_folder import existing_folder, files_of, first_folder, lines_of, rows_of
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.errors import UserError
from mme2e.text_files import composed
from mme2e.times import number_of, seconds_of

LABEL_NAMES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
VIDEO_FOLDERS = ("Videos/Full/Combined",)
AUDIO_FOLDERS = ("Audio/WAV_16000", "Audio/Full/WAV_16000")
TRANSCRIPT_FOLDERS = ("Transcript/Combined", "Transcript/Segmented/Combined")
LABEL_FOLDERS = ("Labels",)
ID_COLUMN, CLIP_COLUMN = "Input.VIDEO_ID", "Input.CLIP"
HIGHEST_SCORE = 3
SCORE_COLUMNS = tuple(f"Answer.{name}" for name in LABEL_NAMES)
COLUMNS = (ID_COLUMN, CLIP_COLUMN, *SCORE_COLUMNS)

_TRANSCRIPT_LINE = re.compile(r"^(.*)___(\d+)___([^_]*)___([^_]*)___(.*)$")  # greedy: an id may end in underscores
_Clip = tuple[str, int]  # video id, number of the clip


@dataclass(frozen=True, kw_only=True)
class _Segment:
    start_s: float
    end_s: float
    text: str | None


@dataclass(frozen=True, kw_only=True)
class _Scores:
    """Sums of the annotators' scores of a clip, in the order of `LABEL_NAMES`, and how many rows they come from."""

    sums: tuple[float, ...] = (0.0,) * len(LABEL_NAMES)
    rows: int = 0

    @property
    def votes(self) -> tuple[tuple[str, float], ...]:
        return tuple((name, sum_ / self.rows) for name, sum_ in zip(LABEL_NAMES, self.sums, strict=True) if sum_ > 0)


def read_mosei(raw: Path) -> RawCorpus:
    """Reads CMU-MOSEI's labels and transcripts; media files are looked up, not opened.

    The scores of all rows of a clip are summed, also of an annotator who comes twice; an emotion is present when its
    sum is above 0 (reference, section 2), so that neither a repeated row nor a score above 3 changes a label. An empty
    score counts as 0, as in the reference; scores outside 0 to 3 are counted in `skipped`. Votes are the means of the
    scores, an emotion's mean intensity.
    A clip needs a label row, a transcript line (which holds its times) and a video. A start before the video is moved
    to 0; an end past the video is left for the decoder to meet. Stereo is mixed (the reference takes the left channel).

    Args:
        raw: Folder with Videos, Audio, Transcript and Labels, or the parent of such a folder named Raw.

    Raises:
        UserError: A folder is missing, no label file has the required columns, or no clip is usable.
    """
    existing_folder(raw)
    roots = (raw, raw / "Raw")
    videos = files_of(first_folder(roots, VIDEO_FOLDERS), ".mp4")
    audio = files_of(first_folder(roots, AUDIO_FOLDERS), ".wav")
    transcripts = files_of(first_folder(roots, TRANSCRIPT_FOLDERS), ".txt")
    found = Collection()
    scores = _read_scores(first_folder(roots, LABEL_FOLDERS), found)
    segments: dict[_Clip, _Segment] = {}
    for video, path in transcripts.items():
        _read_transcript(path, video, segments, found)

    for clip in sorted(scores.keys() | segments.keys()):
        video, number = clip
        item = f"{video}_{number}"
        if clip not in scores:
            found.skip(item, "no label row")
        elif clip not in segments:
            found.skip(item, "no transcript line, hence no times")
        elif video not in videos:
            found.skip(item, f"no video {VIDEO_FOLDERS[0]}/{video}.mp4")
        else:
            segment = segments[clip]
            utterance = Utterance(
                id=item,
                recording=video,
                speaker=video,
                start_s=segment.start_s,
                end_s=segment.end_s,
                text=segment.text,
                labels=tuple(name for name, sum_ in zip(LABEL_NAMES, scores[clip].sums, strict=True) if sum_ > 0),
                votes=scores[clip].votes,
                video=videos[video],
                audio=audio.get(video),
            )
            found.add(utterance, item)
    labelled = {video for video, _ in scores}
    for video in videos:
        if video not in labelled:
            found.skip(video, "video without labels")
    empty = f"{raw}: no clip has labels, a transcript line and a video ({len(found.skipped)} items skipped)"
    return found.corpus("mosei", LABEL_NAMES, empty=empty, multi_label=True)


def _read_scores(folder: Path, found: Collection) -> dict[_Clip, _Scores]:
    """The annotators' scores by clip."""
    sums: dict[_Clip, _Scores] = {}
    usable_files = 0
    for path in files_of(folder, ".csv").values():
        rows = rows_of(path, COLUMNS, found)
        if rows is None:
            continue
        usable_files += 1
        odd_rows = []
        for row_number, row in enumerate(rows, start=1):
            try:
                clip, scores = _parse_row(row.cells)
            except ValueError as error:
                found.skip(f"{path.name}:row {row_number}", f"broken label row: {error}")
                continue
            if not all(0 <= score <= HIGHEST_SCORE for score in scores):
                odd_rows.append(row_number)
            before = sums.get(clip, _Scores())
            added = tuple(old + new for old, new in zip(before.sums, scores, strict=True))
            sums[clip] = _Scores(sums=added, rows=before.rows + 1)
        if odd_rows:
            reason = f"{len(odd_rows)} rows have scores outside 0 to {HIGHEST_SCORE} and count as they are"
            found.skip(f"{path.name}:row {odd_rows[0]}", reason)
    if not usable_files:
        raise UserError(f"{folder} has no *.csv with the columns {ID_COLUMN}, {CLIP_COLUMN}, {SCORE_COLUMNS[0]} ...")
    return sums


def _parse_row(cells: dict[str, str]) -> tuple[_Clip, list[float]]:
    """Clip and scores of one annotator.

    Raises:
        ValueError: A value is missing or wild.
    """
    if not all(column in cells for column in COLUMNS):
        raise ValueError("too few columns")
    video = _video_id(cells[ID_COLUMN])
    if not video:
        raise ValueError(f"{ID_COLUMN} is empty")
    answers = [cells[name].strip() for name in SCORE_COLUMNS]
    if not any(answers):
        raise ValueError("no scores")
    return (video, int(cells[CLIP_COLUMN])), [number_of(answer or "0") for answer in answers]


def _video_id(name: str) -> str:
    """The id of a video, which some rows give with its folder."""
    return composed(name.strip().split("/")[-1])


def _read_transcript(path: Path, video: str, segments: dict[_Clip, _Segment], found: Collection) -> None:
    """Adds the segments of one video."""
    for place, line in lines_of(path, found):
        match = _TRANSCRIPT_LINE.match(line)
        fields = match.groups() if match else line.split("___")
        try:
            id_, number, start, end, text = fields
            id_ = _video_id(id_)
            clip, start_s, end_s = (id_, int(number)), max(seconds_of(start), 0.0), seconds_of(end)
            if id_ != video:
                raise ValueError(f"is of video '{id_}'")
            if start_s >= end_s:
                raise ValueError(f"runs from {start} to {end} s")
        except ValueError as error:
            found.skip(place, f"not 'video___clip___start___end___text': {error}")
            continue
        if clip in segments:
            found.skip(place, f"second transcript line of {id_}_{number}")
        else:
            segments[clip] = _Segment(start_s=start_s, end_s=end_s, text=text.strip() or None)
