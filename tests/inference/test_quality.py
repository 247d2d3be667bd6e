import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image, ImageFilter

from mme2e.faces.face_crop import FaceCrop, FaceFlag
from mme2e.inference.quality import audio_flags, face_flags


def face(crop: np.ndarray, side_px: float = 100.0) -> FaceCrop:
    return FaceCrop(
        time_s=0.0, crop=crop, box=(10.0, 10.0, 10.0 + side_px, 10.0 + side_px), flag=FaceFlag.DETECTED, probability=1.0
    )


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    with Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as photograph:
        face = photograph.convert("RGB").crop((180, 60, 340, 260))
    return np.asarray(face.resize((48, 48), Image.Resampling.BOX))


def test_a_clear_face_has_no_flags(crop: np.ndarray):
    assert face_flags([face(crop)] * 3) == []


def test_no_face():
    assert face_flags([]) == ["no face"]


def test_small_dark_and_blurred_faces(crop: np.ndarray):
    assert face_flags([face(crop, side_px=40)]) == ["small face"]
    assert face_flags([face(crop // 6)]) == ["low light"]
    blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(3)))
    assert face_flags([face(blurred)]) == ["blur"]
    assert face_flags([face(np.full_like(crop, 128))]) == ["blur"]


def speech(seconds: float = 2.0, level: float = 6000.0) -> np.ndarray:
    """Syllables: a tone that comes and goes four times a second."""
    time_s = np.arange(round(16000 * seconds)) / 16000
    return level * np.sin(2 * np.pi * 220 * time_s) * np.maximum(np.sin(2 * np.pi * 4 * time_s), 0)


def test_clear_speech_has_no_flags():
    assert audio_flags(speech().astype(np.int16), speech=True) == []


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(16000), np.ones(16000) * 3, np.zeros(1)])
def test_silence(samples: np.ndarray):
    assert audio_flags(samples.astype(np.int16), speech=True) == ["silence"]


def test_clipping_at_both_ends_of_the_scale():
    loud = (20 * speech()).clip(-32768, 32767).astype(np.int16)
    assert audio_flags(loud, speech=True) == ["clipping"]


def test_noise_is_judged_in_speech_only():
    noise = np.random.default_rng(0).standard_normal(32000) * 2000
    noisy = (speech() + noise).clip(-32768, 32767).astype(np.int16)
    assert audio_flags(noisy, speech=True) == ["noise"]
    assert audio_flags(noisy, speech=False) == []
