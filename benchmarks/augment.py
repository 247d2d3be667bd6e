"""What augmentation costs the data loader: processor time for one face crop, for 4 s of audio, for one line of text.

    python benchmarks/augment.py

Everything at once, and each on its own, always happening, on made-up data. Processor time, which other work on the
machine disturbs less than it does the clock; median over repetitions. Writes results/augment.json and augment.md.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fe2e import processor

from mme2e.atomic import write_text
from mme2e.config import AudioAugmentSettings, AugmentSettings, FaceAugmentSettings, TextAugmentSettings
from mme2e.data.augment_audio import augment_waveform
from mme2e.data.augment_faces import augment_crops
from mme2e.data.augment_text import augment_text
from mme2e.environment import environment

RESULTS = Path(__file__).parent / "results"
REPETITIONS = 500
EXTENTS = {"rotation_deg": 20.0, "scale": 0.2, "contrast": 0.3, "gamma": 0.3, "speed": 0.1, "gain_db": 10.0}
LINE = "Well, I don't know what to say: it's 3.5 miles away, and he KNEW that!"


def always(kind: type, *names: str) -> Any:
    """Settings where the named fields, or all, happen every time."""
    names = names or tuple(field.name for field in fields(kind))
    return kind(**{name: EXTENTS.get(name, 1.0) for name in names})


def jobs() -> Iterator[tuple[str, Callable[[np.random.Generator], object]]]:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (1, 48, 48, 3), dtype=np.uint8)
    grey = np.repeat(colour[..., :1], 3, axis=-1)
    waveform = (rng.standard_normal(64_000) * 3000).astype(np.int16)
    names = [field.name for field in fields(FaceAugmentSettings)]
    keeps_colour = AugmentSettings(
        crop_jitter_px=3,
        flip=0.5,
        brightness=0.2,
        faces=always(FaceAugmentSettings, *(name for name in names if name != "grey")),
    )
    yield "a colour crop, all but loss of colour", partial(augment_crops, colour, keeps_colour)
    yield "a grey crop, all", partial(augment_crops, grey, keeps_colour)
    for name in names:
        settings = AugmentSettings(faces=always(FaceAugmentSettings, name))
        yield f"a colour crop, {name}", partial(augment_crops, colour, settings)
    everything = always(AudioAugmentSettings)
    yield "4 s of audio, all", partial(augment_waveform, waveform, everything)
    for field in fields(AudioAugmentSettings):
        one = always(AudioAugmentSettings, field.name)
        yield f"4 s of audio, {field.name}", partial(augment_waveform, waveform, one)
    text = AugmentSettings(word_dropout=0.2, text=always(TextAugmentSettings))
    yield "a line of text, all", partial(augment_text, LINE, text, "[UNK]")


def median_ms(job: Callable[[np.random.Generator], object]) -> float:
    times = []
    for repetition in range(REPETITIONS):
        rng = np.random.default_rng([0, repetition])
        began = time.thread_time()
        job(rng)
        times.append(time.thread_time() - began)
    return statistics.median(times) * 1000


def main() -> None:
    machine = {"processor": processor(), **environment()}
    rows = {name: median_ms(job) for name, job in jobs()}
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    lines = [
        "# What augmentation costs the data loader",
        "",
        f"Milliseconds of processor time, median of {REPETITIONS}. {facts}.",
        "",
        "| what | ms |",
        "|---|---|",
        *(f"| {name} | {ms:.3f} |" for name, ms in rows.items()),
        "",
    ]
    content = json.dumps({"environment": machine, "milliseconds": rows}, indent=2) + "\n"
    write_text(RESULTS / "augment.json", content)
    write_text(RESULTS / "augment.md", "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
