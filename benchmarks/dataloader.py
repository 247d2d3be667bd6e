"""Data loading: what decoding an utterance costs, and how long training waits for data.

A prepared corpus of made-up rows (4 to 5 s a row: 8 to 10 crops, sound, words) is read cold from Parquet; then FE2E is
trained on it for some steps at the width of the demo and at full width, with 0 and 1 worker processes.
Run: ``python benchmarks/dataloader.py``. Writes `results/dataloader.json` and `results/dataloader.md`.
"""

import io
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fe2e import processor
from PIL import Image
from torch import nn

from mme2e.config import AugmentSettings, ModelSettings, TextSettings
from mme2e.data.corpus import load_corpus
from mme2e.data.dataset import UtteranceDataset
from mme2e.data.loader import make_dataloader
from mme2e.data.schema import ROW_SCHEMA, CorpusInfo
from mme2e.environment import environment
from mme2e.faces.face_crop import FaceFlag
from mme2e.media.audio import SAMPLE_RATE_HZ, encode_flac
from mme2e.models import build_model
from mme2e.text import load_text

RESULTS = Path(__file__).parent / "results"
UTTERANCES, BATCH_SIZE, LABELS = 240, 4, ("angry", "happy", "sad", "neutral", "excited", "frustrated")
WIDTHS = {
    "demo": ModelSettings(
        tower_channels=(16, 16, 32, 64),
        tower_dim=128,
        num_layers=1,
        feedforward_dim=128,
        text=TextSettings(model="scratch"),
    ),
    "full": ModelSettings(text=TextSettings(model="scratch")),
}
STEPS = {"demo": 50, "full": 8}
AUGMENT = AugmentSettings(crop_jitter_px=3, flip=0.5, brightness=0.2, word_dropout=0.1)


def write_corpus(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "train").mkdir(parents=True)
    rows = [row(index, rng) for index in range(UTTERANCES)]
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), folder / "train" / "all.parquet", row_group_size=20)
    CorpusInfo(
        name="made up",
        label_names=LABELS,
        multi_label=False,
        frame_interval_ms=500,
        sample_rate_hz=SAMPLE_RATE_HZ,
        split_protocol="none",
        provenance={},
        counts={"train": UTTERANCES},
        skipped=(),
    ).write(folder)


def row(index: int, rng: np.random.Generator) -> dict:
    frames = 8 + index % 3
    samples = np.convolve(rng.normal(0, 3000, frames * SAMPLE_RATE_HZ // 2), np.ones(8) / 8, "same").astype(np.int16)
    return {
        "id": f"u{index}",
        "recording": f"r{index // 10}",
        "speaker": "A",
        "start_s": 0.0,
        "end_s": frames / 2,
        "text": " ".join(rng.choice(["well", "that", "is", "really", "lovely", "gloomy", "furious", "news"], 12)),
        "labels": [LABELS[index % len(LABELS)]],
        "face_crops": [crop(rng) for _ in range(frames)],
        "face_times_s": [i / 2 for i in range(frames)],
        "face_flags": [int(FaceFlag.DETECTED)] * frames,
        "face_boxes": [[0.0, 0.0, 48.0, 48.0]] * frames,
        "audio": encode_flac(samples),
        "num_samples": len(samples),
    }


def crop(rng: np.random.Generator) -> bytes:
    """A smooth picture with some grain: as large as a PNG of a face."""
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((48, 48), Image.Resampling.BICUBIC)
    grain = np.asarray(coarse) + rng.normal(0, 3, (48, 48, 3))
    file = io.BytesIO()
    Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(file, "png", compress_level=1)
    return file.getvalue()


def milliseconds_per_utterance(dataset: UtteranceDataset) -> float:
    start_s = time.perf_counter()
    for index in range(len(dataset)):
        dataset[index]
    return 1000 * (time.perf_counter() - start_s) / len(dataset)


def train(model: nn.Module, dataset: UtteranceDataset, workers: int, steps: int) -> dict[str, float]:
    """Seconds a step, and the share of them that passed before the loader gave its batch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    loader = make_dataloader(
        dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=workers, augment=AUGMENT, pin_memory=True
    )
    batches = iter(loader)
    waited_s = total_s = 0.0
    for step in range(steps + 2):
        start_s = time.perf_counter()
        batch = next(batches)
        got_s = time.perf_counter()
        batch = batch.with_mel_chunks()
        nn.functional.binary_cross_entropy_with_logits(model(batch), batch.labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step >= 2:  # the first ones warm up, and start the workers
            waited_s += got_s - start_s
            total_s += time.perf_counter() - start_s
    return {"step_ms": round(1000 * total_s / steps, 1), "waiting_share": round(waited_s / total_s, 4)}


def main() -> None:
    load = os.getloadavg()[0]
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "corpus"
        write_corpus(folder)
        start_s = time.perf_counter()
        corpus = load_corpus(folder)
        corpus.split("train")
        result: dict = {"unpack_once_ms_per_utterance": round(1000 * (time.perf_counter() - start_s) / UTTERANCES, 3)}
        text = load_text(WIDTHS["demo"].text, texts=corpus.texts("train"))
        for name, modalities in {"text": "t", "sound": "a", "face crops": "v", "all": "tav"}.items():
            dataset = UtteranceDataset(corpus, "train", modalities, text.tokenizer)
            milliseconds_per_utterance(dataset)
            result[f"decode {name}"] = round(milliseconds_per_utterance(dataset), 3)
        for width, settings in WIDTHS.items():
            for workers in (0, 1):
                encoder = load_text(settings.text, texts=corpus.texts("train")).encoder
                model = build_model(settings, num_emotions=len(LABELS), text_encoder=encoder)
                result[f"{width}, {workers} workers"] = train(model, dataset, workers, STEPS[width])
    result |= {
        "threads": torch.get_num_threads(),
        "load average at the start": round(load, 2),
        "processor": processor(),
        "date": time.strftime("%Y-%m-%d"),
        **environment(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dataloader.json").write_text(json.dumps(result, indent=2) + "\n")
    decoding = "| decoding an utterance | ms |\n|---|---|\n" + "".join(
        f"| {name.removeprefix('decode ')} | {value:.2f} |\n" for name, value in result.items() if "decode " in name
    )
    training = "| training FE2E | ms a step | share waiting for data |\n|---|---|---|\n" + "".join(
        f"| {name} | {value['step_ms']:.0f} | {value['waiting_share']:.1%} |\n"
        for name, value in result.items()
        if isinstance(value, dict) and "waiting_share" in value
    )
    note = (
        f"{UTTERANCES} utterances of 4 to 5 s, batches of {BATCH_SIZE}, augmentation of the demo. "
        f"Unpacking the Parquet files, once: {result['unpack_once_ms_per_utterance']} ms an utterance.\n"
        f"{result['processor']}, {result['threads']} threads, load {load:.1f} before; "
        f"torch {result['packages']['torch']}, "
        f"Python {result['python']}, commit {result['git_commit']}; {result['date']}.\n"
    )
    (RESULTS / "dataloader.md").write_text(f"# Data loading\n\n{decoding}\n{training}\n{note}")
    print(decoding, training, sep="\n")


if __name__ == "__main__":
    main()
