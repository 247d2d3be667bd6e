"""Histograms of oriented gradients (Dalal and Triggs 2005) of face crops: texture of brows, eyes and mouth."""

import numpy as np

from mme2e.faces.face_crop import LUMA

ORIENTATIONS = 8
CELLS = 4  # each way
COLUMNS = tuple(f"hog_{row}_{column}_{angle}" for row in range(CELLS) for column in range(CELLS) for angle in range(8))


def oriented_gradients(crops: np.ndarray) -> np.ndarray:
    """Histograms of 8 directions in 4 x 4 cells; the whole crop is one block.

    A gradient is shared between the two directions next to it; opposite directions are one. The 128 numbers are
    scaled to length 1 together, so that light and contrast do not matter; a crop without any edge stays 0.

    Args:
        crops: (crops, side, side, 3) uint8 RGB, side a multiple of 4.

    Returns:
        (crops, 128) float32.
    """
    grey = crops.astype(np.float32) @ np.array(LUMA, dtype=np.float32)
    down, right = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, right)
    angle = np.mod(np.arctan2(down, right), np.pi) * (ORIENTATIONS / np.pi)
    first = np.floor(angle).astype(np.int64) % ORIENTATIONS
    share = angle - np.floor(angle)
    histograms = np.zeros((*grey.shape, ORIENTATIONS), dtype=np.float32)
    np.put_along_axis(histograms, first[..., None], (strength * (1 - share))[..., None], axis=-1)
    np.put_along_axis(histograms, ((first + 1) % ORIENTATIONS)[..., None], (strength * share)[..., None], axis=-1)
    side = grey.shape[1] // CELLS
    cells = histograms.reshape(len(crops), CELLS, side, CELLS, side, ORIENTATIONS).sum((2, 4)).reshape(len(crops), -1)
    lengths = np.linalg.norm(cells, axis=1, keepdims=True)
    return cells / np.maximum(lengths, 1e-6)
