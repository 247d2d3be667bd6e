"""Image files: one still image, upright, as RGB of 8 bits."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin

from mme2e.errors import MediaError
from mme2e.media.region import Region, cut_region

PIXELS_AT_FULL_SIZE = 16_000_000
"""A larger image is made smaller by a whole factor: what follows (the face detector) takes some 50 bytes a pixel."""

PIXELS_TO_DECODE = 80_000_000
"""An image that can only be decoded whole is refused above this: Pillow takes four bytes a pixel, whatever the size of
the file."""

JPEG_REDUCTIONS = (1, 2, 4, 8)
"""A JPEG is decoded at these fractions of its size without being decoded whole."""

BACKGROUND = (255, 255, 255)
"""What is seen through transparent pixels: white, as in a browser."""

_PROGRAMS = ("EPS", "WMF")
"""Formats that Pillow hands to other programs."""

_JPEG_START = b"\xff\xd8\xff"
_BAND_ROWS = 256
_WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_FLOAT_WHITES = (1.0, 255.0, 65535.0)
_FLOAT_EXCESS = 1.5
"""Resampling leaves pixels a little brighter than white."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_WHITE_IS_ZERO = 0
_UNSIGNED = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation."""

_DAMAGES = (
    ArithmeticError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow raises for files that are missing, damaged or no images."""


@dataclass(frozen=True, kw_only=True)
class StillImage:
    """An image that was read from a file.

    Attributes:
        pixels: (height, width, 3) uint8 RGB, upright.
        reduction: How many pixels of the file, in each direction, one of these stands for; 1 is full size.
        animated: Whether the file has more images, of which this is the first.
    """

    pixels: np.ndarray
    reduction: int = 1
    animated: bool = False


def read_image(path: Path, region: Region | None = None) -> StillImage:
    """Reads an image file.

    Transparent pixels show `BACKGROUND`. Grey values of more than 8 bits and of floating point are scaled by their
    range: the largest value of up to 16 bits is white; of 32 bits the first of 255, 65535 and the largest value (of
    floating point the first of 1, 255 and 65535) that the brightest pixel does not exceed. Where there are values
    below 0 the darkest pixel becomes black and the brightest one white. An image of more than `PIXELS_AT_FULL_SIZE`
    is made smaller.

    Args:
        path: JPEG, PNG or whatever else Pillow reads.
        region: Part of the upright image to return, in pixels of the file; None is all of it.

    Raises:
        MediaError: The file is missing, damaged, no image or too large, or `region` does not fit into it.
    """
    if not path.is_file():
        raise MediaError(f"{path} is not a file")
    try:
        # Not by its name: Pillow would map a TIFF into memory, and then turns it wrongly (13.0).
        with path.open("rb") as stream, _open(stream) as file:
            decoder_reduction, rest = _reduce_decoding(file)
            file.load()
            upright = _upright(_rgb(file, rest), file)
            animated = _is_animated(file)
    except _DAMAGES as error:
        raise MediaError(f"{path} cannot be read as an image: {_why(error)}") from error
    reduction = decoder_reduction * rest
    pixels = cut_region(np.array(upright), region, path, reduction)
    return StillImage(pixels=pixels, reduction=reduction, animated=animated)


def _why(error: BaseException) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "no image file"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"it claims more than {PIXELS_TO_DECODE // 1_000_000} million pixels"
    return str(error) or type(error).__name__


def _open(stream: BinaryIO) -> Image.Image:
    is_jpeg = stream.read(len(_JPEG_START)) == _JPEG_START
    stream.seek(0)
    if is_jpeg:  # past Pillow's own limit of size, which knows nothing of decoding at a fraction
        return JpegImagePlugin.JpegImageFile(stream)
    file = Image.open(stream)
    if file.format in _PROGRAMS:
        raise ValueError(f"{file.format} is a program for a printer, which is not run")
    return file


def _is_animated(file: Image.Image) -> bool:
    """Whether there is a second image; one that is damaged is none."""
    try:
        return getattr(file, "is_animated", False)
    except _DAMAGES:
        return False


