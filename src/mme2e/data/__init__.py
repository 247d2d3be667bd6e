"""Prepared corpora as batches of tensors."""

from mme2e.data.batch import Batch

__all__ = ["Batch"]
