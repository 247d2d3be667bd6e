"""Raw utterances to a prepared corpus."""

from mme2e.prepare.corpus import prepare_corpus
from mme2e.prepare.summary import PrepareSummary

__all__ = ["PrepareSummary", "prepare_corpus"]
