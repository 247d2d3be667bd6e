"""Face crops and mel chunks as small images for the page, and the map of their sites."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mme2e.inference.overlays import decibels
from mme2e.inference.selected_sites import StageSelection


def face_image(crop: np.ndarray) -> str:
    """PNG in base64 of a crop (48, 48, 3) uint8 RGB."""
    return _png(Image.fromarray(np.ascontiguousarray(crop)))


def mel_images(mel_chunks: np.ndarray) -> list[np.ndarray]:
    """Grey images of the chunks of one segment, on one scale: white is the segment's loudest, black 60 dB below.

    Args:
        mel_chunks: (chunks, 1, 128, 32) float32, power.

    Returns:
        For each chunk (128, 32) uint8, the lowest band at the bottom.
    """
    levels = decibels(mel_chunks)  # 0 dB down to -60
    grey = np.round(255 + levels * (255 / 60)).clip(0, 255).astype(np.uint8)[::-1]
    return np.split(grey, len(mel_chunks), axis=1)


def mel_image_png(image: np.ndarray) -> str:
    """PNG in base64 of one of `mel_images`."""
    return _png(Image.fromarray(np.ascontiguousarray(image)))


def kept_shares(stages: Sequence[StageSelection], number: int) -> np.ndarray:
    """In how many of the stages each site of one map was kept.

    Args:
        stages: Of a modality, the first with the finest map; each later one halves it.
        number: Of the map.

    Returns:
        (rows, columns) float of stage 1, 0..1: a site of a later stage stands for the sites that it covers.
    """
    rows, columns = stages[0].kept.shape[1:]
    kept = [stage.kept[number] for stage in stages]
    fine = [each.repeat(rows // each.shape[0], axis=0).repeat(columns // each.shape[1], axis=1) for each in kept]
    return np.mean(fine, axis=0)


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
