"""Writing audio and frames into real media files."""

import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
import numpy as np
from numpy.typing import NDArray

from mme2e.generated.portrait import Pixels
from mme2e.generated.voices import SAMPLE_RATE_HZ

FRAME_RATE_HZ = Fraction(25, 2)
_CODECS = {
    ".avi": ("mpeg4", {"qscale": "4", "flags": "+qscale"}, "mp2", 64_000),
    # x264 decides by memory that it never set when it looks ahead for these two: the same frames gave other bytes.
    ".mp4": ("libx264", {"preset": "veryfast", "crf": "23", "x264-params": "weightp=0:mbtree=0"}, "aac", 48_000),
}
_GROUP_OF_PICTURES = 25


def to_int16(samples: NDArray[np.float64]) -> NDArray[np.int16]:
    """Samples of -1..1 as 16-bit integers."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def write_wav(path: Path, samples: NDArray[np.int16]) -> None:
    """Writes (samples, channels) at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.ascontiguousarray(samples, dtype="<i2").tobytes())


def write_video(path: Path, frames: Iterable[Pixels], samples: NDArray[np.int16]) -> None:
    """Writes frames at `FRAME_RATE_HZ` and audio (samples, channels) at 16 kHz, side by side in the file.

    The container is the path's suffix: `.avi` (MPEG-4, MP2) or `.mp4` (H.264, AAC). One thread encodes, so that the
    same frames give the same file.
    """
    video_codec, options, audio_codec, bit_rate = _CODECS[path.suffix]
    layout: Literal["mono", "stereo"] = "mono" if samples.shape[1] == 1 else "stereo"
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video = cast(av.VideoStream, container.add_stream(video_codec, rate=FRAME_RATE_HZ, options=options))
        video.pix_fmt = "yuv420p"
        video.codec_context.gop_size = _GROUP_OF_PICTURES
        video.codec_context.thread_count = 1
        audio = cast(av.AudioStream, container.add_stream(audio_codec, rate=SAMPLE_RATE_HZ, layout=layout))
        audio.codec_context.bit_rate = bit_rate
        written = 0
        for index, pixels in enumerate(frames):
            if index == 0:
                video.height, video.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / FRAME_RATE_HZ
            container.mux(video.encode(frame))
            until = min(len(samples), int((index + 1) / FRAME_RATE_HZ * SAMPLE_RATE_HZ))
            if until > written:
                chunk = av.AudioFrame.from_ndarray(samples[written:until].reshape(1, -1), format="s16", layout=layout)
                chunk.sample_rate, chunk.pts, chunk.time_base = SAMPLE_RATE_HZ, written, Fraction(1, SAMPLE_RATE_HZ)
                container.mux(audio.encode(chunk))
                written = until
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
