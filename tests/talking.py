"""Small recordings in which a face is seen and somebody speaks now and then."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import matplotlib.cbook
import numpy as np
from PIL import Image
from signals import SAMPLE_RATE_HZ, vowels

from mme2e.generated.encoding import write_video

FRAMES_PER_SECOND = 12.5


@cache
def portrait() -> np.ndarray:
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB").resize((192, 224)))


def two_faces() -> np.ndarray:
    """One and the same face, left large and right small and mirrored."""
    small = np.asarray(Image.fromarray(portrait()).resize((144, 168)))[:, ::-1]
    image = np.full((224, 384, 3), 128, dtype=np.uint8)
    image[:, :192] = portrait()
    image[28:196, 216:360] = small
    return image


def speech(seconds: float, spoken: Sequence[tuple[float, float]]) -> np.ndarray:
    """(samples,) int16: a faint noise, and something like a voice in stretches."""
    noise = np.random.default_rng(0).normal(0, 8, round(seconds * SAMPLE_RATE_HZ))
    samples = noise.astype(np.int16)
    for start_s, end_s in spoken:
        first, last = round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
        samples[first:last] += vowels(end_s - start_s)[: last - first]
    return samples


def write_talk(
    path: Path,
    seconds: float,
    spoken: Sequence[tuple[float, float]] = (),
    *,
    sound_s: float | None = None,
    image: np.ndarray | None = None,
) -> Path:
    """Writes a video of a face, with sound of its length or another one."""
    images = [portrait() if image is None else image] * round(seconds * FRAMES_PER_SECOND)
    samples = speech(seconds if sound_s is None else sound_s, spoken)
    if len(samples) <= seconds * SAMPLE_RATE_HZ:
        write_video(path, images, samples[:, None])
        return path
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("mpeg4", rate=Fraction(25, 2)), container.add_stream("mp2", rate=16_000)
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        for place, each in enumerate(images):
            frame = av.VideoFrame.from_ndarray(each, format="rgb24")
            frame.pts, frame.time_base = place, Fraction(2, 25)
            container.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts = SAMPLE_RATE_HZ, 0
        container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return path


def write_subtitles(path: Path, *cues: tuple[float, float, str]) -> Path:
    def clock(time_s: float) -> str:
        milliseconds = round(time_s * 1000)
        minutes, rest = divmod(milliseconds, 60_000)
        return f"00:{minutes:02d}:{rest // 1000:02d},{rest % 1000:03d}"

    entries = (f"{n}\n{clock(a)} --> {clock(b)}\n{text}\n" for n, (a, b, text) in enumerate(cues, start=1))
    path.write_text("\n".join(entries), encoding="utf-8")
    return path
