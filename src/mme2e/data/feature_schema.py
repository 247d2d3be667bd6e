"""Hand-crafted features on disk: what a row and `features.json` hold.

They lie in the prepared corpus that they were made of::

    features/features.json      FeaturesInfo
    features/train.parquet      one row an utterance, FEATURE_SCHEMA; valid, test, unassigned likewise

A matrix (steps, size) is stored row after row, with its number of steps beside it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa

from mme2e.atomic import write_text
from mme2e.data.rows import RowFormat, digest
from mme2e.errors import UserError
from mme2e.records import read_record, to_json

FEATURES_VERSION = 1
FEATURES_FOLDER = "features"
FEATURES_FILE = "features.json"
MODALITY_NAMES = ("text", "acoustic", "visual")
"""In the order of the letters t, a, v."""

FEATURE_SCHEMA = pa.schema(
    [pa.field("id", pa.string(), nullable=False)]
    + [
        field
        for name in MODALITY_NAMES
        for field in (pa.field(name, pa.list_(pa.float32())), pa.field(f"{name}_steps", pa.int32(), nullable=False))
    ]  # a null matrix, of 0 steps: the utterance lacks the modality
)
FEATURE_ROWS = RowFormat(
    name=f"features of version {FEATURES_VERSION}", schema=FEATURE_SCHEMA, remedy="run 'mme2e features' again"
)


@dataclass(frozen=True, kw_only=True)
class ModalityFeatures:
    """What the features of one modality are.

    Attributes:
        kind: Extractor: "librosa", "opensmile", "glove", "reference" ...
        version: Of the extractor or its library.
        size: Number of columns.
        columns: Their names; empty where they have none.
        settings: What was chosen, under the names that the user knows.
        mean, std: (size,) of each column over all steps of the training split, for a model to normalise with; a
            column that never changes has std 1. Filled by `FeatureWriter`; empty without a training split.
    """

    kind: str
    version: str
    size: int
    columns: tuple[str, ...] = ()
    settings: Mapping[str, object]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 1 or len(self.columns) not in (0, self.size):
            raise ValueError(f"{self.kind}: {self.size} columns with {len(self.columns)} names")


@dataclass(frozen=True, kw_only=True)
class FeaturesInfo:
    """`features.json`: everything about the features but the rows.

    Attributes:
        version: Of this layout.
        corpus: `Corpus.utterances_fingerprint` of the corpus that they belong to.
        text, acoustic, visual: None where the corpus has no features of the modality.
        counts: Utterances per split and modality that have features: {"train": {"text": 10, ...}}.
        non_finite: Values per modality that were infinite or not a number, and became 0.
        skipped: {"item", "reason"}: utterances of which something could not be read.
        provenance: mme2e version, and what else their maker notes to recognise them by.
        fingerprint: 16 hexadecimal digits that distinguish one making from another; from settings and files.
    """

    version: int = FEATURES_VERSION
    corpus: str
    text: ModalityFeatures | None
    acoustic: ModalityFeatures | None
    visual: ModalityFeatures | None
    counts: dict[str, dict[str, int]]
    non_finite: dict[str, int]
    skipped: tuple[dict[str, str], ...] = ()
    provenance: dict[str, object]
    fingerprint: str = ""

    def modality(self, name: str) -> ModalityFeatures | None:
        """What the features of "text", "acoustic" or "visual" are."""
        found = {"text": self.text, "acoustic": self.acoustic, "visual": self.visual}
        return found[name]

    def write(self, folder: Path, files: dict[str, int]) -> "FeaturesInfo":
        """Writes `features.json` atomically.

        Args:
            folder: Features folder.
            files: Names and sizes in bytes of the Parquet files.

        Returns:
            The same with its fingerprint.
        """
        named = replace(self, fingerprint=digest([asdict(replace(self, fingerprint="")), sorted(files.items())]))
        write_text(folder / FEATURES_FILE, to_json(named, indent=1))
        return named

    @classmethod
    def read(cls, folder: Path) -> "FeaturesInfo":
        """Reads `features.json`.

        Raises:
            UserError: There is none, it is damaged, or of a newer layout.
        """
        path = folder / FEATURES_FILE
        corpus = folder.parent
        if not path.is_file():
            raise UserError(f"{corpus} has no hand-crafted features; make them with 'mme2e features {corpus}'")
        advice = f"run 'mme2e features {corpus}' again"
        return read_record(cls, path, version=("version", FEATURES_VERSION), advice=advice)
