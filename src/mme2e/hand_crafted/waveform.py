"""The audio of a corpus row, as libraries for acoustic features expect it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mme2e.media.audio import decode_flac


def waveform_of(row: Mapping[str, Any]) -> np.ndarray | None:
    """(samples,) float32 in [-1, 1), 16 kHz, at least one sample; None without audio.

    Args:
        row: Of a prepared corpus; its column `audio` is read.

    Raises:
        MediaError: The audio is damaged.
    """
    samples = None if row["audio"] is None else decode_flac(row["audio"])
    return None if samples is None or not len(samples) else samples.astype(np.float32) / 32768
