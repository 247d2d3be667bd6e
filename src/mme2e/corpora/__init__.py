"""Readers of raw corpora: each turns a folder into `Utterance` records."""

from mme2e.corpora.utterance import RawCorpus, Region, Skipped, Utterance

__all__ = ["RawCorpus", "Region", "Skipped", "Utterance"]
