"""Reader of FER+ (Barsoum et al. 2016): ten annotators' votes for each photograph of FER2013 (Goodfellow et al. 2013).

Expected layout::

    fer2013new.csv                    votes, of Microsoft's repository FERPlus
    FER2013Train/fer0000000.png ...   images, 48x48 grey, in any folders

The images come as numbers in fer2013.csv; FERPlus' script `generate_training_data.py` makes files of them.
"""

from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.raw_folder import existing_folder, files_below, rows_of
from mme2e.corpora.row_groups import RowGroups
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.errors import UserError
from mme2e.times import number_of

LABEL_NAMES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
"""In the order of the columns."""

NO_EMOTION = ("unknown", "NF")
"""Columns of votes that it is none of these emotions, or no face."""

VOTES_FILE, PIXELS_FILE = "fer2013new.csv", "fer2013.csv"
USAGE_COLUMN, IMAGE_COLUMN = "Usage", "Image name"
COLUMNS = (USAGE_COLUMN, IMAGE_COLUMN, *LABEL_NAMES, *NO_EMOTION)
SPLITS = {"Training": "train", "PublicTest": "valid", "PrivateTest": "test"}
SUFFIXES = (".png", ".jpg", ".jpeg")


def read_ferplus(raw: Path) -> RawCorpus:
    """Reads FER+'s votes; images are looked up, not opened.

    The label is the emotion of most votes, the first in the order of the columns where several have as many. The votes
    for unknown and for no face are not kept, and a photograph with more of either than for any emotion is left out. An
    image is a face crop. Images of a split are put together in recordings (see `row_groups`); whom they show is not
    known.

    Args:
        raw: Folder with fer2013new.csv and the images.

    Raises:
        UserError: There is no such folder, no table or no image file in it, or no row can be used.
    """
    existing_folder(raw)
    if not (raw / VOTES_FILE).is_file():
        raise UserError(
            f"{raw} has no {VOTES_FILE}; expected is that of Microsoft's repository FERPlus, and the images"
        )
    found = Collection()
    images: dict[str, Path] = {}
    for path in files_below(raw, SUFFIXES, found):
        if path.stem in images:
            found.skip(path.name, f"second file of this name, in {path.parent.name}")
        else:
            images[path.stem] = path
    if not images:
        pixels = f"{PIXELS_FILE} there holds them as numbers" if (raw / PIXELS_FILE).is_file() else f"get {PIXELS_FILE}"
        raise UserError(
            f"{raw} has no image files like FER2013Train/fer0000000.png: {pixels}; FERPlus' script makes files: python "
            f"generate_training_data.py -d {raw} -fer {PIXELS_FILE} -ferplus {VOTES_FILE}"
        )
    groups = RowGroups()
    for row in rows_of(raw / VOTES_FILE, COLUMNS, found) or ():
        place = f"{VOTES_FILE}:{row.line}"
        try:
            found.add(_utterance(row.cells, images, groups), place)
        except ValueError as error:
            found.skip(place, error)
    empty = f"{raw}: no row of {VOTES_FILE} can be used"
    return found.corpus("ferplus", LABEL_NAMES, empty=empty, split_protocol="as published")


def _utterance(cells: dict[str, str], images: dict[str, Path], groups: RowGroups) -> Utterance:
    """One row.

    Raises:
        ValueError: It cannot be used; one line says why.
    """
    if not all(column in cells for column in COLUMNS):
        raise ValueError("too few cells")
    usage, name = cells[USAGE_COLUMN].strip(), cells[IMAGE_COLUMN].strip()
    if usage not in SPLITS:
        raise ValueError(f"{USAGE_COLUMN} '{usage}'; there are {', '.join(SPLITS)}")
    if not name:
        raise ValueError("no image name")
    votes = {column: number_of(cells[column]) for column in (*LABEL_NAMES, *NO_EMOTION)}
    if min(votes.values()) < 0:
        raise ValueError("votes below 0")
    most = max(LABEL_NAMES, key=votes.__getitem__)
    other = max(NO_EMOTION, key=votes.__getitem__)
    if votes[other] > votes[most]:
        raise ValueError(f"most votes are for {other}")
    if votes[most] == 0:
        raise ValueError("no votes")
    stem = Path(name).stem
    if stem not in images:
        raise ValueError(f"no image {name}")
    recording = groups.next(SPLITS[usage])
    return Utterance(
        id=stem,
        recording=recording,
        speaker=recording,
        start_s=0.0,
        end_s=None,
        text=None,
        labels=(most,),
        votes=tuple((label, votes[label]) for label in LABEL_NAMES if votes[label]),
        split=SPLITS[usage],
        images=(images[stem],),
        face_crop=True,
    )
