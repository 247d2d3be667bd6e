"""Where a cut is: frames that differ as a whole."""

import numpy as np

CUT = 0.35
"""Least `shot_change` of a cut. A false one costs a search for faces, and that people are known by their looks."""

ROWS, COLUMNS = 36, 64  # pixels that are looked at
LEVELS = 4  # of each colour, in the histogram
BLOCK_CHANGE = 80.0  # of 255, mean over the blocks: counts as much as a histogram that shares nothing


def shot_signature(image: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8 RGB -> (208,) float32: shares of 64 colours, then mean colours of 6 x 8 blocks."""
    rows = np.linspace(0, image.shape[0] - 1, ROWS).astype(np.int64)
    columns = np.linspace(0, image.shape[1] - 1, COLUMNS).astype(np.int64)
    pixels = image[rows[:, None], columns]
    level = (pixels // (256 // LEVELS)).astype(np.int64)
    colour = (level[..., 0] * LEVELS + level[..., 1]) * LEVELS + level[..., 2]
    shares = np.bincount(colour.ravel(), minlength=LEVELS**3) / colour.size
    blocks = pixels.reshape(6, ROWS // 6, 8, COLUMNS // 8, 3).mean((1, 3))
    return np.concatenate([shares, blocks.ravel() / BLOCK_CHANGE]).astype(np.float32)


def shot_change(one: np.ndarray, other: np.ndarray) -> float:
    """How much two frames differ, about 0..1: the larger of what their colours and what their places say."""
    colours = float(np.abs(one[: LEVELS**3] - other[: LEVELS**3]).sum()) / 2
    places = float(np.abs(one[LEVELS**3 :] - other[LEVELS**3 :]).mean())
    return max(colours, places)
