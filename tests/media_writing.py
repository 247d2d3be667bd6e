"""Writes the small videos and sounds that tests read."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def grey_image(level: int, height_px: int = 48, width_px: int = 64) -> np.ndarray:
    return np.full((height_px, width_px, 3), level, dtype=np.uint8)


def write_video(
    path: Path,
    images: Sequence[np.ndarray],
    times_s: Sequence[float] | None = None,
    *,
    rate: int = 10,
    codec: str = "mpeg4",
    rotation: int = 0,
    key_spacing: int = 12,
    b_frames: int = 0,
    aspect: Fraction | None = None,
) -> Path:
    """Writes images of one size at their times (default: at `rate`), nearly without loss."""
    if times_s is None:
        times_s = [i / rate for i in range(len(images))]
    with av.open(str(path), "w") as container:
        options = {"qmin": "1", "qmax": "2"} if codec == "mpeg4" else {"crf": "10"}
        if b_frames and codec == "libx264":
            options["x264-params"] = f"bframes={b_frames}:b-adapt=0:scenecut=0"
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = key_spacing
        stream.codec_context.max_b_frames = b_frames
        if aspect is not None:  # of a pixel: width to height
            stream.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for image, time_s in zip(images, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(
    path: Path, channels: np.ndarray, rate: int = 16_000, *, codec: str = "pcm_s16le", start_s: float = 0.0
) -> Path:
    """Writes (channels, samples) int16; mono or stereo."""
    layout = {1: "mono", 2: "stereo"}[len(channels)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for start in range(0, channels.shape[1], 1024):
            packed = np.ascontiguousarray(channels[:, start : start + 1024].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(start_s * rate) + start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
