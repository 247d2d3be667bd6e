"""Faces of many people made from one photograph: the portrait of Grace Hopper that ships inside matplotlib.

The picture (U.S. Navy, public domain) is cut out, reshaped and recoloured into a person of given looks.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

LANDMARKS = {
    "left_eye": (223.0, 189.0),
    "right_eye": (305.0, 187.5),
    "nose": (267.0, 240.0),
    "left_mouth": (228.0, 282.0),
    "right_mouth": (307.5, 278.0),
    "mouth": (267.5, 280.0),
    "chin": (267.0, 328.0),
    "left_jaw": (207.0, 305.0),
    "right_jaw": (329.0, 300.0),
    "left_cheek": (185.0, 240.0),
    "right_cheek": (350.0, 236.0),
    "centre": (266.0, 235.0),
}
"""Points of the face in pixels of the photograph (512x600); left and right as seen by the viewer."""

_OUTLINE = (
    (18, 640), (24, 500), (34, 418), (60, 382), (110, 362), (160, 346), (196, 324), (204, 314), (199, 296), (180, 290),
    (166, 270), (157, 228), (153, 200), (147, 182), (147, 105), (160, 88), (173, 84), (175, 68), (196, 46), (222, 36),
    (232, 25), (263, 22), (297, 28), (306, 40), (336, 60), (351, 84), (368, 95), (371, 150), (367, 180), (375, 188),
    (374, 212), (364, 248), (362, 268), (355, 290), (341, 305), (333, 312), (337, 327), (360, 342), (405, 363),
    (450, 382), (477, 394), (492, 408), (501, 438), (504, 470), (506, 640),
)  # fmt: skip
_SKIN = (
    (158, 190), (184, 150), (215, 134), (266, 130), (318, 134), (346, 150), (371, 190), (368, 240), (348, 268),
    (333, 305), (326, 340), (300, 400), (262, 410), (222, 380), (206, 325), (196, 290), (166, 262),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What a person looks like. Lengths are relative to the photograph, colours factors or RGB 0..255.

    Attributes:
        size: Of the whole person.
        face_width, jaw_width, face_length, eye_distance, nose_length: 0 as in the photograph, 1 much more.
        skin: Factor of each colour channel of the skin.
        clothes: Colour that the dark clothes take on.
        brows: Colour of the brows.
        brow_width: Thickness of the brows in pixels of the photograph.
        beard: Darkness of beard and moustache, 0 to 1.
        light: Light from the left (-1) or right (1).
        backdrop: Colour of the wall behind.
    """

    size: float
    face_width: float
    jaw_width: float
    face_length: float
    eye_distance: float
    nose_length: float
    skin: tuple[float, float, float]
    clothes: tuple[int, int, int]
    brows: tuple[int, int, int]
    brow_width: float
    beard: float
    light: float
    backdrop: tuple[int, int, int]


def random_looks(generator: np.random.Generator, *, woman: bool) -> Looks:
    """Draws a person: men have wider jaws, thicker brows and some beard."""
    draw = generator.uniform
    tone = draw(0.72, 1.06)
    hair = draw(20, 85)
    return Looks(
        size=draw(0.95, 1.03),
        face_width=draw(-0.8, 0.8),
        jaw_width=draw(-0.9, 0.1) if woman else draw(0.4, 1.2),
        face_length=draw(-0.8, 0.4) if woman else draw(-0.2, 0.9),
        eye_distance=draw(-0.8, 0.8),
        nose_length=draw(-0.8, 0.8),
        skin=(tone * draw(0.97, 1.03), tone * draw(0.92, 1.02), tone * draw(0.88, 1.04)),
        clothes=_colour(draw(0, 110, 3)),
        brows=(int(hair * 1.15), int(hair * 0.85), int(hair * 0.65)),
        brow_width=draw(4.5, 6.0) if woman else draw(6.5, 8.5),
        beard=0.0 if woman else draw(0.3, 0.65),
        light=draw(-0.6, 0.6),
        backdrop=_colour(draw(60, 170) + draw(0, 50, 3)),
    )


