"""The table of corpus readers: a row adds a corpus to `mme2e prepare`."""

from collections.abc import Callable
from pathlib import Path

from mme2e.corpora.crema_d import read_crema_d
from mme2e.corpora.iemocap import read_iemocap
from mme2e.corpora.manifest import read_manifest
from mme2e.corpora.meld import read_meld
from mme2e.corpora.mosei import read_mosei
from mme2e.corpora.ravdess import read_ravdess
from mme2e.corpora.utterance import RawCorpus

READERS: dict[str, Callable[[Path], RawCorpus]] = {
    "iemocap": read_iemocap,
    "mosei": read_mosei,
    "manifest": read_manifest,
    "ravdess": read_ravdess,
    "crema_d": read_crema_d,
    "meld": read_meld,
}


def read_corpus(layout: str, raw: Path) -> RawCorpus:
    """Reads a raw corpus; `read_reference` reads the reference's processed layout.

    Args:
        layout: "iemocap", "mosei", "manifest", "ravdess", "crema_d" or "meld".
        raw: Its folder; of a manifest the file.

    Raises:
        UserError: The folder or file is missing or holds nothing of that layout.
    """
    return READERS[layout](raw)
