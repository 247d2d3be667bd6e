"""A real face for tests: the portrait that ships with matplotlib."""

import functools

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image


@functools.cache
def portrait() -> np.ndarray:
    """(606, 512, 3) uint8 RGB; the face is about 180 px wide."""
    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


@functools.cache
def scene(height_px: int, width_px: int, *faces: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """A smooth background with portraits at (x, y, width) in pixels."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(60, 150, (3, 4, 3), dtype=np.uint8))
    picture = coarse.resize((width_px, height_px), Image.Resampling.BICUBIC)
    for x, y, width in faces:
        height = round(width * portrait().shape[0] / portrait().shape[1])
        picture.paste(Image.fromarray(portrait()).resize((width, height), Image.Resampling.LANCZOS), (x, y))
    return np.asarray(picture)
