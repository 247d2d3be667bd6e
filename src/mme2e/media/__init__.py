"""Decoding: files in, frames and samples with their times out."""
