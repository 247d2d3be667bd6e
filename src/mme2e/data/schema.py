"""The prepared corpus on disk: what a row and `corpus.json` hold.

A prepared corpus is a folder::

    corpus.json                      CorpusInfo
    train/<recording>.parquet        one row an utterance, ROW_SCHEMA
    valid/...  test/...              a recording has a file in each split that it has utterances in
    .progress/                       what preparation has done: it resumes and repeats from that
    .cache/                          the rows unpacked for reading; can be deleted at any time

Rows of utterances without a split are in the folder `unassigned`.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mme2e.atomic import write_text
from mme2e.data.rows import RowFormat
from mme2e.errors import UserError
from mme2e.records import read_record, to_json

SCHEMA_VERSION = 2
"""1 was without `votes` and `mel_statistics`; its corpora load as they are, and as corpora without votes."""
SPLITS = ("train", "valid", "test")
UNASSIGNED = "unassigned"
CORPUS_FILE = "corpus.json"
PUBLISHED_LISTS = "published lists"
"""How the name of the split protocol of published lists begins."""
PROGRESS_FOLDER = ".progress"
"""What preparation has done so far; beside a missing `corpus.json` it means that preparation was interrupted."""


ROW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("recording", pa.string(), nullable=False),
        pa.field("speaker", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64(), nullable=False),
        pa.field("text", pa.string()),  # null: no transcript
        pa.field("labels", pa.list_(pa.string()), nullable=False),
        # The next four have one element a sampled frame; empty: no video.
        pa.field("face_crops", pa.list_(pa.binary()), nullable=False),  # PNG, 48x48 RGB
        pa.field("face_times_s", pa.list_(pa.float32()), nullable=False),  # asked for, within the recording
        pa.field("face_flags", pa.list_(pa.int8()), nullable=False),  # mme2e.faces.face_crop.FaceFlag
        pa.field("face_boxes", pa.list_(pa.list_(pa.float32())), nullable=False),  # x1 y1 x2 y2, frame pixels
        pa.field("audio", pa.binary()),  # FLAC, 16 kHz mono int16; null: no audio
        pa.field("num_samples", pa.int64(), nullable=False),  # of audio; 0 without audio
        pa.field("votes", pa.list_(pa.float32())),  # of annotators, by the corpus' label_names; null: none
        pa.field("mel_statistics", pa.list_(pa.float32())),  # mme2e.media.mel_statistics.statistics_of; null: no audio
    ]
)
ROWS = RowFormat(
    name=f"schema version {SCHEMA_VERSION}",
    schema=ROW_SCHEMA,
    remedy="delete it and run 'mme2e prepare' again",
    added=("votes", "mel_statistics"),
)


@dataclass(frozen=True, kw_only=True)
class CorpusInfo:
    """`corpus.json`: everything about a prepared corpus but its rows."""

    schema_version: int = SCHEMA_VERSION
    name: str
    label_names: tuple[str, ...]
    multi_label: bool
    frame_interval_ms: int
    sample_rate_hz: int
    split_protocol: str  # one phrase, for tables: "session, fold 5"
    provenance: dict[str, object]  # mme2e version, source folder's name, settings, date
    counts: dict[str, int]  # utterances per split
    skipped: tuple[dict[str, str], ...]  # {"item", "reason"}: left out, or kept without one of its modalities

    @property
    def has_published_split(self) -> bool:
        """Whether its split is that of published lists."""
        return self.split_protocol.startswith(PUBLISHED_LISTS)

    @property
    def shares_recordings_by_design(self) -> bool:
        """Whether the split protocol shares recordings between train and test.

        Only the published lists of IEMOCAP do, all of their 151 dialogues; those of MOSEI share no video.
        """
        return self.name == "iemocap" and self.has_published_split

    def write(self, folder: Path) -> None:
        """Writes `corpus.json` atomically."""
        write_text(folder / CORPUS_FILE, to_json(self))

    @classmethod
    def read(cls, folder: Path) -> "CorpusInfo":
        """Reads `corpus.json`.

        Raises:
            UserError: The folder is not a prepared corpus, an unfinished one, or one of a newer schema.
        """
        path = folder / CORPUS_FILE
        if not path.is_file() and (folder / PROGRESS_FOLDER).is_dir():
            raise UserError(f"the preparation of {folder} is not finished; run the same 'mme2e prepare' again")
        if not path.is_file():
            raise UserError(
                f"{folder} is not a prepared corpus: it has no {CORPUS_FILE}; make one with 'mme2e prepare'"
            )
        version = ("schema_version", SCHEMA_VERSION)
        return read_record(cls, path, version=version, advice="prepare the corpus again")
