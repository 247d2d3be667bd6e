"""`prepare`: a raw corpus of a known layout to a prepared one."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mme2e.config import PrepareSettings
from mme2e.corpora.readers import READERS, read_corpus
from mme2e.errors import UserError

if TYPE_CHECKING:
    from mme2e.preparation.summary import PrepareSummary

    Layout = str
else:
    Layout = Literal[(*READERS, "reference")]
"""A row of the table of corpus readers, or the reference's own layout (see `mme2e.corpora.readers`)."""


def prepare(
    layout: Layout,
    raw: str | Path,
    out: str | Path,
    settings: PrepareSettings = PrepareSettings(),
    *,
    corpus: Literal["iemocap", "mosei"] | None = None,
    source_fps: float = 30.0,
) -> "PrepareSummary":
    """Turns a raw corpus into a prepared one: faces, audio and text of each utterance, in Parquet.

    Can be interrupted at any moment and called again: what was done is kept as long as settings and inputs are the
    same.

    Args:
        layout: Layout of the raw corpus; reference is the processed data of the paper's authors, manifest a table of
            your own data.
        raw: Folder of the raw corpus; of a manifest the file, in CSV or JSON lines.
        out: Folder of the prepared corpus; new, empty, or of an earlier call with the same settings.
        settings: How to prepare.
        corpus: Layout reference only: which of its two corpora, iemocap or mosei.
        source_fps: Layout reference only: images a second.

    Raises:
        UserError: The raw corpus cannot be read or nothing of it can be used; `out` belongs to something else, is in
            use, was prepared with other settings or cannot be written; Ray is not installed, or its cluster cannot be
            reached.
    """
    from mme2e.preparation.corpus import prepare_corpus
    from mme2e.reference.layout import read_reference
    from mme2e.reference.prepare_features import copy_reference_features

    raw, out = Path(raw), Path(out)
    if layout == "reference" and corpus is None:
        raise UserError("layout reference requires --corpus iemocap or --corpus mosei")
    if layout != "reference" and corpus is not None:
        raise UserError(f"--corpus {corpus} requires layout reference, not {layout}")
    read = read_corpus(layout, raw) if corpus is None else read_reference(raw, corpus=corpus, source_fps=source_fps)
    summary = prepare_corpus(read, out, settings, source=raw.name)
    if corpus is None:
        return summary
    return replace(summary, reference_features=copy_reference_features(raw, out, corpus=corpus))
