"""From a face box to the 48 px crop that the models see."""

from functools import lru_cache

import numpy as np
import torch

from mme2e.faces.face_crop import FACE_SIZE_PX, Box


def crop_face(image: np.ndarray, box: Box, margin: int = 2) -> np.ndarray:
    """Cuts a face with its margin and resizes it with area interpolation, as the reference does.

    The box grows by half of margin * side / (48 - margin) at each edge, so that the margin is `margin` pixels of the
    crop in total; it is clipped to the image and its edges are cut to whole pixels. The aspect ratio is not kept.

    Args:
        image: (height, width, 3) uint8 RGB.
        box: Face in pixels of the image; it may reach over the edge.
        margin: Pixels of the crop that the margin takes, both sides together.

    Returns:
        (48, 48, 3) uint8 RGB.
    """
    height_px, width_px = image.shape[:2]
    x1, y1, x2, y2 = box
    grow_x = margin * (x2 - x1) / (FACE_SIZE_PX - margin) / 2
    grow_y = margin * (y2 - y1) / (FACE_SIZE_PX - margin) / 2
    # A box outside of the image would leave nothing: one pixel of the nearest edge is always kept.
    left, top = min(int(max(x1 - grow_x, 0)), width_px - 1), min(int(max(y1 - grow_y, 0)), height_px - 1)
    right, bottom = max(int(min(x2 + grow_x, width_px)), left + 1), max(int(min(y2 + grow_y, height_px)), top + 1)
    # Products by torch, not numpy: worker processes make torch alone keep to one thread.
    cut = torch.from_numpy(image[top:bottom, left:right].astype(np.float32))
    rows = torch.mm(_area_weights(bottom - top), cut.view(bottom - top, -1))
    columns = rows.view(FACE_SIZE_PX, right - left, 3).transpose(0, 1).reshape(right - left, -1)
    crop = torch.mm(_area_weights(right - left), columns).view(FACE_SIZE_PX, FACE_SIZE_PX, 3)  # columns first
    return crop.numpy().transpose(1, 0, 2).round().clip(0, 255).astype(np.uint8, order="C")


def whole_crop(image: np.ndarray) -> np.ndarray:
    """The whole of an image that is a face crop already, resized with area interpolation.

    The aspect ratio is kept: where the image is no square, its outermost rows or columns are repeated on both sides.

    Args:
        image: (height, width, 3) uint8 RGB.

    Returns:
        (48, 48, 3) uint8 RGB.
    """
    from PIL import Image  # not for an answer on video, which shall come soon

    height_px, width_px = image.shape[:2]
    if height_px == width_px == FACE_SIZE_PX:
        return image
    longer_px = max(height_px, width_px)
    # Not padded before it is resized: a strip of one pixel by millions would become a square of them.
    rows, columns = (max(1, round(FACE_SIZE_PX * side / longer_px)) for side in (height_px, width_px))
    resized = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX))
    above, left = (FACE_SIZE_PX - rows) // 2, (FACE_SIZE_PX - columns) // 2
    below, right = FACE_SIZE_PX - rows - above, FACE_SIZE_PX - columns - left
    return np.pad(resized, ((above, below), (left, right), (0, 0)), mode="edge")


@lru_cache(maxsize=64)
def _area_weights(length_px: int) -> torch.Tensor:
    """Area interpolation of one axis, (48, length) float32: shares of the pixels in each output pixel."""
    edges = np.arange(FACE_SIZE_PX + 1, dtype=np.float32) * (length_px / FACE_SIZE_PX)
    pixels = np.arange(length_px, dtype=np.float32)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return torch.from_numpy(shared.clip(min=0) * np.float32(FACE_SIZE_PX / length_px))


def centre_box(image: np.ndarray) -> Box:
    """The largest square in the middle of an image."""
    height_px, width_px = image.shape[:2]
    side = min(height_px, width_px)
    x1, y1 = (width_px - side) / 2, (height_px - side) / 2
    return (x1, y1, x1 + side, y1 + side)
