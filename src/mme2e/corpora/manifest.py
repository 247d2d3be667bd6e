"""Reader of anybody's own data: a manifest, that is a table with one utterance a row.

Columns: `labels` or votes for labels (`v_happy`), and at least one of `video`, `images`, `audio`, `text`; all others
(see `COLUMNS` of `mme2e.corpora.manifest_rows`) may be left out. Any cell but that of a time's column may be empty:
what is empty is missing.
"""

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.file_finder import FileFinder, is_file, is_pattern
from mme2e.corpora.manifest_rows import FACE_CROP, MISSING, ManifestRow, read_rows
from mme2e.corpora.manifest_votes import votes_of, with_labels
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.errors import UserError
from mme2e.media.region import Region
from mme2e.text_files import tidy_name
from mme2e.times import number_of, seconds_of

SPLIT_NAMES = {
    "train": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}
YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def read_manifest(path: Path) -> RawCorpus:
    """Reads a manifest; media files are looked up, not opened.

    Paths are relative to the manifest. Without a column `audio` the audio is that of the video. Label names are those
    of rows and those with any votes, in alphabetical order; the corpus is multi-label when any row has several labels
    or none. A row without labels has that of most votes, the first in alphabetical order where several have as many.

    What is not given: the recording is the file that the utterance is cut from (video, else audio, else the one image
    or the folder of the images), by its stem, with as many folders before it as distinguish it from others of that
    stem; text alone is a recording of its own. A `dialogue` is a recording, numbered within its split as MELD's are.
    The speaker is the recording. The id is the recording, with a number when it has several rows.

    Rows with a mistake (a file that does not exist, an impossible time, an unknown split, votes below 0, an id that an
    earlier row has) are skipped, with "file:line" and the reason. An image among several that does not exist is left
    for the preparation to meet. Rows without a split come as they are, also where others have one.

    Args:
        path: CSV file, or JSON lines when it ends in .jsonl.

    Raises:
        UserError: The file cannot be read, lacks a column, or none of its rows can be used.
    """
    table = read_rows(path)
    found = Collection()
    found.skipped += table.skipped
    files = FileFinder(path.parent)
    own_audio = "audio" not in table.columns
    rows: list[ManifestRow] = []
    read: list[Utterance] = []
    for row in table.rows:
        try:
            utterance = _utterance(row.cells, files, own_audio=own_audio)
            votes = votes_of(row.cells, table.vote_labels)
            read.append(replace(utterance, votes=votes) if votes else utterance)
            rows.append(row)
        except ValueError as error:
            found.skip(f"{path.name}:{row.line}", error)
    spelled, remarks = with_labels(read)
    without = [row.line for row, utterance in zip(rows, spelled, strict=True) if not utterance.votes]
    if table.vote_labels and without:
        remarks.append(f"{len(without)} rows have no votes, the first in line {without[0]}: used without")
    for remark in remarks:
        found.skip(path.name, remark)
    whole = list(zip(rows, spelled, strict=True))
    lines: dict[str, int] = {}
    for row, utterance in _named(whole, path):
        if utterance.id in lines:
            found.skip(
                f"{path.name}:{row.line}", f"second row with the id '{utterance.id}', after line {lines[utterance.id]}"
            )
        else:
            lines[utterance.id] = row.line
            found.add(utterance, f"{path.name}:{row.line}")
    return _corpus(found, whole, path, len(table.rows))


