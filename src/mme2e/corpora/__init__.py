"""Readers of raw corpora: each turns a folder into `Utterance` records."""

from pathlib import Path

from mme2e.corpora.iemocap import read_iemocap
from mme2e.corpora.mosei import read_mosei
from mme2e.corpora.utterance import RawCorpus, Region, Skipped, Utterance

__all__ = ["RawCorpus", "Region", "Skipped", "Utterance", "read_corpus", "read_iemocap", "read_mosei"]

_READERS = {"iemocap": read_iemocap, "mosei": read_mosei}


def read_corpus(layout: str, raw: Path) -> RawCorpus:
    """Reads a raw corpus.

    Args:
        layout: "iemocap" or "mosei".
        raw: Its folder.

    Raises:
        UserError: The folder is missing or holds nothing of that layout.
    """
    return _READERS[layout](raw)