def _reduce_decoding(file: Image.Image) -> tuple[int, int]:
    """Sets the decoder to the largest fraction that is small enough.

    Returns:
        The reduction by the decoder, and the one that is left to do.

    Raises:
        ValueError: The image is too large.
    """
    width_px, height_px = file.size
    by_decoder = 1
    if isinstance(file, JpegImagePlugin.JpegImageFile) and not file.info.get("progressive"):
        fits = (r for r in JPEG_REDUCTIONS if width_px * height_px <= PIXELS_AT_FULL_SIZE * r * r)
        by_decoder = next(fits, JPEG_REDUCTIONS[-1])
        if by_decoder > 1:
            file.draft(file.mode, (width_px // by_decoder, height_px // by_decoder))
    decoded = file.size[0] * file.size[1]
    if decoded > PIXELS_TO_DECODE:
        raise ValueError(
            f"it claims {width_px}x{height_px} pixels; up to {PIXELS_TO_DECODE // 1_000_000} million are read"
        )
    left = 1
    while decoded > PIXELS_AT_FULL_SIZE * left * left:
        left += 1
    return by_decoder, left


def _rgb(file: Image.Image, reduction: int) -> Image.Image:
    """A decoded image as RGB, made smaller; band by band where it is large, so that it is not in memory twice."""
    levels = _Levels.of(file) if file.mode in _WIDE_MODES else None
    if reduction == 1 and levels is None:
        return _band_to_rgb(file, levels)
    width_px, height_px = file.size
    reduced = Image.new("RGB", (-(-width_px // reduction), -(-height_px // reduction)))
    for top_px, band in _bands(file, reduction * _BAND_ROWS):
        reduced.paste(_band_to_rgb(band, levels).reduce(reduction), (0, top_px // reduction))
    return reduced


def _bands(file: Image.Image, rows: int) -> Iterator[tuple[int, Image.Image]]:
    width_px, height_px = file.size
    for top_px in range(0, height_px, rows):
        yield top_px, file.crop((0, top_px, width_px, min(top_px + rows, height_px)))


def _band_to_rgb(band: Image.Image, levels: "_Levels | None") -> Image.Image:
    if levels is not None:
        return Image.fromarray(levels.scale(band)).convert("RGB")
    if band.has_transparency_data:
        background = Image.new("RGBA", band.size, BACKGROUND)
        return Image.alpha_composite(background, band.convert("RGBA")).convert("RGB")
    return band.convert("RGB")


@dataclass(frozen=True, kw_only=True)
class _Levels:
    """Which grey values of an image of more than 8 bits are black and white.

    Attributes:
        dtype: To read the pixels as; None is Pillow's own.
        black: This and what is below is black.
        white: This and what is above is white. Below `black` where a file is stored inverted.
        transparent: Value of the pixels that are transparent; None without any.
    """

    dtype: type | None = None
    black: float
    white: float
    transparent: int | None = None

    @classmethod
    def of(cls, file: Image.Image) -> "_Levels":
        tags = getattr(file, "tag_v2", {})
        bits = tags.get(_BITS_PER_SAMPLE, (32 if file.mode == "F" else 16,))[0]
        unsigned = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED
        # Pillow has no unsigned integers of 32 bits: it takes them for signed ones.
        dtype = np.uint32 if file.mode == "I" and unsigned else None
        if file.mode != "F" and unsigned and bits <= 16:
            black, white = 0.0, 2.0**bits - 1
        else:
            values = (np.asarray(band) for _, band in _bands(file, _BAND_ROWS))
            black, white = cls._range(values if dtype is None else (v.view(dtype) for v in values), bits, unsigned)
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            black, white = white, black
        transparent = file.info.get("transparency")
        return cls(
            dtype=dtype,
            black=black,
            white=white,
            transparent=transparent if isinstance(transparent, int) else None,
        )

    @staticmethod
    def _range(bands: Iterator[np.ndarray], bits: int, unsigned: bool) -> tuple[float, float]:
        lowest, highest, is_float = 0.0, 0.0, False
        for band in bands:
            is_float = band.dtype.kind == "f"
            finite = band[np.isfinite(band)]
            lowest = min(lowest, float(finite.min(initial=0)))
            highest = max(highest, float(finite.max(initial=0)))
        if lowest < 0:
            return lowest, highest
        if is_float:
            whites, excess = _FLOAT_WHITES, _FLOAT_EXCESS
        else:
            whites, excess = (255.0, 65535.0, 2.0 ** (bits if unsigned else bits - 1) - 1), 1.0
        return 0.0, next((white for white in whites if highest <= white * excess), highest)

    def scale(self, band: Image.Image) -> np.ndarray:
        """The band in grey of 8 bits."""
        values = np.asarray(band)
        scaled = (values if self.dtype is None else values.view(self.dtype)).astype(np.float32)
        scaled -= self.black
        scaled *= 255 / (self.white - self.black)
        grey = np.nan_to_num(scaled, nan=0.0, copy=False).clip(0, 255).round().astype(np.uint8)
        if self.transparent is not None:
            grey[values == self.transparent] = BACKGROUND[0]
        return grey


def _upright(image: Image.Image, file: Image.Image) -> Image.Image:
    """Turns an image as the camera says. One whose EXIF data are broken stays as it is stored, as in any viewer."""
    try:
        turn = _TURNS.get(file.getexif().get(ExifTags.Base.Orientation, 1))
    except (*_DAMAGES, UserWarning):  # a warning where warnings are errors
        return image
    return image if turn is None else image.transpose(turn)
