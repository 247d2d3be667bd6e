"""Landmarks on face crops that are there already."""

import numpy as np
import torch

from mme2e.faces.networks import MTCNN, OUTPUT_PX, normalise

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""In the O-net's order; left as one sees it."""


class LandmarkFinder:
    """Asks the O-net of the detector for the five landmarks of face crops."""

    def __init__(self) -> None:
        self._network = MTCNN().onet

    @torch.inference_mode()
    def find(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Finds landmarks.

        Args:
            crops: (crops, 48, 48, 3) uint8 RGB.

        Returns:
            Probability that each crop shows a face, (crops,) float32; landmarks (crops, 5, 2) float32, x and y in
            shares of the crop's side, from its upper left corner.

        Raises:
            ValueError: The crops have another shape or dtype.
        """
        if crops.dtype != np.uint8 or crops.shape[1:] != (OUTPUT_PX, OUTPUT_PX, 3):
            raise ValueError(f"crops must be (crops, 48, 48, 3) uint8, not {crops.shape} {crops.dtype}")
        if not len(crops):
            return np.zeros(0, dtype=np.float32), np.zeros((0, len(LANDMARKS), 2), dtype=np.float32)
        pixels = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float()
        probabilities, _, landmarks = self._network(normalise(pixels))
        return probabilities.numpy(), landmarks.numpy()
