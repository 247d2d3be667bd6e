"""Prepared corpora: their schema, reading them, and batches for the models."""
