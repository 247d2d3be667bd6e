"""The table of corpus readers: a row adds a corpus to `mme2e prepare`.

One layout is read elsewhere, `reference`: the archive of the reference's authors takes more than a folder (which of its
two corpora, and how many images a second), and its pickles are the business of `mme2e.reference.layout`, a higher room.
"""

from collections.abc import Callable
from pathlib import Path

from mme2e.corpora.crema_d import read_crema_d
from mme2e.corpora.emodb import read_emodb
from mme2e.corpora.ferplus import read_ferplus
from mme2e.corpora.goemotions import read_goemotions, read_goemotions_ekman
from mme2e.corpora.iemocap import read_iemocap
from mme2e.corpora.isear import read_isear
from mme2e.corpora.manifest import read_manifest
from mme2e.corpora.meld import read_meld
from mme2e.corpora.mosei import read_mosei
from mme2e.corpora.ravdess import read_ravdess
from mme2e.corpora.utterance import RawCorpus
from mme2e.errors import UserError

READERS: dict[str, Callable[[Path], RawCorpus]] = {
    "iemocap": read_iemocap,
    "mosei": read_mosei,
    "manifest": read_manifest,
    "ravdess": read_ravdess,
    "crema_d": read_crema_d,
    "meld": read_meld,
    "emodb": read_emodb,
    "ferplus": read_ferplus,
    "goemotions": read_goemotions,
    "goemotions_ekman": read_goemotions_ekman,
    "isear": read_isear,
}


def read_corpus(layout: str, raw: Path) -> RawCorpus:
    """Reads a raw corpus.

    Args:
        layout: A key of `READERS`.
        raw: Its folder; of a manifest the file.

    Raises:
        UserError: There is no such layout, or the folder or file is missing or holds nothing of that layout.
    """
    if layout not in READERS:
        raise UserError(f"unknown layout '{layout}'; choose from {', '.join(READERS)}")
    return READERS[layout](raw)
