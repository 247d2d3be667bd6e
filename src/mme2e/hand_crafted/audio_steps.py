"""What libraries for acoustic features share: they are given the audio of a corpus row, and of their frames of 10 ms
steps are made that a recurrent network can read in reasonable time.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mme2e.media.audio import decode_flac

HOP_MS = 10
"""Time between two frames of audio."""


def waveform_of(row: Mapping[str, Any]) -> np.ndarray | None:
    """(samples,) float32 in [-1, 1), 16 kHz, at least one sample; None without audio.

    Args:
        row: Of a prepared corpus; its column `audio` is read.

    Raises:
        MediaError: The audio is damaged.
    """
    samples = None if row["audio"] is None else decode_flac(row["audio"])
    return None if samples is None or not len(samples) else samples.astype(np.float32) / 32768


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
