"""Frames of 10 ms become steps that a recurrent network can read in reasonable time."""

import numpy as np

HOP_MS = 10
"""Time between two frames of audio."""


def window_means(frames: np.ndarray, window_ms: int) -> np.ndarray:
    """Averages frames over windows; the last window may be shorter.

    Args:
        frames: (frames, size), one each 10 ms; NaN where a frame has no value.
        window_ms: A multiple of 10.

    Returns:
        (windows, size) float32; 0 where no frame of a window has a value.
    """
    starts = np.arange(0, len(frames), window_ms // HOP_MS)
    known = np.isfinite(frames)
    sums = np.add.reduceat(np.where(known, frames, 0).astype(np.float64), starts)
    return (sums / np.maximum(1, np.add.reduceat(known.astype(np.int64), starts))).astype(np.float32)
