"""Reader of the folders that the reference's authors publish as processed data.

Expected below the data path, for CORPUS = IEMOCAP or MOSEI::

    IEMOCAP_RAW_PROCESSED/<dialogue>/<utterance>/{image_L_i.jpg,image_R_i.jpg,audio.wav,audio_L.wav,audio_R.wav}
    MOSEI_RAW_PROCESSED/<utterance>/{image_i.jpg,audio.wav}
    CORPUS_RAW_PROCESSED/meta.pkl        {utterance: {"text": ..., "label": ...}}
    CORPUS_SPLIT/{train,valid,test}_split.txt
    CORPUS_HCF_FEATURES/                 mme2e.reference.features reads these
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np

from mme2e.corpora.collection import Collection
from mme2e.corpora.file_finder import is_leftover
from mme2e.corpora.iemocap import LABEL_NAMES as IEMOCAP_LABELS
from mme2e.corpora.iemocap import Turn, turn_of
from mme2e.corpora.mosei import LABEL_NAMES as MOSEI_LABELS
from mme2e.corpora.raw_folder import existing_folder
from mme2e.corpora.split_lists import read_split_lists
from mme2e.corpora.splits import apply_lists
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.errors import MediaError, UserError
from mme2e.reference.pickles import read_pickle

ReferenceCorpus = Literal["iemocap", "mosei"]
IMAGES_PER_S = 30.0
"""What the reference's reader assumes."""

PROBED_UTTERANCES = 20
"""So many are looked at to see whether the images come as often as is said."""

WRONG_RATE = 1.5
"""The images may come so many times as often, or as rarely, as is said; the lengths of both are rounded."""

