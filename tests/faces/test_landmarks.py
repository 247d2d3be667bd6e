import numpy as np
import pytest
from portrait import portrait

from mme2e.config import FaceSettings
from mme2e.faces.crop import crop_face
from mme2e.faces.detector import FaceDetector
from mme2e.faces.landmarks import LandmarkFinder


def test_landmarks_on_a_crop_are_those_of_the_detector():
    face = FaceDetector(FaceSettings(mode="reference")).detect([portrait()])[0]
    box = face.boxes[0]
    crop = crop_face(portrait(), tuple(box.tolist()), margin=0)
    probabilities, landmarks = LandmarkFinder().find(crop[None])
    wanted = (face.landmarks[0] - box[:2]) / (box[2:] - box[:2])
    assert probabilities[0] > 0.9
    np.testing.assert_allclose(landmarks[0], wanted, atol=0.05)


def test_noise_is_no_face():
    crops = np.random.default_rng(0).integers(0, 255, (3, 48, 48, 3), dtype=np.uint8)
    probabilities, landmarks = LandmarkFinder().find(crops)
    assert probabilities.max() < 0.7
    assert landmarks.shape == (3, 5, 2)


def test_no_crops_and_wrong_ones():
    finder = LandmarkFinder()
    assert finder.find(np.zeros((0, 48, 48, 3), dtype=np.uint8))[1].shape == (0, 5, 2)
    with pytest.raises(ValueError, match="48, 48, 3"):
        finder.find(np.zeros((1, 3, 48, 48), dtype=np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        finder.find(np.zeros((1, 48, 48, 3), dtype=np.float32))
