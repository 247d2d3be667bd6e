"""What the verbs that make and examine corpora do."""

from pathlib import Path
from typing import Literal

from mme2e.config import FeatureExtractionSettings, PrepareSettings, SampleSettings
from mme2e.errors import UserError
from mme2e.verbs.exit_status import EXIT_INCOMPLETE, EXIT_OK


def sample(out: Path, settings: SampleSettings) -> int:
    """Writes a generated corpus in the raw layout of a real one, with real encoded media.

    Args:
        out: Folder to create.
        settings: What to write.
    """
    from mme2e.generated import write_sample

    write_sample(out, settings)
    return EXIT_OK


def prepare(
    layout: Literal["iemocap", "mosei", "reference", "manifest", "ravdess", "crema_d", "meld"],
    raw: Path,
    out: Path,
    settings: PrepareSettings,
    corpus: Literal["iemocap", "mosei"] | None = None,
    source_fps: float = 30.0,
) -> int:
    """Turns a raw corpus into a prepared one: faces, sound and words of each utterance, in Parquet.

    Can be interrupted at any moment and called again: what was done is kept.

    Args:
        layout: Layout of the raw corpus; reference is the processed data of the paper's authors, manifest a table of
            your own data.
        raw: Folder of the raw corpus; of a manifest the file, in CSV or JSON lines.
        out: Folder of the prepared corpus.
        settings: How to prepare.
        corpus: Of the layout reference: which of its two corpora, iemocap or mosei.
        source_fps: Of the layout reference: images a second.
    """
    from rich.console import Console

    from mme2e.corpora.readers import read_corpus
    from mme2e.preparation import prepare_corpus
    from mme2e.reference.layout import read_reference

    if layout == "reference" and corpus is None:
        raise UserError("the layout reference wants --corpus iemocap or --corpus mosei")
    if layout != "reference" and corpus is not None:
        raise UserError(f"--corpus goes with the layout reference, not with {layout}")
    read = read_corpus(layout, raw) if corpus is None else read_reference(raw, corpus=corpus, source_fps=source_fps)
    summary = prepare_corpus(read, out, settings, source=raw.name)
    Console().print(summary.table())
    if corpus is not None:
        from mme2e.reference.prepare_features import copy_reference_features

        print(copy_reference_features(raw, out, corpus=corpus))  # noqa: T201
    return EXIT_INCOMPLETE if summary.failed else EXIT_OK


def audit(corpus: Path, out: Path | None = None) -> int:
    """Tells what a prepared corpus holds and what its splits share; status 1 when test recordings are in training.

    Unless the split protocol says so: the published lists of IEMOCAP share recordings by design.

    Args:
        corpus: Prepared corpus.
        out: Folder for audit.json, audit.md and audit.png; CORPUS/audit when not given.
    """
    from mme2e.auditing.run import audit as examine

    return EXIT_INCOMPLETE if examine(corpus, out=out).leaks else EXIT_OK


def features(corpus: Path, settings: FeatureExtractionSettings) -> int:
    """Makes the hand-crafted features of a prepared corpus that the baselines are trained on.

    Can be interrupted at any moment and called again: what was done is kept.

    Args:
        corpus: Prepared corpus; its folder `features` is written.
        settings: Which features.
    """
    from rich.console import Console

    from mme2e.hand_crafted import extract_features

    summary = extract_features(corpus, settings)
    Console().print(summary.table())
    return EXIT_INCOMPLETE if summary.info.skipped else EXIT_OK
