"""WAV files without FFmpeg: plain ones, which it takes 100 times as long to read, and what headers claim."""

import struct
import wave
from pathlib import Path

import numpy as np

from mme2e.media.resampling import SAMPLE_RATE_HZ

UNKNOWN_LENGTHS = (0, 0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF)  # written before anyone knew how long it would be
MOST_CHUNKS = 64
_WAVE_ERRORS = (wave.Error, EOFError, OSError, RuntimeError, ValueError, struct.error)
"""What the standard library makes of headers that are damaged."""


def plain_wav(path: Path | str, first: int, last: int | None, channel: int | None) -> np.ndarray | None:
    """Samples [first, last) of a WAV file that holds them as they are asked for.

    None for any other file, and for one whose header does not fit its size: FFmpeg knows what to make of it.
    """
    try:
        with Path(path).open("rb") as raw, wave.open(raw) as file:
            channels, frames = file.getnchannels(), file.getnframes()
            as_asked = file.getframerate() == SAMPLE_RATE_HZ and file.getsampwidth() == np.dtype(np.int16).itemsize
            taken = 0 if channel is None and channels == 1 else channel
            whole = raw.tell() + frames * channels * file.getsampwidth() <= Path(path).stat().st_size
            if not (as_asked and whole and frames and taken is not None and 0 <= taken < channels):
                return None
            end = frames if last is None else min(last, frames)
            if first >= end:
                return np.zeros(0, dtype=np.int16)
            file.setpos(first)
            samples = np.frombuffer(file.readframes(end - first), dtype="<i2").reshape(-1, channels)
            return samples[:, taken].astype(np.int16)
    except _WAVE_ERRORS:
        return None


def claimed_wav_s(path: Path | str) -> float | None:
    """How long the audio of a WAV file is by its header; FFmpeg corrects that by the size of the file.

    None where the header does not claim anything, or the file is none.
    """
    bytes_per_s = 0
    with Path(path).open("rb") as file:
        if file.read(4) != b"RIFF" or len(file.read(8)) != 8:
            return None
        for _ in range(MOST_CHUNKS):
            head = file.read(8)
            size = int.from_bytes(head[4:], "little")
            if len(head) < 8 or (head[:4] == b"data" and size in UNKNOWN_LENGTHS):
                return None
            if head[:4] == b"data":
                return size / bytes_per_s if bytes_per_s else None
            start = file.tell()
            if head[:4] == b"fmt ":
                bytes_per_s = int.from_bytes(file.read(16)[8:12], "little")
            file.seek(start + size + size % 2)
    return None