_IMAGE = re.compile(r"^image_(?:(?P<side>[LR])_)?(?P<number>\d+)\.jpe?g$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class _Who:
    """Where an utterance comes from; `turn` in IEMOCAP only."""

    recording: str
    speaker: str
    turn: Turn | None = None


def read_reference(datapath: Path, *, corpus: ReferenceCorpus, source_fps: float = IMAGES_PER_S) -> RawCorpus:
    """Reads the authors' processed data; images and audio files are looked up, a few are opened.

    An IEMOCAP label is one of the six names, its index, or six values of which one is above 0; a MOSEI label is six
    values, of which those above 0 are present. The lists of CORPUS_SPLIT, where they are, give the splits.

    Args:
        datapath: The folder that the archive unpacks to.
        corpus: Which of the two.
        source_fps: Images a second of the archive.

    Raises:
        UserError: A folder or meta.pkl is missing, meta.pkl is damaged or would run code, no utterance is usable,
            the lists are unusable, or the images come at another rate than `source_fps`.
    """
    if not source_fps > 0:
        raise UserError(f"source_fps must be above 0, not {source_fps:g}")
    main = existing_folder(datapath) / f"{corpus.upper()}_RAW_PROCESSED"
    if not main.is_dir():
        raise UserError(f"{datapath} has no folder {main.name}; the reference's processed data are expected")
    meta = read_pickle(main / "meta.pkl")
    if not isinstance(meta, dict):
        raise UserError(
            f"{main / 'meta.pkl'} holds a {type(meta).__name__}; {{utterance: {{text, label}}}} is expected"
        )
    found = Collection()
    folders = _utterance_folders(main, 1 if corpus == "iemocap" else 0, found)
    names = IEMOCAP_LABELS if corpus == "iemocap" else MOSEI_LABELS
    for id_, entry in sorted(((str(id_), entry) for id_, entry in meta.items()), key=lambda item: item[0]):
        try:
            found.add(_utterance(id_, entry, corpus, names, folders, source_fps, found), id_, "entry")
        except ValueError as error:
            found.skip(id_, error)
    for id_ in sorted(folders.keys() - set(map(str, meta))):
        found.skip(id_, "not in meta.pkl")
    read = found.corpus(corpus, names, empty=f"{main} has no usable utterance", multi_label=corpus == "mosei")
    _check_rate(read.utterances, source_fps)
    lists = datapath / f"{corpus.upper()}_SPLIT"
    return apply_lists(read, read_split_lists(lists)) if lists.is_dir() else read


def _utterance_folders(main: Path, depth: int, found: Collection) -> dict[str, Path]:
    """Folders by their name, which is the utterance's id, below `depth` more folders."""
    folders: dict[str, Path] = {}
    for folder in sorted(path for path in main.glob("/".join(["*"] * (depth + 1))) if path.is_dir()):
        if is_leftover(folder):
            continue
        if folders.setdefault(folder.name, folder) != folder:
            found.skip(str(folder.relative_to(main)), f"second folder of {folder.name}")
    return folders


def _utterance(
    id_: str,
    entry: Any,
    corpus: ReferenceCorpus,
    names: tuple[str, ...],
    folders: dict[str, Path],
    source_fps: float,
    found: Collection,
) -> Utterance:
    """The utterance; ValueError says why it is not usable."""
    if not isinstance(entry, dict) or "label" not in entry:
        raise ValueError("its entry in meta.pkl has no label")
    labels = _one_label(entry["label"], names) if corpus == "iemocap" else _labels(entry["label"], names)
    who = _turn(id_) if corpus == "iemocap" else _clip(id_)
    if id_ not in folders:
        raise ValueError("in meta.pkl, but it has no folder")
    side = None if who.turn is None else "L" if who.turn.left else "R"
    files = {path.name: path for path in folders[id_].iterdir() if not is_leftover(path)}
    images, lost = _images(files.values(), side)
    if lost:
        found.skip(id_, f"{lost} of {len(images)} images missing: those before stand in")
    own_audio = files.get(f"audio_{side}.wav")
    audio = own_audio or files.get("audio.wav")
    text = entry.get("text")
    return Utterance(
        id=id_,
        recording=who.recording,
        speaker=who.speaker,
        start_s=0.0,
        end_s=None,
        text=text.strip() or None if isinstance(text, str) else None,
        labels=labels,
        # The archive dropped the last, unfinished image: the one before stays on display until the audio ends.
        images=images + images[-1:] if audio else images,
        images_per_s=source_fps,
        audio=audio,
        audio_channel=None if own_audio or who.turn is None else 0 if who.turn.left else 1,
    )


def _turn(id_: str) -> _Who:
    turn = turn_of(id_)
    if turn is None:
        raise ValueError("its id is not an IEMOCAP turn")
    return _Who(recording=turn.dialogue, speaker=turn.speaker, turn=turn)


def _clip(id_: str) -> _Who:
    video, _, number = id_.rpartition("_")
    if not video or not number.isdigit():
        raise ValueError("its id is not 'video_number'")
    return _Who(recording=video, speaker=video)


def _one_label(label: Any, names: tuple[str, ...]) -> tuple[str]:
    if isinstance(label, str) and label in names:
        return (label,)
    if isinstance(label, Integral) and not isinstance(label, bool) and 0 <= int(label) < len(names):
        return (names[int(label)],)
    present = () if isinstance(label, str | Integral) else _labels(label, names)
    if len(present) != 1:
        raise ValueError(f"label {str(label)[:40]}")
    return present


def _labels(label: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        values = np.asarray(label, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (len(names),) or not np.isfinite(values).all():
        raise ValueError(f"label {str(label)[:40]} is not {len(names)} numbers")
    return tuple(name for name, value in zip(names, values, strict=True) if value > 0)


def _images(files: Iterable[Path], side: str | None) -> tuple[tuple[Path, ...], int]:
    """The images in the order of their numbers, and how many are missing between them.

    For a missing image the one before stands in, so that the others keep their times.
    """
    by_number = {}
    for path in files:
        match = _IMAGE.match(path.name)
        if match and match["side"] == side:
            by_number[int(match["number"])] = path
    if not by_number:
        return (), 0
    numbers = sorted(by_number)
    images: list[Path] = []
    for number in numbers:
        images.extend([images[-1]] * (number - numbers[0] - len(images)) if images else [])
        images.append(by_number[number])
    return tuple(images), len(images) - len(numbers)


def _check_rate(utterances: Sequence[Utterance], source_fps: float) -> None:
    """Refuses images that do not last as long as the audio beside them.

    The notebook that made the MOSEI archive writes 2 images a second, the reader of it assumes 30 (reference, fault 7).
    """
    from mme2e.media.video import probe

    both = [utterance for utterance in utterances if utterance.images and utterance.audio]
    rates = []
    for utterance in both[:: max(1, len(both) // PROBED_UTTERANCES)]:
        assert utterance.audio is not None
        try:
            duration_s = probe(utterance.audio).duration_s
        except MediaError:  # preparation will name it
            continue
        if duration_s:
            rates.append((len(utterance.images) - 1) / duration_s)  # the last one stands twice
    if rates and not 1 / WRONG_RATE <= median(rates) / source_fps <= WRONG_RATE:
        raise UserError(
            f"by the length of the audio there are {median(rates):.3g} images a second, not {source_fps:g}; "
            f"--source-fps {max(1, round(median(rates)))} may be right"
        )
