"""Readers of raw corpora: each turns a folder, or a manifest, into `Utterance` records."""
