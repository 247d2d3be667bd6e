"""Augmentation of face crops: what cameras, light and networks do to them.

Everything that is off changes not one bit, and draws no random number.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from mme2e.config import AugmentSettings, FaceAugmentSettings
from mme2e.data.augment import happens
from mme2e.faces.face_crop import LUMA

BLUR_SIGMA_PX = (0.3, 1.5)
JPEG_QUALITY = (15, 60)
OCCLUSION = (1 / 10, 1 / 3)
"""Of the crop's side."""
LOW_RESOLUTION = (1 / 3, 2 / 3)
"""Of the crop's side: 16 to 32 of 48 pixels."""

_BILINEAR = Image.Resampling.BILINEAR


def augment_crops(crops: np.ndarray, settings: AugmentSettings, rng: np.random.Generator) -> np.ndarray:
    """Changes all faces of one utterance alike, so that an expression is not torn.

    In the order of life: how the head is held, what is before it, the light, then the camera and the network.

    Args:
        crops: (frames, height, width, 3) uint8.
        settings: `crop_jitter_px`, `flip`, `brightness` and all of `faces` are used.
        rng: Decides everything.

    Returns:
        The same shape and dtype. What comes into sight from beyond the border repeats it.
    """
    faces = settings.faces
    loses_colour = happens(faces.grey, rng)
    one_channel = None
    if faces != FaceAugmentSettings() and _is_grey(crops):
        one_channel = crops[..., :1]
    elif loses_colour:
        one_channel = _luma(crops)
    if one_channel is not None:
        # All that follows does the same to each of three equal channels: one is a third of the work.
        return np.repeat(_changed(one_channel, settings, rng), 3, axis=-1)
    return np.ascontiguousarray(_changed(crops, settings, rng))


def _is_grey(crops: np.ndarray) -> bool:
    first = crops[..., 0]
    return np.array_equal(first, crops[..., 1]) and np.array_equal(first, crops[..., 2])


def _luma(crops: np.ndarray) -> np.ndarray:
    """(frames, height, width, 1) uint8."""
    luma = sum(crops[..., channel] * np.float32(weight) for channel, weight in enumerate(LUMA))
    return np.rint(luma).astype(np.uint8)[..., None]


def _changed(crops: np.ndarray, settings: AugmentSettings, rng: np.random.Generator) -> np.ndarray:
    """(frames, height, width, channels) uint8, with everything but the loss of colour."""
    crops = _moved(crops, settings, rng)
    if happens(settings.flip, rng):
        crops = crops[:, :, ::-1]
    if happens(settings.faces.occlusion, rng):
        crops = _occluded(crops, rng)
    crops = _relit(crops, settings, rng)
    steps = _camera(crops.shape[1:3], settings, rng)
    return _each(crops, steps) if steps else crops


def _moved(crops: np.ndarray, settings: AugmentSettings, rng: np.random.Generator) -> np.ndarray:
    """Shifted by whole pixels, rotated and scaled about the middle."""
    down = right = 0
    if settings.crop_jitter_px > 0:
        down, right = rng.integers(-settings.crop_jitter_px, settings.crop_jitter_px, size=2, endpoint=True)
    faces = settings.faces
    if faces.rotation_deg > 0 or faces.scale > 0:
        angle = np.deg2rad(rng.uniform(-faces.rotation_deg, faces.rotation_deg))
        factor = 1 + rng.uniform(-faces.scale, faces.scale)
        return _warped(crops, float(angle), float(factor), float(down), float(right))
    if settings.crop_jitter_px > 0:
        crops = _with_border(crops, -down, down, -right, right)
    return crops


def _with_border(crops: np.ndarray, above: int, below: int, left: int, right: int) -> np.ndarray:
    """Repeats the border so many times on each side; less than 0 cuts off."""
    rows = np.clip(np.arange(-above, crops.shape[1] + below), 0, crops.shape[1] - 1)
    columns = np.clip(np.arange(-left, crops.shape[2] + right), 0, crops.shape[2] - 1)
    return crops.take(rows, axis=1).take(columns, axis=2)


