"""Deterministic sound that the detector finds more and less like speech."""

import numpy as np

SAMPLE_RATE_HZ = 16_000


def vowels(seconds: float = 3.0) -> np.ndarray:
    """(samples,) int16: pulses of a voice of about 120 Hz through three resonances, in syllables, with pauses."""
    length = round(seconds * SAMPLE_RATE_HZ)
    time_s = np.arange(length) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * time_s)) / SAMPLE_RATE_HZ
    waveform = np.zeros(length)
    for k in range(1, 30):
        shift = 1 + 0.3 * np.sin(2 * np.pi * 1.9 * time_s)
        gain = sum(
            np.exp(-(((120 * k - centre * shift) / width) ** 2))
            for centre, width in ((600, 150), (1300, 200), (2500, 300))
        )
        waveform += gain * np.sin(k * phase)
    syllables = np.clip(np.sin(2 * np.pi * 3.3 * time_s), 0, None) * (np.sin(2 * np.pi * 0.6 * time_s) > -0.3)
    waveform *= syllables
    return np.rint(12000 * waveform / np.abs(waveform).max()).astype(np.int16)
