"""Face crops and spectrograms as images, with the sites that a stage dropped darkened."""

import matplotlib
import numpy as np
from PIL import Image

from mme2e.faces.face_crop import LUMA
from mme2e.media.mel import NUM_MELS

DYNAMIC_RANGE_DB = 60.0
"""Audio that is weaker than the loudest by more than this looks like silence."""

CROP_ZOOM = 4
"""Pixels drawn for one pixel of a crop, so that faces look smooth; a site is never cut."""

_DROPPED_BRIGHTNESS = 0.3
# The dark third of viridis is left out: a quiet site that is kept must not look like one that was dropped.
_MEL_COLOURS = (0.3, 1.0)


def darken(image: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The image with the sites that were dropped grey and dark; the others stay as they are.

    Args:
        image: (height, width, 3) float32 in [0, 1].
        kept: (rows, columns) bool; rows divide the height, columns the width.

    Returns:
        (height, width, 3) float32 in [0, 1].

    Raises:
        ValueError: The sites do not fit the image.
    """
    height, width = image.shape[:2]
    rows, columns = kept.shape
    if height % rows or width % columns:
        raise ValueError(f"{rows} x {columns} sites do not fit an image of {height} x {width}")
    clear = kept.repeat(height // rows, axis=0).repeat(width // columns, axis=1)[..., None]
    return np.where(clear, image, _DROPPED_BRIGHTNESS * (image @ np.array(LUMA, dtype=np.float32))[..., None])


def face_images(crops: np.ndarray) -> list[np.ndarray]:
    """Crops as images of four times their size.

    Args:
        crops: (frames, 3, height, width) uint8, RGB.

    Returns:
        For each frame (4 height, 4 width, 3) float32 in [0, 1].
    """
    images = []
    for crop in crops.transpose(0, 2, 3, 1):
        height, width = crop.shape[:2]
        large = Image.fromarray(np.ascontiguousarray(crop)).resize(
            (CROP_ZOOM * width, CROP_ZOOM * height), Image.Resampling.BICUBIC
        )
        images.append(np.asarray(large, dtype=np.float32) / 255)
    return images


def decibels(mel_chunks: np.ndarray) -> np.ndarray:
    """The chunks side by side on a logarithmic scale.

    Args:
        mel_chunks: (chunks, 1, 128, 32) float32, power.

    Returns:
        (128, 32 chunks) float32, the lowest band first; 0 dB is the loudest, -60 dB that or anything below.
    """
    power = beside(mel_chunks[:, 0])
    loudest = max(float(power.max(initial=0.0)), np.finfo(np.float32).tiny)
    with np.errstate(divide="ignore"):
        levels = 10 * np.log10(power / loudest)
    return np.maximum(levels, -DYNAMIC_RANGE_DB).astype(np.float32)


def beside(maps: np.ndarray) -> np.ndarray:
    """(maps, rows, columns) of any dtype to (rows, maps * columns)."""
    number, rows, columns = maps.shape
    return maps.transpose(1, 0, 2).reshape(rows, number * columns)


def mel_colours() -> matplotlib.colors.ListedColormap:
    """Colours of audio from quiet to loud, none of them dark."""
    return matplotlib.colors.ListedColormap(matplotlib.colormaps["viridis"](np.linspace(*_MEL_COLOURS, 256)))


def mel_image(levels_db: np.ndarray) -> np.ndarray:
    """(128, columns) of `decibels` to an image (128, columns, 3) float32 in [0, 1], the lowest band first."""
    colours = mel_colours()(1 + levels_db / DYNAMIC_RANGE_DB)
    return colours[..., :3].astype(np.float32)


def band_of_frequency(frequency_hz: float, highest_hz: float = 8000.0) -> float:
    """Place of a frequency among the 128 HTK mel bands, 0 the centre of the lowest; between bands a fraction."""
    mel, top_mel = (2595 * np.log10(1 + hz / 700) for hz in (frequency_hz, highest_hz))
    return float(mel / top_mel * (NUM_MELS + 1) - 1)