def _warped(crops: np.ndarray, angle: float, factor: float, down: float, right: float) -> np.ndarray:
    """Shows what is `factor` as large, turned by `angle` (radians, clockwise), and so many pixels from the middle."""
    height, width = crops.shape[1:3]
    cos, sin = np.cos(angle) / factor, np.sin(angle) / factor
    across = (abs(cos) * width + abs(sin) * height - width) / 2 + abs(right)
    along = (abs(cos) * height + abs(sin) * width - height) / 2 + abs(down)
    beside, above = (max(0, int(np.ceil(beyond))) + 1 for beyond in (across, along))
    crops = _with_border(crops, above, above, beside, beside)
    x0 = width / 2 + beside + right - cos * width / 2 - sin * height / 2
    y0 = height / 2 + above + down + sin * width / 2 - cos * height / 2
    matrix = (cos, sin, x0, -sin, cos, y0)

    def warp(image: Image.Image) -> Image.Image:
        return image.transform((width, height), Image.Transform.AFFINE, matrix, _BILINEAR)

    return _each(crops, [warp], (height, width))


def _occluded(crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hides a rectangle that lies within the crop behind one grey."""
    top, bottom = _stretch(crops.shape[1], rng)
    left, right = _stretch(crops.shape[2], rng)
    crops = crops.copy()
    crops[:, top:bottom, left:right] = rng.integers(0, 256)
    return crops


def _stretch(length: int, rng: np.random.Generator) -> tuple[int, int]:
    """Start and end of a random stretch of a side, at least one pixel long."""
    least, most = (max(1, int(length * share)) for share in OCCLUSION)
    stretch = int(rng.integers(least, most, endpoint=True))
    start = int(rng.integers(0, length - stretch, endpoint=True))
    return start, start + stretch


def _relit(crops: np.ndarray, settings: AugmentSettings, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast about the mean and gamma, by one table of what each of the 256 values becomes."""
    faces = settings.faces
    table = np.arange(256, dtype=np.float64)
    if settings.brightness > 0:
        table *= 1 + rng.uniform(-settings.brightness, settings.brightness)
    if faces.contrast > 0:
        change = 1 + rng.uniform(-faces.contrast, faces.contrast)
        if crops.size:
            mean = crops.mean() * table[1]
            table = mean + (table - mean) * change
    if faces.gamma > 0:
        most = np.log1p(faces.gamma)
        table = 255 * np.clip(table / 255, 0, 1) ** np.exp(rng.uniform(-most, most))
    if settings.brightness > 0 or faces.contrast > 0 or faces.gamma > 0:
        crops = np.clip(np.rint(table), 0, 255).astype(np.uint8).take(crops)
    return crops


def _camera(
    size: tuple[int, int], settings: AugmentSettings, rng: np.random.Generator
) -> list[Callable[[Image.Image], Image.Image]]:
    """What the camera and the network do to each image of (height, width), in order."""
    faces, steps = settings.faces, []
    height, width = size
    if happens(faces.blur, rng):
        blur = ImageFilter.GaussianBlur(rng.uniform(*BLUR_SIGMA_PX))
        steps.append(lambda image: image.filter(blur))
    if happens(faces.low_resolution, rng):
        share = rng.uniform(*LOW_RESOLUTION)
        small = (max(1, round(width * share)), max(1, round(height * share)))
        steps.append(lambda image: image.resize(small, _BILINEAR).resize((width, height), _BILINEAR))
    if happens(faces.jpeg, rng):
        quality = int(rng.integers(*JPEG_QUALITY, endpoint=True))
        steps.append(lambda image: _through_jpeg(image, quality))
    return steps


def _through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file, formats=("JPEG",))


def _each(
    crops: np.ndarray, steps: list[Callable[[Image.Image], Image.Image]], size: tuple[int, int] | None = None
) -> np.ndarray:
    """Puts every frame through the steps, the last of which leaves (height, width); the crops' own by default."""
    changed = np.empty((len(crops), *(size or crops.shape[1:3]), crops.shape[-1]), dtype=np.uint8)
    for index, crop in enumerate(crops):
        image = Image.fromarray(np.ascontiguousarray(crop.squeeze(-1) if crop.shape[-1] == 1 else crop))
        for step in steps:
            image = step(image)
        changed[index] = np.asarray(image).reshape(changed.shape[1:])
    return changed
