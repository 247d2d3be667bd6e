"""A part of the picture."""

from dataclasses import dataclass

from mme2e.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of a video's frames, in pixels of the upright picture."""

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
        raise UserError(f"region wants x,y,width,height in pixels, not '{given}'") from error
    if min(x_px, y_px) < 0 or min(width_px, height_px) < 1:
        raise UserError(f"region {given} is no rectangle: x and y from 0, width and height from 1")
    return Region(x_px=x_px, y_px=y_px, width_px=width_px, height_px=height_px)
