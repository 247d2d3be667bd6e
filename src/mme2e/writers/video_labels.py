"""What is drawn over a frame: panels with probabilities, subtitles and face labels, made once and laid on many frames.

Frames are worked on as they are encoded, in planes of brightness and colour at half the size (4:2:0), because turning
every frame into RGB and back takes longer than encoding it.
"""

import math
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mme2e.inference.timeline import Segment
from mme2e.text_files import printable
from mme2e.writers.palette import rgb

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Brightness (height, width), blue and red difference (height / 2, width / 2), all uint8; the size is even."""

MOST_BARS = 8
"""Emotions that a panel has room for; of larger sets the most probable ones."""

PANEL_INK = (255, 255, 255)
_PANEL_GROUND = (16, 18, 22, 176)
_QUIET = (196, 202, 212)
_UNCERTAIN = (196, 202, 212)
_TO_YUV = np.array([[0.257, 0.504, 0.098], [-0.148, -0.291, 0.439], [0.439, -0.368, -0.071]], dtype=np.float32)
_YUV_ZERO = np.array([16, 128, 128], dtype=np.float32)
"""ITU-R BT.601 in the range of video, 16..235."""


def to_yuv(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """A colour as brightness, blue and red difference of video."""
    y, u, v = np.rint(_TO_YUV @ np.array(colour, dtype=np.float32) + _YUV_ZERO).astype(int)
    return int(y), int(u), int(v)


@dataclass(frozen=True, kw_only=True)
class Label:
    """A picture with transparency, ready to be laid over frames.

    Attributes:
        weighted: Brightness, blue and red difference, each times its opacity, uint16 of at most 255 * 256.
        clear: What shows through of the frame below, for brightness and for colour, uint16 of 0..256.
    """

    weighted: Planes
    clear: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, image: Image.Image) -> "Label":
        """From an RGBA image; its size is made even."""
        even = Image.new("RGBA", (image.width + image.width % 2, image.height + image.height % 2))
        even.paste(image)
        pixels = np.asarray(even, dtype=np.float32)
        opacity = np.rint(pixels[..., 3] * (256 / 255))
        yuv = np.rint(pixels[..., :3] @ _TO_YUV.T + _YUV_ZERO)
        height, width = opacity.shape
        weighted = (yuv * opacity[..., None]).reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
        half = np.rint(opacity.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)))
        y, u, v = yuv[..., 0] * opacity, weighted[..., 1], weighted[..., 2]
        return cls(
            weighted=(_fixed(y), _fixed(u), _fixed(v)),
            clear=((256 - opacity).astype(np.uint16), (256 - half).astype(np.uint16)),
        )

    @property
    def width_px(self) -> int:
        """Width, even."""
        return int(self.weighted[0].shape[1])

    @property
    def height_px(self) -> int:
        """Height, even."""
        return int(self.weighted[0].shape[0])

    def lay(self, planes: Planes, left_px: int, top_px: int) -> None:
        """Draws it on a frame with its left upper corner at an even place; what lies outside is cut off."""
        left_px, top_px = left_px // 2 * 2, top_px // 2 * 2
        for number, plane in enumerate(planes):
            scale = 2 if number else 1
            weighted, clear = self.weighted[number], self.clear[bool(number)]
            x, y = left_px // scale, top_px // scale
            from_x, from_y = max(0, -x), max(0, -y)
            to_x, to_y = min(weighted.shape[1], plane.shape[1] - x), min(weighted.shape[0], plane.shape[0] - y)
            if from_x >= to_x or from_y >= to_y:
                return
            below = plane[y + from_y : y + to_y, x + from_x : x + to_x]
            part = slice(from_y, to_y), slice(from_x, to_x)
            below[...] = (below * clear[part] + weighted[part]) >> 8


def _fixed(weighted: np.ndarray) -> np.ndarray:
    return np.rint(weighted).astype(np.uint16)


def draw_box(
    planes: Planes, box: tuple[float, float, float, float], colour: tuple[int, int, int], stroke_px: int
) -> None:
    """Draws the outline of a rectangle.

    Args:
        planes: The frame; changed.
        box: x1, y1, x2, y2 in pixels; parts outside the frame are cut off.
        colour: Brightness, blue and red difference.
        stroke_px: Width of the line.
    """
    height, width = planes[0].shape
    x1, x2 = (min(max(round(x), 0), width) // 2 * 2 for x in (box[0], box[2]))
    y1, y2 = (min(max(round(y), 0), height) // 2 * 2 for y in (box[1], box[3]))
    if x2 <= x1 or y2 <= y1:
        return
    stroke_px = max(2, stroke_px // 2 * 2)
    for number, (plane, value) in enumerate(zip(planes, colour, strict=True)):
        scale = 2 if number else 1
        left, top, right, bottom, stroke = (each // scale for each in (x1, y1, x2, y2, stroke_px))
        plane[top : top + stroke, left:right] = value
        plane[max(top, bottom - stroke) : bottom, left:right] = value
        plane[top:bottom, left : left + stroke] = value
        plane[top:bottom, max(left, right - stroke) : right] = value


@cache
def font(size_px: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along: Latin, Greek, Cyrillic, Arabic, Hebrew; no Chinese or Japanese."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size_px)


def fitting(text: str, size_px: int, width_px: int, *, bold: bool = False) -> str:
    """The text, with its end left out where it is wider than that."""
    text = " ".join(printable(text[:400]).split())
    letters = font(size_px, bold=bold)
    if letters.getlength(text) <= width_px:
        return text
    while text and letters.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


def panel(segment: Segment, name: str, colours: dict[str, str], size_px: int) -> Image.Image:
    """A segment's decision with a bar for each emotion.

    Args:
        segment: It.
        name: Of the person; empty for none.
        colours: Emotion -> colour.
        size_px: Of the letters.
    """
    shown = segment.emotions
    if len(shown) > MOST_BARS:
        most = sorted(shown, key=lambda emotion: -emotion.probability)[:MOST_BARS]
        shown = tuple(emotion for emotion in shown if emotion in most)
    margin, row_px, bar_px = size_px // 2, round(1.3 * size_px), 5 * size_px
    label_px = min(8 * size_px, max((math.ceil(font(size_px).getlength(each.name)) for each in shown), default=0))
    width = max(3 * margin + label_px + bar_px + 3 * size_px, 14 * size_px)
    image = Image.new("RGBA", (width, 2 * margin + row_px * (len(shown) + 1)), _PANEL_GROUND)
    draw = ImageDraw.Draw(image)
    head = f"{name}: {segment.decision}" if name else segment.decision
    fitted = fitting(head, size_px, width - 2 * margin, bold=True)
    draw.text((margin, margin - 1), fitted, font=font(size_px, bold=True), fill=PANEL_INK)
    for row, emotion in enumerate(shown, start=1):
        y = margin + row * row_px
        left = 2 * margin + label_px
        ink = PANEL_INK if emotion.present else _QUIET
        draw.text((margin, y), fitting(emotion.name, size_px, label_px), font=font(size_px), fill=ink)
        bar = [left, y + 2, left + max(1, round(bar_px * emotion.probability)), y + size_px - 1]
        draw.rectangle([left, y + 2, left + bar_px, y + size_px - 1], outline=(*_QUIET, 120))
        draw.rectangle(bar, fill=rgb(colours.get(emotion.name, "#b4bac4")))
        draw.text((left + bar_px + margin, y), f"{emotion.probability:.2f}", font=font(size_px), fill=ink)
    return image


def face_label(text: str, colour: tuple[int, int, int], size_px: int, width_px: int) -> Image.Image:
    """A person's name and decision in a filled strip."""
    fitted = fitting(text, size_px, width_px, bold=True)
    width = round(font(size_px, bold=True).getlength(fitted)) + size_px
    image = Image.new("RGBA", (width, round(1.6 * size_px)), (*colour, 255))
    dark_ink = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 110
    ink = (0, 0, 0) if dark_ink else (255, 255, 255)
    ImageDraw.Draw(image).text((size_px // 2, size_px // 5), fitted, font=font(size_px, bold=True), fill=ink)
    return image


def subtitle_pages(text: str, size_px: int, width_px: int, *, lines: int = 2) -> list[str]:
    """The text in pieces of so many lines that fit the width."""
    letters = max(8, int(width_px / (0.58 * size_px)))
    wrapped = textwrap.wrap(" ".join(printable(text).split()), letters) or [""]
    return ["\n".join(wrapped[start : start + lines]) for start in range(0, len(wrapped), lines)]


def subtitle(page: str, size_px: int) -> Image.Image:
    """A piece of what is said, centred, on a dark ground."""
    draw = ImageDraw.Draw(Image.new("RGBA", (1, 1)))
    left, top, right, bottom = draw.multiline_textbbox((0, 0), page, font=font(size_px), align="center", spacing=4)
    margin = size_px // 2
    size = int(right - left) + 2 * margin, int(bottom - top) + 2 * margin
    image = Image.new("RGBA", size, _PANEL_GROUND)
    where = margin - left, margin - top
    ImageDraw.Draw(image).multiline_text(where, page, font=font(size_px), fill=PANEL_INK, align="center", spacing=4)
    return image
