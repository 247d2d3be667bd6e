"""A part of the frame."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mme2e.errors import MediaError, UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of a video's frames, in pixels of the upright frame."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int


def parse_region(given: str | None) -> Region | None:
    """A region from "x,y,width,height" in pixels.

    Raises:
        UserError: It is not four whole numbers that make a rectangle.
    """
    if given is None:
        return None
    try:
        x_px, y_px, width_px, height_px = (int(part) for part in given.split(","))
    except ValueError as error:
        raise UserError(f"region expects x,y,width,height in pixels, not '{given}'") from error
    if min(x_px, y_px) < 0 or min(width_px, height_px) < 1:
        raise UserError(f"region {given} is not a rectangle: x and y from 0, width and height from 1")
    return Region(x_px=x_px, y_px=y_px, width_px=width_px, height_px=height_px)


def cut_region(image: "np.ndarray", region: Region | None, path: Path | str, reduction: int = 1) -> "np.ndarray":
    """Cuts a region out of an upright image, (height, width, 3) uint8; the result is contiguous, and a copy if cut.

    Args:
        image: The image.
        region: In pixels of the file.
        path: The file.
        reduction: How many pixels of the file, in each direction, one of `image` stands for.

    Raises:
        MediaError: The region does not fit into the image; the message names `path`.
    """
    import numpy as np  # not for those who only speak of regions, as the corpus readers do

    if region is not None:
        height_px, width_px = image.shape[:2]
        left_px, top_px = region.x_px // reduction, region.y_px // reduction
        right_px = -(-(region.x_px + region.width_px) // reduction)
        bottom_px = -(-(region.y_px + region.height_px) // reduction)
        if not (0 <= left_px < right_px <= width_px and 0 <= top_px < bottom_px <= height_px):
            size = f"{width_px * reduction}x{height_px * reduction}"
            raise MediaError(f"{path}: {region} does not fit into a frame of {size} px")
        image = image[top_px:bottom_px, left_px:right_px].copy()
    return np.ascontiguousarray(image)
