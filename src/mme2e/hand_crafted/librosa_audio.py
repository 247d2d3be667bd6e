"""Acoustic features with librosa: what speech emotion recognition has long used, 40 numbers a frame."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mme2e.data.feature_schema import ModalityFeatures
from mme2e.errors import UserError
from mme2e.hand_crafted.audio_steps import HOP_MS, waveform_of, window_means
from mme2e.media.audio import SAMPLE_RATE_HZ

HOP = SAMPLE_RATE_HZ * HOP_MS // 1000
WINDOW = 400  # 25 ms
FFT = 512
LONG_FFT = 2048  # pitch classes of low voices want narrow bands
MFCC = 13
MELS = 40
CONTRAST_BANDS = 5  # octaves from 200 Hz; a sixth would end above 8 kHz
PITCH_HZ = (60.0, 500.0)
PITCH_FRAME = 1024
SEMITONE_ZERO_HZ = 55.0
VOICED = 0.5  # least periodicity of a frame that has a pitch
FLOOR_DB = -80.0

COLUMNS = (
    *(f"mfcc_{i}" for i in range(MFCC)),
    *(f"chroma_{i}" for i in range(12)),
    *(f"contrast_{i}" for i in range(CONTRAST_BANDS + 1)),
    "pitch_semitones",
    "periodicity",
    "energy_db",
    "zero_crossings",
    "centroid_hz",
    "bandwidth_hz",
    "rolloff_hz",
    "flatness_log10",
    "flux_db",
)


class LibrosaAudio:
    """MFCC, pitch classes, contrast, pitch, periodicity, energy and shape of the spectrum (McFee et al. 2015).

    Args:
        window_ms: Frames of 10 ms are averaged over so many ms.

    Raises:
        UserError: librosa is not installed.
    """

    columns: tuple[str, ...] = ("audio",)

    def __init__(self, window_ms: int) -> None:
        try:
            import librosa  # noqa: F401  # is it there?
        except ImportError as error:
            raise UserError("acoustic features require librosa: pip install 'mme2e[features]'") from error
        self._window_ms = window_ms
        self.info = ModalityFeatures(
            kind="librosa",
            version=version("librosa"),
            size=len(COLUMNS),
            columns=COLUMNS,
            settings={"hop_ms": HOP_MS, "window_ms": window_ms},
        )

    def sources(self) -> list[Path]:
        """No files."""
        return []

    def extract(self, row: Mapping[str, Any]) -> np.ndarray | None:
        """(windows, 40) float32; None without audio.

        Raises:
            MediaError: The audio is damaged.
        """
        waveform = waveform_of(row)
        return None if waveform is None else window_means(frame_features(waveform), self._window_ms)


def frame_features(waveform: np.ndarray) -> np.ndarray:
    """The features of every 10 ms.

    Args:
        waveform: (samples,) float32, -1..1, 16 kHz; at least one sample.

    Returns:
        (1 + samples // 160, 40) float32, in the order of `COLUMNS`; the pitch is NaN where there is no voice.
    """
    from librosa import feature, power_to_db, yin

    num_frames = 1 + len(waveform) // HOP
    if len(waveform) < LONG_FFT:
        waveform = np.pad(waveform, (0, LONG_FFT - len(waveform)))
    magnitude = _magnitude(waveform, FFT, WINDOW)
    power = magnitude**2
    mel = feature.melspectrogram(S=power, sr=SAMPLE_RATE_HZ, n_mels=MELS)
    mel_db = power_to_db(mel, amin=1e-10, top_db=None)
    pitch_hz = yin(
        waveform, fmin=PITCH_HZ[0], fmax=PITCH_HZ[1], sr=SAMPLE_RATE_HZ, frame_length=PITCH_FRAME, hop_length=HOP
    )
    periodicity = _periodicity(waveform, pitch_hz)
    spectrum: dict[str, Any] = {"S": magnitude, "sr": SAMPLE_RATE_HZ}
    rows = [
        feature.mfcc(S=mel_db, n_mfcc=MFCC),
        feature.chroma_stft(S=_magnitude(waveform, LONG_FFT, LONG_FFT) ** 2, sr=SAMPLE_RATE_HZ, tuning=0.0),
        feature.spectral_contrast(**spectrum, n_bands=CONTRAST_BANDS),
        np.where(periodicity >= VOICED, 12 * np.log2(pitch_hz / SEMITONE_ZERO_HZ), np.nan)[None],
        periodicity[None],
        np.maximum(power_to_db(feature.rms(S=magnitude, frame_length=FFT) ** 2, amin=1e-10, top_db=None), FLOOR_DB),
        feature.zero_crossing_rate(waveform, frame_length=WINDOW, hop_length=HOP),
        feature.spectral_centroid(**spectrum),
        feature.spectral_bandwidth(**spectrum),
        feature.spectral_rolloff(**spectrum),
        np.log10(feature.spectral_flatness(S=magnitude)),
        np.maximum(np.diff(mel_db, axis=1, prepend=mel_db[:, :1]), 0).mean(0, keepdims=True),
    ]
    return np.concatenate([row[:, :num_frames] for row in rows]).T.astype(np.float32)


def _magnitude(waveform: np.ndarray, fft: int, window: int) -> np.ndarray:
    """(fft // 2 + 1, frames) float32."""
    from librosa import stft

    return np.abs(stft(waveform, n_fft=fft, hop_length=HOP, win_length=window))


def _periodicity(waveform: np.ndarray, pitch_hz: np.ndarray) -> np.ndarray:
    """(frames,): how alike each frame is to itself one period later, -1..1; near 1 for a voice, 0 for noise."""
    from librosa.util import frame

    longest = int(np.ceil(SAMPLE_RATE_HZ / PITCH_HZ[0]))
    half = PITCH_FRAME // 2
    padded = np.pad(waveform, (half, half + longest))
    whole = frame(padded, frame_length=PITCH_FRAME + longest, hop_length=HOP, axis=0)[: len(pitch_hz)]
    lags = np.rint(SAMPLE_RATE_HZ / pitch_hz[: len(whole)]).astype(np.int64)
    here = whole[:, :PITCH_FRAME]
    later = np.take_along_axis(whole, lags[:, None] + np.arange(PITCH_FRAME), axis=1)
    norm = np.sqrt((here**2).sum(1) * (later**2).sum(1))
    return np.where(norm > 1e-9, (here * later).sum(1) / np.maximum(norm, 1e-9), 0.0)