def _colour(values: NDArray[np.float64]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def gaussian(points_x: Floats, points_y: Floats, centre: tuple[float, float], sigma: tuple[float, float]) -> Floats:
    """A bump of height 1: the weight with which points near `centre` follow a movement."""
    squared = ((points_x - centre[0]) / sigma[0]) ** 2 + ((points_y - centre[1]) / sigma[1]) ** 2
    return np.asarray(np.exp(-0.5 * squared), dtype=np.float32)


def sample_bilinear(image: Floats, x: Floats, y: Floats) -> Floats:
    """Values of an image (height, width, channels) at fractional positions; positions outside take the border."""
    height, width, channels = image.shape
    x, y = np.clip(x, 0, width - 1.001), np.clip(y, 0, height - 1.001)
    left, top = x.astype(np.int32), y.astype(np.int32)
    across, down = (x - left)[..., None], (y - top)[..., None]
    index = top * width + left
    # A pixel is one value of all its channels, which NumPy gathers several times faster than rows of channels.
    pixels = np.ascontiguousarray(image).view(np.dtype((np.void, channels * image.itemsize))).reshape(-1)

    def at(places: NDArray[np.int32]) -> Floats:
        return pixels.take(places).view(image.dtype).reshape(*places.shape, channels)

    upper = at(index) * (1 - across) + at(index + 1) * across
    lower = at(index + width) * (1 - across) + at(index + width + 1) * across
    return upper * (1 - down) + lower * down


@cache
def _photograph() -> tuple[Floats, Floats]:
    """The portrait with its outline as fourth channel (600, 512, 4), and the mask of skin (600, 512), 0..1."""
    from matplotlib.cbook import get_sample_data  # heavy, and needed here only

    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
        picture = np.asarray(image.convert("RGB"), dtype=np.float32)
    size = (picture.shape[1], picture.shape[0])
    outline, skin = (_soft_polygon(size, points) for points in (_OUTLINE, _SKIN))
    return np.dstack([picture, outline * 255]).astype(np.float32), skin


def _soft_polygon(size: tuple[int, int], points: tuple[tuple[int, int], ...]) -> Floats:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return np.asarray(mask.filter(ImageFilter.GaussianBlur(1.5)), dtype=np.float32) / np.float32(255)


def _coloured(looks: Looks) -> Floats:
    """The photograph in the colours of a person, (600, 512, 4)."""
    picture, skin = _photograph()
    height, width = skin.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    result = picture.copy()
    colours = result[..., :3]
    luminance = colours.mean(axis=2, keepdims=True) / 255
    dyed = colours + (1 - luminance) ** 2 * np.asarray(looks.clothes, dtype=np.float32)
    tinted = colours * np.asarray(looks.skin, dtype=np.float32)
    beard = np.maximum(gaussian(x, y, (267, 318), (46, 22)), gaussian(x, y, (267, 264), (30, 6)))
    beard *= 1 - 0.9 * gaussian(x, y, (267, 281), (32, 8))
    tinted *= 1 - looks.beard * beard[..., None]
    colours[:] = dyed + (tinted - dyed) * skin[..., None]
    colours *= (1 + 0.25 * looks.light * (x - 256) / 256)[..., None]
    return np.clip(result, 0, 255)


def _features(looks: Looks) -> list[tuple[tuple[float, float], tuple[float, float], tuple[float, float]]]:
    """Centre, reach and shift of each reshaping of the face."""
    wide, jaw, long, eyes, nose = (
        9 * looks.face_width, 9 * looks.jaw_width, 9 * looks.face_length, 5 * looks.eye_distance, 5 * looks.nose_length
    )  # fmt: skip
    points = LANDMARKS
    return [
        (points["left_cheek"], (30, 45), (-wide, 0)),
        (points["right_cheek"], (30, 45), (wide, 0)),
        (points["left_jaw"], (26, 30), (-jaw, 0)),
        (points["right_jaw"], (26, 30), (jaw, 0)),
        (points["chin"], (60, 30), (0, long)),
        (points["mouth"], (50, 16), (0, 0.4 * long)),
        (points["left_eye"], (24, 20), (-eyes, 0)),
        (points["right_eye"], (24, 20), (eyes, 0)),
        (points["nose"], (24, 18), (0, nose)),
    ]


@dataclass(frozen=True, kw_only=True)
class Person:
    """A cut-out person in front of nothing.

    Attributes:
        looks: What it was made from.
        picture: (height, width, 4) float32, RGB and opacity, 0..255.
        points: `LANDMARKS` in pixels of `picture`.
        scale: Pixels of `picture` for one of the photograph.
    """

    looks: Looks
    picture: Floats
    points: dict[str, tuple[float, float]]
    scale: float


def make_person(looks: Looks, *, scale: float, size_px: tuple[int, int], centre_px: tuple[float, float]) -> Person:
    """Reshapes and places a person in a picture of (width, height) with the middle of the face at `centre_px`.

    The photograph's edges are continued downwards and sideways where the picture is larger.
    """
    scale *= looks.size
    coloured = _coloured(looks)
    smaller = Image.fromarray(coloured.astype(np.uint8), "RGBA").resize(
        (round(512 * scale), round(600 * scale)), Image.Resampling.LANCZOS
    )
    source = np.asarray(smaller, dtype=np.float32)
    offset = (centre_px[0] - LANDMARKS["centre"][0] * scale, centre_px[1] - LANDMARKS["centre"][1] * scale)
    x, y = np.meshgrid(np.arange(size_px[0], dtype=np.float32), np.arange(size_px[1], dtype=np.float32))
    x, y = (x - offset[0]) / scale, (y - offset[1]) / scale  # in pixels of the photograph
    from_x, from_y = x.copy(), y.copy()
    points = {name: np.array(point, dtype=np.float32) for name, point in LANDMARKS.items()}
    for centre, sigma, (shift_x, shift_y) in _features(looks):
        weight = gaussian(x, y, centre, sigma)
        from_x -= shift_x * weight
        from_y -= shift_y * weight
        for name, original in LANDMARKS.items():
            at = gaussian(np.float32(original[0]), np.float32(original[1]), centre, sigma)  # type: ignore[arg-type]
            points[name] += at * np.array([shift_x, shift_y], dtype=np.float32)
    return Person(
        looks=looks,
        picture=sample_bilinear(source, from_x * scale, from_y * scale),
        points={name: (float(p[0] * scale + offset[0]), float(p[1] * scale + offset[1])) for name, p in points.items()},
        scale=scale,
    )
