"""A face that moves: a person's picture warped and painted into expressions."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mme2e.generated.conditions import DAYLIGHT, FRONTAL, HeadPose, Light
from mme2e.generated.expressions import Expression
from mme2e.generated.portrait import Floats, Person, Pixels, gaussian, sample_bilinear

_MOVES: tuple[tuple[str, str, tuple[float, float], tuple[float, float], tuple[float, float]], ...] = (
    # movement, landmark, offset from it, reach, shift when the movement is 1; pixels of the photograph
    ("brow_raise", "left_eye", (8, -31), (28, 14), (0, -10)),
    ("brow_raise", "right_eye", (-2, -31), (28, 14), (0, -10)),
    ("brow_furrow", "left_eye", (28, -22), (17, 12), (5, 9)),
    ("brow_furrow", "right_eye", (-18, -22), (17, 12), (-5, 9)),
    ("brow_worry", "left_eye", (28, -22), (17, 12), (0, -10)),
    ("brow_worry", "right_eye", (-18, -22), (17, 12), (0, -10)),
    ("brow_worry", "left_eye", (-13, -18), (15, 12), (0, 7)),
    ("brow_worry", "right_eye", (20, -18), (15, 12), (0, 7)),
    ("eyes", "left_eye", (0, -6), (16, 6), (0, -4)),
    ("eyes", "left_eye", (0, 6), (16, 6), (0, 4)),
    ("eyes", "right_eye", (0, -6), (16, 6), (0, -4)),
    ("eyes", "right_eye", (0, 6), (16, 6), (0, 4)),
    ("smile", "left_mouth", (0, 0), (18, 13), (-6, -12)),
    ("smile", "right_mouth", (0, 0), (18, 13), (6, -12)),
    ("smile", "left_mouth", (-13, -28), (18, 16), (0, -6)),
    ("smile", "right_mouth", (13, -28), (18, 16), (0, -6)),
    ("mouth_open", "mouth", (0, 14), (34, 11), (0, 15)),
    ("mouth_open", "chin", (0, -6), (50, 22), (0, 12)),
    ("mouth_open", "mouth", (0, -6), (26, 8), (0, -4)),
    ("mouth_wide", "left_mouth", (0, 0), (20, 16), (-9, 0)),
    ("mouth_wide", "right_mouth", (0, 0), (20, 16), (9, 0)),
    ("sneer", "nose", (0, 4), (26, 13), (0, -7)),
    ("sneer", "mouth", (0, -8), (24, 8), (0, -7)),
)
_SKIN: dict[str, tuple[tuple[str, tuple[float, float], tuple[float, float]], ...]] = {
    # movement of blood: landmark, offset from it, reach
    "flush": (("centre", (0, 10), (75, 75)),),
    "cheeks": (("left_mouth", (-14, -32), (24, 20)), ("right_mouth", (14, -32), (24, 20))),
    "forehead": (("centre", (0, -72), (62, 26)),),
}
_RED = np.array([0.08, -0.1, -0.09], np.float32)  # what blood does to red, green and blue
_MARGIN = (130, 225, 130, 120)  # left, above, right, below the face's centre: what expressions may touch
_SUPERSAMPLING = 3
_BLINK = -2.2  # narrowing of the eyes that shuts them
_TURN_REACH, _TURN_DEPTH = (68, 92), 80  # of a turned head: where its features move, and how far they stand out
_TILT_DEG, _NOD = 8, 9  # a whole tilt, and a whole nod in pixels of the photograph


class Face:
    """Renders one person in front of a backdrop, with any expression.

    Args:
        person: Who.
        backdrop: (height, width, 3) float32 0..255, as wide as the person's picture; what the person's picture has
            below it is there to be moved up when the head is.
    """

    def __init__(self, person: Person, backdrop: Floats) -> None:
        self._person = person
        self._cutout = Image.fromarray(np.clip(person.picture, 0, 255).astype(np.uint8), "RGBA")
        self._backdrop = Image.fromarray(backdrop.astype(np.uint8), "RGB")
        height, width = person.picture.shape[:2]
        left, top, right, bottom = (margin * person.scale for margin in _MARGIN)
        x, y = person.points["centre"]
        self._box = (
            slice(max(0, int(y - top)), min(height, int(y + bottom))),
            slice(max(0, int(x - left)), min(width, int(x + right))),
        )
        self._y, self._x = (grid.astype(np.float32) for grid in np.mgrid[self._box])
        self._weights = np.stack([self._weight(move[1], move[2], move[3]) for move in _MOVES])
        self._skin = {name: sum(self._weight(*spot) for spot in spots) for name, spots in _SKIN.items()}
        self._turn = self._weight("centre", (0, 0), _TURN_REACH)

    def _point(self, landmark: str, offset: tuple[float, float]) -> tuple[float, float]:
        x, y = self._person.points[landmark]
        return x + offset[0] * self._person.scale, y + offset[1] * self._person.scale

    def _weight(self, landmark: str, offset: tuple[float, float], reach: tuple[float, float]) -> Floats:
        scale = self._person.scale
        return gaussian(self._x, self._y, self._point(landmark, offset), (reach[0] * scale, reach[1] * scale))

    def render(
        self, expression: Expression, *, head: HeadPose = FRONTAL, light: Light = DAYLIGHT, blink: bool = False
    ) -> Pixels:
        """The picture of one moment.

        Args:
            expression: What the face does, speech included.
            head: How the head is held, besides the tilt and nod of the expression.
            light: Of the place.
            blink: Whether the eyes are shut.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        if blink:
            expression = expression + Expression(eyes=_BLINK - expression.eyes)
        face = self._warped(expression)
        blood = sum(weight * getattr(expression, name) for name, weight in self._skin.items())
        face[..., :3] *= 1 + blood[..., None] * _RED
        self._paint(face, expression)
        if head.turn_deg:
            face = self._turned(face, head.turn_deg)
        rows, columns = self._box
        cutout = self._cutout.copy()
        cutout.paste(Image.fromarray(np.clip(face, 0, 255).astype(np.uint8), "RGBA"), (columns.start, rows.start))
        cutout = self._held(cutout, expression, head)
        picture = self._backdrop.copy()
        picture.paste(cutout, mask=cutout)
        return np.asarray(picture if light == DAYLIGHT else picture.point(light.table()))

    def _turned(self, face: Floats, turn_deg: float) -> Floats:
        """What stands out of a turned head moves further than its outline."""
        rows, columns = self._box
        shift = self._turn * np.float32(_TURN_DEPTH * math.sin(math.radians(turn_deg)) * self._person.scale)
        return sample_bilinear(face, self._x - columns.start - shift, self._y - rows.start)

    def _held(self, cutout: Image.Image, expression: Expression, head: HeadPose) -> Image.Image:
        """Leans and nods about the neck, nearer to the camera or farther from it; of the backdrop's size."""
        angle = math.radians(_TILT_DEG * expression.tilt + head.tilt_deg)
        down = _NOD * (expression.nod + head.nod) * self._person.scale
        if not angle and not down and head.nearness == 1:
            return cutout.crop((0, 0, *self._backdrop.size))
        x, y = self._point("chin", (0, 90))
        cos, sin = math.cos(angle) / head.nearness, math.sin(angle) / head.nearness
        # Where each place of the result comes from: back by the nod, turned back about the neck.
        back = (cos, sin, x - cos * x - sin * (y + down), -sin, cos, y + sin * x - cos * (y + down))
        return cutout.transform(self._backdrop.size, Image.Transform.AFFINE, back, resample=Image.Resampling.BILINEAR)

    def _warped(self, expression: Expression) -> Floats:
        amounts = np.array([getattr(expression, move[0]) for move in _MOVES], dtype=np.float32)
        shifts = np.array([move[4] for move in _MOVES], dtype=np.float32) * amounts[:, None] * self._person.scale
        shift_x = np.einsum("k,khw->hw", shifts[:, 0], self._weights)
        shift_y = np.einsum("k,khw->hw", shifts[:, 1], self._weights)
        return sample_bilinear(self._person.picture, self._x - shift_x, self._y - shift_y)

    def _paint(self, head: Floats, expression: Expression) -> None:
        """Draws what no warp can show: brows, eyeballs, and the inside of the mouth."""
        rows, columns = self._box
        size = ((columns.stop - columns.start) * _SUPERSAMPLING, (rows.stop - rows.start) * _SUPERSAMPLING)
        canvas = Image.new("RGBA", size)
        pen = ImageDraw.Draw(canvas)
        self._draw_eyes(pen, expression)
        self._draw_mouth(pen, expression)
        self._draw_brows(pen, expression)
        soft = canvas.reduce(_SUPERSAMPLING).filter(ImageFilter.GaussianBlur(0.7 * self._person.scale))
        paint = np.asarray(soft, dtype=np.float32)
        head[..., :3] += (paint[..., :3] - head[..., :3]) * (paint[..., 3:] / 255)

    def _on_canvas(self, landmark: str, offset: tuple[float, float]) -> tuple[float, float]:
        x, y = self._point(landmark, offset)
        return (x - self._box[1].start) * _SUPERSAMPLING, (y - self._box[0].start) * _SUPERSAMPLING

    def _draw_brows(self, pen: ImageDraw.ImageDraw, e: Expression) -> None:
        raise_ = -11 * e.brow_raise
        inner = 13 * e.brow_furrow - 11 * e.brow_worry + raise_
        outer = -6 * e.brow_furrow + 8 * e.brow_worry + raise_
        middle = 3 * e.brow_furrow - 2 * e.brow_worry + 1.1 * raise_
        together = 5 * e.brow_furrow + 2 * e.brow_worry
        thickness = self._person.looks.brow_width * (1 + 0.35 * max(0.0, e.brow_furrow))
        width = round(thickness * self._person.scale * _SUPERSAMPLING)
        for eye, side in (("left_eye", 1), ("right_eye", -1)):
            ends = (
                (-17, -23 + outer),
                (2, -32 + middle),
                (15, -31 + (middle + inner) / 2),
                (28 + together, -27 + inner),
            )
            line = [self._on_canvas(eye, (side * x, y)) for x, y in ends]
            pen.line(line, fill=(*self._person.looks.brows, 225), width=width, joint="curve")

    def _draw_eyes(self, pen: ImageDraw.ImageDraw, e: Expression) -> None:
        for eye in ("left_eye", "right_eye"):
            if e.eyes > 0:
                height = 4 + 3.5 * e.eyes
                box = [*self._on_canvas(eye, (-13, -height)), *self._on_canvas(eye, (13, height))]
                pen.ellipse(box, fill=(236, 230, 224, int(min(1, e.eyes * 1.3) * 215)))
                box = [*self._on_canvas(eye, (-5.5, -5.5)), *self._on_canvas(eye, (5.5, 5.5))]
                pen.ellipse(box, fill=(38, 28, 24, int(min(1, e.eyes * 1.3) * 255)))
            elif e.eyes < -1:  # the lid
                skin = tuple(int(v) for v in np.array([205, 140, 110]) * self._person.looks.skin)
                box = [*self._on_canvas(eye, (-15, -8)), *self._on_canvas(eye, (15, 8))]
                pen.ellipse(box, fill=(*skin, 235))
                line = [self._on_canvas(eye, (x, 5 - x * x / 60)) for x in (-14, -7, 0, 7, 14)]
                pen.line(line, fill=(70, 40, 30, 230), width=round(2 * self._person.scale * _SUPERSAMPLING))

    def _draw_mouth(self, pen: ImageDraw.ImageDraw, e: Expression) -> None:
        opening = max(0.0, e.mouth_open)
        half = 36 + 7 * e.mouth_wide + 5 * e.smile * (e.smile > 0) - 6 * opening
        corner = -11 * e.smile
        across = np.linspace(-1, 1, 15)
        arch = 1 - across**2
        upper = corner * across**2 - (4 * opening + 6 * e.sneer) * arch
        lower = corner * across**2 + (17 * opening + max(0.0, 3 * e.smile)) * arch
        if opening > 0.03:
            edge = [(half * a, y) for a, y in zip(across, upper, strict=True)]
            back = [(half * a, y) for a, y in zip(across, lower, strict=True)]
            pen.polygon([self._on_canvas("mouth", p) for p in edge + back[::-1]], fill=(58, 18, 20, 245))
            if e.teeth > 0:
                depth = min(1.0, e.teeth) * 0.55
                row = [(0.88 * x, y + 1) for x, y in edge[1:-1]]
                under = [(0.88 * x, y + depth * (b - y)) for (x, y), (_, b) in zip(edge[1:-1], back[1:-1], strict=True)]
                pen.polygon([self._on_canvas("mouth", p) for p in row + under[::-1]], fill=(238, 232, 222, 245))
        else:
            line = [self._on_canvas("mouth", (half * a, y)) for a, y in zip(across, (upper + lower) / 2, strict=True)]
            pen.line(line, fill=(96, 40, 36, 190), width=round(2.2 * self._person.scale * _SUPERSAMPLING))
