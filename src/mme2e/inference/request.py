"""What a request says in words: the device, the transcript, the region."""

from pathlib import Path

import torch

from mme2e.corpora.utterance import Region
from mme2e.errors import UserError


def resolve_device(device: str) -> torch.device:
    """The device of that name.

    Raises:
        UserError: There is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{device}' cannot be used here; give cpu, or auto to take what there is") from error


def read_transcript(given: str | None) -> str | None:
    """The text itself, or the content of the file that it names.

    Raises:
        UserError: The file is not UTF-8 text.
    """
    # A long text is no file name: asking the file system about it would be an error of its own.
    if given is None or len(given) > 255 or "\n" in given or not Path(given).is_file():
        return given
    try:
        return Path(given).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise UserError(f"{given} is not a text file in UTF-8") from error


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
