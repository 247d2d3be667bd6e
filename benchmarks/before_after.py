"""This version against an earlier one: models, preparation and start of the command, interleaved in one run.

    git worktree add ../before COMMIT
    python benchmarks/before_after.py ../before/src [ROUNDS]

Models: 4 utterances, 32 face crops, 47 mel chunks, full width; forward and forward+backward, medians of a process;
memory is what a step needs at its peak above what the process held before. Preparation: a generated corpus in IEMOCAP's
layout (avi beside wav), --jobs 1. Each round measures both versions, each in a process of its own; ratios are medians
over the rounds. Writes results/before_after.json and results/before_after.md.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SRC = Path(__file__).parents[1] / "src"
MODELS = {
    "FE2E": ("fe2e", 0.5),
    "MESM p = 0.8": ("mesm", 0.8),
    "MESM p = 0.5": ("mesm", 0.5),
    "MESM p = 0.3": ("mesm", 0.3),
}
FRAMES, CHUNKS = (8, 8, 8, 8), (12, 12, 12, 11)
REPEATS = 7


def make_model(name: str, top_p: float) -> Any:
    import torch
    from transformers import AlbertConfig

    from mme2e.config import ModelSettings
    from mme2e.models import build_model
    from mme2e.models.normalised_convolution import settle_normalisations
    from mme2e.text import build_encoder

    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=1000, hidden_size=768, num_hidden_layers=1, num_attention_heads=12, intermediate_size=64
    )
    encoder = build_encoder(config)
    settings = ModelSettings(name=name, top_p=top_p)  # type: ignore[arg-type]
    model = build_model(settings, num_emotions=6, text_encoder=encoder)
    settle_normalisations(model, make_batch())
    return model


def make_batch() -> Any:
    """The same utterances for both versions, whose batches have different fields."""
    import torch
    import torch.nn.functional as F

    from mme2e.data.batch import Batch

    generator = torch.Generator().manual_seed(0)
    crops = F.interpolate(torch.rand(sum(FRAMES), 3, 12, 12, generator=generator), size=48, mode="bilinear")
    mel = F.interpolate(torch.rand(sum(CHUNKS), 1, 32, 8, generator=generator), size=(128, 32), mode="bilinear")
    crops = (crops * 255).to(torch.uint8)
    ids = torch.randint(0, 1000, (len(FRAMES), 20), generator=generator)
    frames, chunks = torch.tensor(FRAMES), torch.tensor(CHUNKS)
    try:
        from mme2e.data.ragged import Ragged
    except ImportError:
        old: Any = Batch
        return old(
            face_crops=crops, num_frames=frames, mel_chunks=mel, num_chunks=chunks, input_ids=ids,
            attention_mask=torch.ones_like(ids),
        )  # fmt: skip
    return Batch(face_crops=Ragged(crops, frames), mel_chunks=Ragged(mel, chunks), tokens=Ragged.from_padded(ids))


def measure_models() -> dict[str, float]:
    """Medians of this process, in seconds."""
    import torch

    from mme2e.training.allocation import keep_freed_memory

    keep_freed_memory()
    batch = make_batch()
    found = {}
    for title, (name, top_p) in MODELS.items():
        model = make_model(name, top_p)

        def forward(model: Any = model) -> None:
            with torch.inference_mode():
                model(batch)

        def step(model: Any = model) -> None:
            model.zero_grad()
            model(batch).square().sum().backward()

        model.eval()
        found[f"{title}, forward"] = _median(forward)
        model.train()
        found[f"{title}, step"] = _median(step)
    return found


def _median(action: Callable[[], None]) -> float:
    action()
    action()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure_memory(title: str) -> dict[str, float]:
    """Megabytes of one training step above what the process held, kilobytes being the unit of Linux."""
    name, top_p = MODELS[title]
    model, batch = make_model(name, top_p).train(), make_batch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model(batch).square().sum().backward()
    return {f"{title}, memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}


def in_version(src: Path, words: list[str]) -> dict[str, float]:
    """What this script prints in a process that imports `src`."""
    environment = {**os.environ, "PYTHONPATH": str(src)}
    command = [sys.executable, __file__, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def command_s(src: Path, *words: str) -> float:
    """Seconds of a command of that version."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(src)}
    command = [sys.executable, "-m", "mme2e", *words]
    subprocess.run(command, env=environment, check=True, capture_output=True)  # noqa: S603
    return time.perf_counter() - start


def measure_round(src: Path, raw: Path, folder: Path) -> dict[str, float]:
    found = in_version(src, ["--models"])
    for title in MODELS:
        found |= in_version(src, ["--memory", title])
    out = folder / "corpus"
    shutil.rmtree(out, ignore_errors=True)
    found["prepare (IEMOCAP's layout)"] = command_s(src, "prepare", "iemocap", str(raw), str(out))
    found["mme2e --help"] = command_s(src, "--help")
    return found


def report(rounds: list[tuple[dict[str, float], dict[str, float]]], baseline: str) -> None:
    """Writes the table; a ratio is the median of the rounds' ratios."""
    rows = {}
    for key in rounds[0][0]:
        before, after = ([pair[side][key] for pair in rounds] for side in (0, 1))
        ratio = statistics.median(new / old for old, new in zip(before, after, strict=True))
        rows[key] = {"before": statistics.median(before), "after": statistics.median(after), "ratio": ratio}
    lines = [f"| seconds or MB, median of {len(rounds)} rounds | before | after | ratio |", "|---|---|---|---|"]
    for key, row in rows.items():
        digits = 0 if "memory" in key else 3
        lines.append(f"| {key} | {row['before']:.{digits}f} | {row['after']:.{digits}f} | {row['ratio']:.2f} |")
    text = f"# This version against {baseline}\n\n" + "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "before_after.md").write_text(text)
    (RESULTS / "before_after.json").write_text(json.dumps({"baseline": baseline, "rows": rows}, indent=2) + "\n")


def main() -> None:
    if sys.argv[1] == "--models":
        print(json.dumps(measure_models()))
        return
    if sys.argv[1] == "--memory":
        print(json.dumps(measure_memory(sys.argv[2])))
        return
    before, rounds = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=before, capture_output=True, text=True)  # noqa: S603
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        command_s(SRC, "sample", str(folder / "raw"), "--layout", "iemocap", "--utterances", "120")
        found = []
        for number in range(rounds):
            sides = [(0, before), (1, SRC)][:: 1 if number % 2 else -1]  # who goes first changes
            pair = {side: measure_round(src, folder / "raw", folder) for side, src in sides}
            found.append((pair[0], pair[1]))
    report(found, commit.stdout.strip() or str(before))


if __name__ == "__main__":
    main()
