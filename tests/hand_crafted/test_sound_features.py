import pickle
import sys

import numpy as np
import pytest

from mme2e.errors import MediaError, UserError
from mme2e.hand_crafted.audio_steps import window_means
from mme2e.hand_crafted.librosa_audio import COLUMNS, LibrosaAudio, frame_features
from mme2e.hand_crafted.opensmile_audio import OpenSmileAudio
from mme2e.media.audio import SAMPLE_RATE_HZ, encode_flac


def tone(pitch_hz, seconds=1.0, level=0.3):
    times_s = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return (level * np.sin(2 * np.pi * pitch_hz * times_s)).astype(np.float32)


def packed(waveform):
    return {"audio": encode_flac((waveform * 32767).astype(np.int16))}


def column(frames, name):
    return frames[:, COLUMNS.index(name)]


@pytest.mark.parametrize(("frames", "windows"), [(1, 1), (9, 1), (10, 1), (11, 2), (25, 3)])
def test_windows_average_and_the_last_may_be_short(frames, windows):
    values = np.random.default_rng(0).normal(size=(frames, 4))
    means = window_means(values, 100)
    assert means.shape == (windows, 4)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means[0], values[:10].mean(0), rtol=1e-5)
    np.testing.assert_allclose(means[-1], values[(windows - 1) * 10 :].mean(0), rtol=1e-5)


def test_windows_pass_over_frames_without_a_value():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [5.0, 4.0]])
    assert window_means(values, 20).tolist() == [[2.0, 0.0], [5.0, 4.0]]
    assert window_means(values, 10).shape == (4, 2)


def test_librosa_hears_pitch_voice_and_level():
    pytest.importorskip("librosa")
    low, high = frame_features(tone(110)), frame_features(tone(220))
    noise = frame_features(np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32))
    assert low.shape == (101, len(COLUMNS)) == (101, 40)
    inner = slice(10, 90)
    np.testing.assert_allclose(column(low, "pitch_semitones")[inner], 12, atol=0.3)  # an octave above 55 Hz
    np.testing.assert_allclose(column(high, "pitch_semitones")[inner], 24, atol=0.3)
    assert column(low, "periodicity")[inner].min() > 0.9 > 0.5 > column(noise, "periodicity").mean()
    assert np.isnan(column(noise, "pitch_semitones")).mean() > 0.9
    assert column(noise, "centroid_hz").mean() > 3000 > column(high, "centroid_hz").mean()
    louder = frame_features(tone(220, level=0.6))
    difference = column(louder, "energy_db") - column(high, "energy_db")
    np.testing.assert_allclose(difference[inner], 20 * np.log10(2), atol=0.01)
    assert high[:, COLUMNS.index("chroma_9")][inner].min() > 0.9  # 220 Hz is an A


@pytest.mark.parametrize("waveform", [np.zeros(1), np.zeros(8000), np.full(100, 0.5), np.full(5000, -0.9)])
def test_librosa_takes_silence_and_the_shortest_sounds(waveform):
    pytest.importorskip("librosa")
    matrix = LibrosaAudio(100).extract(packed(waveform))
    assert matrix.shape == (-(-(1 + len(waveform) // 160) // 10), 40)
    assert np.isfinite(matrix).all()


@pytest.mark.parametrize(("name", "size"), [("egemaps", 25), ("compare", 65)])
def test_opensmile_sets(name, size):
    pytest.importorskip("opensmile")
    extractor = pickle.loads(pickle.dumps(OpenSmileAudio(name, 100)))
    assert extractor.info.size == len(extractor.info.columns) == size
    matrix = extractor.extract(packed(tone(220, 1.02)))
    assert matrix.shape[0] in (10, 11)
    assert matrix.shape[1] == size
    assert np.isfinite(matrix).all()
    assert extractor.extract(packed(np.zeros(1))).shape == (1, size)


@pytest.mark.parametrize(
    ("library", "make"), [("librosa", lambda: LibrosaAudio(100)), ("opensmile", lambda: OpenSmileAudio("egemaps", 100))]
)
def test_no_sound_damaged_sound_and_a_missing_library(library, make, monkeypatch):
    pytest.importorskip(library)
    extractor = make()
    assert extractor.extract({"audio": None}) is None
    assert extractor.extract(packed(np.zeros(0))) is None
    with pytest.raises(MediaError, match="not FLAC audio"):
        extractor.extract({"audio": b"this is no sound"})
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"{library}: pip install 'mme2e\[features\]'"):
        make()
