"""Raw utterances to a prepared corpus."""

from mme2e.preparation.corpus import prepare_corpus
from mme2e.preparation.summary import PrepareSummary

__all__ = ["PrepareSummary", "prepare_corpus"]
