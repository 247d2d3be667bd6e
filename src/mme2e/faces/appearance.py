"""How a face and what surrounds it look: numbers by which a person is known again after a cut or an absence.

No weights for recognising faces come with the package. Within one recording a person keeps hair, clothes and light,
and colours carry most of the information; the shape of the face (a histogram of gradients of its crop, Dalal and
Triggs 2005) adds to them. On photographs of one person from different days neither is worth much: two people who are
dressed alike may be taken for one, and one who changes clothes for two.
"""

from functools import lru_cache

import numpy as np

from mme2e.faces.face_crop import FACE_SIZE_PX, LUMA, Box

GRADIENT_CELLS = 6  # of the face crop, each way
GRADIENT_ANGLES = 8  # bins of half a turn
CHROMA_BINS, LUMA_BINS = 10, 8  # of the colours, each way
CHROMA_BIN = 10.0  # width of a bin, of -128..127; what is more colourful falls into the outermost
SAMPLES = 24  # pixels that are looked at in a region, each way
GRADIENTS_WEIGHT = 0.4  # beside colours: a hand before a face changes its shape as much as another person does
LEAST_VISIBLE = 0.3  # of a region; of less, nothing is said
REGIONS = {
    # left, top, right, bottom in shares of the face box
    "hair": (-0.25, -0.4, 1.25, 0.1),
    "face": (0.15, 0.2, 0.85, 0.85),
    "body": (-0.5, 1.15, 1.5, 2.0),
}
FACE_VALUES = GRADIENT_CELLS**2 * GRADIENT_ANGLES
COLOUR_VALUES = CHROMA_BINS**2 + LUMA_BINS
VALUES = FACE_VALUES + len(REGIONS) * COLOUR_VALUES
"""Length of a description."""


def describe(image: np.ndarray, box: Box, crop: np.ndarray) -> np.ndarray:
    """Describes one sight of a person.

    Args:
        image: (height, width, 3) uint8 RGB, the frame.
        box: Of the face, pixels of the frame; it may reach over the edge.
        crop: (48, 48, 3) uint8 RGB of the face.

    Returns:
        (`VALUES`,) float32: the face's gradients, of length 1, and the root of the shares of colours of each region,
        of length 1 each for chroma and luma together; zeros for a region that is out of sight.
    """
    return np.concatenate([_gradients(crop), *(_colours(image, box, shares) for shares in REGIONS.values())])


def distances(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How different sights of people look.

    Args:
        one: (`VALUES`,).
        others: (n, `VALUES`).

    Returns:
        (n,) float32, 0 for equal looks, up to 1.4: 0.4 times one minus the cosine of the gradients, plus the mean over
        the regions that both show of one minus the overlap of their colours.
    """
    faces = GRADIENTS_WEIGHT * (1 - others[:, :FACE_VALUES] @ one[:FACE_VALUES])
    colours = others[:, FACE_VALUES:].reshape(len(others), len(REGIONS), COLOUR_VALUES)
    mine = one[FACE_VALUES:].reshape(len(REGIONS), COLOUR_VALUES)
    shown = (colours.any(2) & mine.any(1)).astype(np.float32)
    differing = (1 - (colours * mine).sum(2)) * shown
    return (faces + differing.sum(1) / np.maximum(shown.sum(1), 1)).astype(np.float32)


def _gradients(crop: np.ndarray) -> np.ndarray:
    grey = crop.astype(np.float32) @ np.array(LUMA, np.float32)
    down, right = np.gradient(grey)
    angle = np.arctan2(down, right) % np.pi * (GRADIENT_ANGLES / np.pi)
    size = np.hypot(down, right)
    first = angle.astype(np.int64) % GRADIENT_ANGLES
    share = angle % 1
    values = FACE_VALUES
    counts = np.bincount((_cells() + first).ravel(), (size * (1 - share)).ravel(), values)
    counts += np.bincount((_cells() + (first + 1) % GRADIENT_ANGLES).ravel(), (size * share).ravel(), values)
    cells = counts.reshape(-1, GRADIENT_ANGLES)
    # Each cell by its own strength, so that light from the side changes little; flat cells stay weak.
    cells = cells / (np.linalg.norm(cells, axis=1, keepdims=True) + 4 * cells.mean() + 1e-6)
    found = cells.ravel()
    return (found / max(float(np.linalg.norm(found)), 1e-6)).astype(np.float32)


@lru_cache(maxsize=1)
def _cells() -> np.ndarray:
    """(48, 48) int64: where the values of each pixel's cell begin."""
    rows, columns = np.mgrid[:FACE_SIZE_PX, :FACE_SIZE_PX] * GRADIENT_CELLS // FACE_SIZE_PX
    cells: np.ndarray = (rows * GRADIENT_CELLS + columns) * GRADIENT_ANGLES
    return cells


def _colours(image: np.ndarray, box: Box, shares: tuple[float, float, float, float]) -> np.ndarray:
    height_px, width_px = image.shape[:2]
    width, height = box[2] - box[0], box[3] - box[1]
    left, right = box[0] + shares[0] * width, box[0] + shares[2] * width
    top, bottom = box[1] + shares[1] * height, box[1] + shares[3] * height
    x1, x2 = int(max(left, 0)), int(min(right, width_px))
    y1, y2 = int(max(top, 0)), int(min(bottom, height_px))
    if x2 <= x1 or y2 <= y1 or (x2 - x1) * (y2 - y1) < LEAST_VISIBLE * (right - left) * (bottom - top):
        return np.zeros(COLOUR_VALUES, np.float32)
    rows = np.linspace(y1, y2 - 1, min(SAMPLES, y2 - y1)).astype(np.int64)
    columns = np.linspace(x1, x2 - 1, min(SAMPLES, x2 - x1)).astype(np.int64)
    pixels = image[rows[:, None], columns].reshape(-1, 3).astype(np.float32)
    luma = pixels @ np.array(LUMA, np.float32)
    blue, red = (pixels[:, 2] - luma) * 0.564, (pixels[:, 0] - luma) * 0.713
    chroma = _spread(blue / CHROMA_BIN, red / CHROMA_BIN, CHROMA_BINS)
    brightness = _spread(luma * (LUMA_BINS / 256) - LUMA_BINS / 2, None, LUMA_BINS)
    return np.sqrt(np.concatenate([chroma, brightness]) / (2 * len(pixels))).astype(np.float32)


def _spread(first: np.ndarray, second: np.ndarray | None, bins: int) -> np.ndarray:
    """Histogram of values around 0 in units of a bin; each counts for its two (or, of pairs, four) nearest bins."""
    a = np.clip(first + (bins - 1) / 2, 0, bins - 1.001)
    low, share = a.astype(np.int64), a % 1
    if second is None:
        return np.bincount(low, 1 - share, bins) + np.bincount(low + 1, share, bins)
    b = np.clip(second + (bins - 1) / 2, 0, bins - 1.001)
    low_b, share_b = b.astype(np.int64), b % 1
    counts = np.zeros(bins**2)
    for i, weight in ((0, 1 - share), (1, share)):
        for j, weight_b in ((0, 1 - share_b), (1, share_b)):
            counts += np.bincount((low + i) * bins + low_b + j, weight * weight_b, bins**2)
    return counts
