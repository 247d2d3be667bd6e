"""A prepared corpus small enough to train on in seconds, whose every modality tells the emotion."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mme2e.data.schema import ROW_SCHEMA, SPLITS, CorpusInfo
from mme2e.faces.face_crop import FACE_SIZE_PX, FaceFlag
from mme2e.media.audio import SAMPLE_RATE_HZ, encode_flac

LABEL_NAMES = ("angry", "happy", "sad")
COLOURS = ((220, 40, 40), (40, 220, 40), (40, 40, 220))
PITCHES_HZ = (400.0, 1200.0, 3000.0)
WORDS = ("furious", "lovely", "gloomy")
FRAME_INTERVAL_MS = 500


def write_tiny_corpus(
    folder: Path, utterances_per_split: int = 6, multi_label: bool = False, seed: int = 0, name: str = "tiny"
) -> Path:
    """Writes a prepared corpus with three emotions: crops by colour, tones by pitch, words by name.

    Utterances last 0.5 to 1.5 s with 1 to 3 frames. With `multi_label` an utterance has none, one or two emotions.
    Every split has speakers of its own and one recording per two utterances.

    Returns:
        The folder.
    """
    generator = np.random.default_rng(seed)
    for split in SPLITS:
        rows = [_row(f"{split}_{i:03d}", split, i, multi_label, generator) for i in range(utterances_per_split)]
        (folder / split).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), folder / split / "00000.parquet")
    CorpusInfo(
        name=name,
        label_names=LABEL_NAMES,
        multi_label=multi_label,
        frame_interval_ms=FRAME_INTERVAL_MS,
        sample_rate_hz=SAMPLE_RATE_HZ,
        split_protocol="tiny, by recording",
        provenance={"seed": seed},
        counts=dict.fromkeys(SPLITS, utterances_per_split),
        skipped=(),
    ).write(folder)
    return folder


def _row(identity: str, split: str, index: int, multi_label: bool, generator: np.random.Generator) -> dict[str, object]:
    emotions = _emotions(index, multi_label)
    frames = 1 + index % 3
    samples = _tone([PITCHES_HZ[e] for e in emotions], frames * FRAME_INTERVAL_MS / 1000, generator)
    return {
        "id": identity,
        "recording": f"{split}_recording{index // 2}",
        "speaker": f"{split}_speaker{index % 2}",
        "start_s": float(index),
        "end_s": index + frames * FRAME_INTERVAL_MS / 1000,
        "text": " ".join(["it was a", *(WORDS[e] for e in emotions), "day"]),
        "labels": [LABEL_NAMES[e] for e in emotions],
        "face_crops": [_crop([COLOURS[e] for e in emotions], generator) for _ in range(frames)],
        "face_times_s": [index + i * FRAME_INTERVAL_MS / 1000 for i in range(frames)],
        "face_flags": [int(FaceFlag.DETECTED)] * frames,
        "face_boxes": [[0.0, 0.0, 48.0, 48.0]] * frames,
        "audio": encode_flac(samples),
        "num_samples": len(samples),
    }


def _emotions(index: int, multi_label: bool) -> list[int]:
    first = index % 3
    if not multi_label:
        return [first]
    return ([first], [first, (first + 1) % 3], [])[index // 3 % 3]


def _crop(colours: list[tuple[int, int, int]], generator: np.random.Generator) -> bytes:
    colour = np.mean(colours, axis=0) if colours else np.full(3, 128.0)
    pixels = colour + generator.normal(0, 25, (FACE_SIZE_PX, FACE_SIZE_PX, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "png")
    return file.getvalue()


def _tone(pitches_hz: list[float], duration_s: float, generator: np.random.Generator) -> np.ndarray:
    times_s = np.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sound = generator.normal(0, 0.02, len(times_s))
    for pitch_hz in pitches_hz:
        sound += 0.2 * np.sin(2 * np.pi * pitch_hz * times_s)
    return (sound * 32767).clip(-32768, 32767).astype(np.int16)