def _corpus(found: Collection, rows: list[tuple[ManifestRow, Utterance]], path: Path, given: int) -> RawCorpus:
    """The corpus, when there is an utterance and a label in it."""
    utterances = found.utterances.values()
    names = {label for utterance in utterances for label in utterance.labels}
    names |= {label for utterance in utterances for label, _ in utterance.votes}
    label_names = tuple(sorted(names))
    if utterances and not label_names:
        raise UserError(f"{path}: none of its {len(utterances)} usable rows has a label")
    unlabelled = [row.line for row, utterance in rows if not utterance.labels]
    if unlabelled and not any(len(utterance.labels) > 1 for utterance in utterances):
        reason = f"{len(unlabelled)} rows have no label, the first in line {unlabelled[0]}: taken as multi-label"
        found.skip(path.name, reason)
    return found.corpus(
        f"manifest:{tidy_name(path.stem)}",
        label_names,
        empty=f"{path}: none of its {given} rows can be used",
        multi_label=any(len(utterance.labels) != 1 for utterance in utterances),
    )


def _utterance(cells: dict[str, str], files: FileFinder, *, own_audio: bool) -> Utterance:
    """What one row contains; its id, recording and speaker are empty where it has none.

    Raises:
        ValueError: A cell cannot be used; one line says why.
    """
    video = _file("video", cells["video"], files) if "video" in cells else None
    images = _images(cells["images"], files) if "images" in cells else ()
    audio = _file("audio", cells["audio"], files) if "audio" in cells else video if own_audio else None
    if video is None and not images and audio is None and "text" not in cells:
        raise ValueError("no video, no images, no audio and no text")
    start_s = _time("start_s", cells.get("start_s", "0"))
    end_s = _time("end_s", cells["end_s"]) if "end_s" in cells else None
    if end_s is not None and end_s <= start_s:
        raise ValueError(f"ends at {end_s:g} s, not after its start at {start_s:g} s")
    images_per_s = None
    if "images_per_s" in cells:
        images_per_s = _number("images_per_s", cells["images_per_s"], number_of, "a number above 0")
        if images_per_s == 0:
            raise ValueError("images_per_s is 0")
    face_crop = _yes(FACE_CROP, cells[FACE_CROP]) if FACE_CROP in cells else False
    if face_crop and video is not None:
        raise ValueError(f"{FACE_CROP} is '{cells[FACE_CROP]}' beside a video; expected are images")
    split = cells.get("split")
    if split is not None and split.lower() not in SPLIT_NAMES:
        raise ValueError(f"split '{split}'; there are {', '.join(SPLIT_NAMES)}")
    split = None if split is None else SPLIT_NAMES[split.lower()]
    names = {column: tidy_name(cells.get(column, "")) for column in ("id", "recording", "dialogue", "speaker")}
    recording = names["recording"]
    if not recording and names["dialogue"]:
        recording = "_".join(part for part in (split, f"dialogue{names['dialogue']}") if part)
    return Utterance(
        id=names["id"],
        recording=recording,
        speaker=names["speaker"],
        start_s=start_s,
        end_s=end_s,
        text=cells.get("text"),
        labels=tuple(sorted({tidy_name(label) for label in _items(cells.get("labels", ""))} - {""})),
        split=split,
        video=video,
        images=images,
        images_per_s=images_per_s,
        face_crop=face_crop,
        audio=audio,
        region=_region(cells["region"]) if "region" in cells else None,
        audio_channel=_number_if_any("audio_channel", cells),
        video_track=_number_if_any("video_track", cells),
        audio_track=_number_if_any("audio_track", cells),
    )


def _items(cell: str) -> list[str]:
    """The items of a list, in JSON or with `|` between them; not the empty and the missing ones."""
    items = cell.split("|")
    if cell.startswith("["):
        with suppress(ValueError, RecursionError):  # a glob may begin so, too
            items = [str(item) for item in json.loads(cell)]
    return [item.strip() for item in items if item.strip() and item.strip() not in MISSING]


def _file(column: str, cell: str, files: FileFinder) -> Path:
    path = files.path(cell)
    if not is_file(path):
        raise ValueError(f"{column} {cell[:80]} is no file, or does not exist")
    return path


