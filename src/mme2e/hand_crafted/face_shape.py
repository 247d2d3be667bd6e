"""Visual features of the corpus' own face crops: landmarks, geometry and texture."""

import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mme2e.data.feature_schema import ModalityFeatures
from mme2e.errors import MediaError
from mme2e.faces.face_crop import FaceFlag
from mme2e.hand_crafted import gradients

if TYPE_CHECKING:
    from mme2e.faces.landmarks import LandmarkFinder

_POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
GEOMETRY = ("eye_distance", "roll", "mouth_width", "face_height", "nose_height", "nose_side")
COLUMNS = (
    "face_log_odds",
    *(f"{point}_{axis}" for point in _POINTS for axis in "xy"),
    *GEOMETRY,
    *gradients.COLUMNS,
)


class FaceShape:
    """145 numbers a sampled frame: log odds of a face, 5 landmarks, 6 of geometry, 128 of texture.

    As in training end to end, an utterance in none of whose frames a face was seen has no video; else all of its
    frames are taken, and the log odds decide which show a face.
    """

    columns: tuple[str, ...] = ("face_crops", "face_flags")

    def __init__(self) -> None:
        self.info = ModalityFeatures(
            kind="landmarks and gradients", version="1", size=len(COLUMNS), columns=COLUMNS, settings={}
        )

    @cached_property
    def _finder(self) -> "LandmarkFinder":
        from mme2e.faces.landmarks import LandmarkFinder

        return LandmarkFinder()

    def sources(self) -> list[Path]:
        """No files."""
        return []

    def extract(self, row: Mapping[str, Any]) -> np.ndarray | None:
        """(frames, 145) float32; None without a face.

        Raises:
            MediaError: A crop is damaged.
        """
        if not any(FaceFlag(flag).has_face for flag in row["face_flags"]):
            return None
        crops = np.stack([_decoded(crop) for crop in row["face_crops"]])
        probabilities, landmarks = self._finder.find(crops)
        parts = (
            _log_odds(probabilities)[:, None],
            landmarks.reshape(len(crops), -1),
            geometry(landmarks),
            gradients.oriented_gradients(crops),
        )
        return np.concatenate(parts, axis=1)


def geometry(landmarks: np.ndarray) -> np.ndarray:
    """What shape the face has and where it looks.

    Args:
        landmarks: (crops, 5, 2), as the `LandmarkFinder` gives them.

    Returns:
        (crops, 6) float32: distance of the eyes in shares of the crop; roll of the head in radians; width of the
        mouth and distance from the eyes to the mouth, both in distances of the eyes; where the nose is between eyes
        (0) and mouth (1); and how far it is to the side of their axis, in distances of the eyes.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks.transpose(1, 0, 2)
    across = right_eye - left_eye
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    distance = np.maximum(np.linalg.norm(across, axis=1), 1e-3)
    axis = mouth - eyes
    height = np.maximum(np.linalg.norm(axis, axis=1), 1e-3)
    along = ((nose - eyes) * axis).sum(1) / height**2
    aside = ((nose - eyes)[:, 0] * axis[:, 1] - (nose - eyes)[:, 1] * axis[:, 0]) / height
    mouth_width = np.linalg.norm(right_mouth - left_mouth, axis=1)
    roll = np.arctan2(across[:, 1], across[:, 0])
    return np.stack([distance, roll, mouth_width / distance, height / distance, along, aside / distance], axis=1)


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    """-7 to 7; of nearly always sure probabilities, standardised, one doubt would outweigh everything else."""
    bounded = np.clip(probabilities, 1e-3, 1 - 1e-3)
    return np.log(bounded / (1 - bounded))


def _decoded(crop: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(crop)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # Pillow's complaints about damaged files
        raise MediaError(f"a face crop of {len(crop)} bytes is not an image: {error}") from error
