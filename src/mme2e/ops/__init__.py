"""Sparse operations: each a folder with `naive.py` (the truth), fast paths, and a README with the mathematics."""