def _images(cell: str, files: FileFinder) -> tuple[Path, ...]:
    """The images of a list, in its order, or of a glob, in that of their names, where 10 comes after 9."""
    names = _items(cell)
    images = tuple(map(files.path, names))
    if len(names) == 1 and is_pattern(names[0]) and not is_file(images[0]):
        images = tuple(sorted(files.matches(names[0]), key=_natural))
        if not images:
            raise ValueError(f"no file matches images {cell}")
    elif not any(map(is_file, images)):
        raise ValueError(f"images {cell[:80]} {'do' if len(images) > 1 else 'does'} not exist")
    return images


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def _number(column: str, cell: str, read: Callable[[str], float], expected: str) -> float:
    try:
        number = read(cell)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"{column} is '{cell}'; expected is {expected}")
    return number


def _time(column: str, cell: str) -> float:
    return _number(column, cell, seconds_of, "a number of seconds from 0, mm:ss or hh:mm:ss")


def _whole_number(column: str, cell: str) -> int:
    number = _number(column, cell, number_of, "a whole number from 0")  # pandas writes 1.0 where other cells are empty
    if not number.is_integer():
        raise ValueError(f"{column} is '{cell}'; expected is a whole number from 0")
    return int(number)


def _number_if_any(column: str, cells: dict[str, str]) -> int | None:
    return _whole_number(column, cells[column]) if column in cells else None


def _yes(column: str, cell: str) -> bool:
    name = cell.lower().removesuffix(".0")  # pandas writes 1.0 where other cells are empty
    if name not in YES_OR_NO:
        raise ValueError(f"{column} is '{cell}'; expected is one of {', '.join(YES_OR_NO)}")
    return YES_OR_NO[name]


def _region(cell: str) -> Region:
    numbers = _items(cell) if cell.startswith("[") else [item.strip() for item in cell.split(",")]
    if len(numbers) != 4 or not all(number.isdecimal() for number in numbers) or 0 in map(int, numbers[2:]):
        raise ValueError(f"region is '{cell}'; expected are x,y,width,height in pixels")
    x_px, y_px, width_px, height_px = map(int, numbers)
    return Region(x_px=x_px, y_px=y_px, width_px=width_px, height_px=height_px)


def _named(found: list[tuple[ManifestRow, Utterance]], path: Path) -> list[tuple[ManifestRow, Utterance]]:
    """Gives every utterance an id, a recording and a speaker."""
    sources = {row.line: source for row, u in found if not u.recording and (source := _source(u)) is not None}
    names = _short_names(sources.values())
    recordings = []
    for row, utterance in found:
        own = names[sources[row.line]] if row.line in sources else utterance.id or f"{tidy_name(path.stem)}_{row.line}"
        recordings.append(utterance.recording or own)
    rows = Counter(recordings)
    numbers: Counter[str] = Counter()
    named = []
    for (row, utterance), recording in zip(found, recordings, strict=True):
        numbers[recording] += 1
        id_ = utterance.id or (f"{recording}_{numbers[recording]}" if rows[recording] > 1 else recording)
        speaker = utterance.speaker or recording
        named.append((row, replace(utterance, id=id_, recording=recording, speaker=speaker)))
    return named


def _source(utterance: Utterance) -> Path | None:
    """What an utterance is cut from, without suffix; None where there is text only."""
    file = utterance.video or utterance.audio
    if file is None and len(utterance.images) > 1:
        return utterance.images[0].parent
    file = file or next(iter(utterance.images), None)
    return None if file is None else file.with_suffix("")


def _short_names(sources: Iterable[Path]) -> dict[Path, str]:
    """The last part of each path, or as many as distinguish it from others with the same last part."""
    same: dict[str, set[Path]] = defaultdict(set)
    for source in sources:
        same[source.name].add(source)
    names: dict[Path, str] = {}
    for name, paths in same.items():
        common = os.path.commonpath(paths) if len(paths) > 1 else None
        names |= {p: tidy_name(name if common is None else p.relative_to(common).as_posix()) for p in paths}
    return names
