"""MESM against FE2E: seconds forward and forward+backward, memory of a step, at several p, at random attention.

    python benchmarks/mesm.py [ROUNDS]

A batch of 4 utterances with 32 face crops and 47 mel chunks, full width, the same batch and text encoder for both.
All take turns in every round and medians are compared. FE2E is the fast dense model, as it is trained and run. MESM's
attention is random; in the mode `frozen` it gets no gradient, in the default mode it learns and costs a little more.
Nothing can be faster than a MESM that keeps a single site of every map: what it takes is the dense part of both models.
Memory is what a training step needs at its peak above what the process held before, in a process of its own.
All of it on the processor's own instructions and on AVX2 alone (`instruction_sets.py`).
Writes results/mesm.json and results/mesm.md.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from fe2e import processor
from instruction_sets import instruction_sets, keep_to_instruction_set, measure_in_process
from torch import nn
from transformers import AlbertConfig

from mme2e.config import AttentionSettings, ModelSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.environment import environment
from mme2e.models import build_model
from mme2e.models.normalised_convolution import settle_normalisations
from mme2e.text import build_encoder
from mme2e.training.allocation import keep_freed_memory

RESULTS = Path(__file__).parent / "results"
TOP_P = (0.8, 0.5, 0.3)
TARGETS = {0.8: (0.85, 0.75), 0.5: (0.50, 0.40), 0.3: (0.35, 0.28)}
FRAMES, CHUNKS = (8, 8, 8, 8), (12, 12, 12, 11)


def make_model(name: str, top_p: float = 0.5, mode: str = "frozen") -> nn.Module:
    torch.manual_seed(0)
    encoder = build_encoder(
        AlbertConfig(
            hidden_size=768, num_hidden_layers=1, num_attention_heads=12, intermediate_size=64, vocab_size=1000
        )
    )
    attention = AttentionSettings(mode=mode)  # type: ignore[arg-type]
    settings = ModelSettings(name=name, top_p=top_p, attention=attention)  # type: ignore[arg-type]
    model = build_model(settings, num_emotions=6, text_encoder=encoder)
    settle_normalisations(model, make_batch())
    return model


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    # Smooth pictures and spectrograms with bands, so that neighbouring sites resemble each other as in real ones.
    coarse = torch.rand(sum(FRAMES), 3, 8, 8, generator=generator) * 255
    bands = torch.rand(sum(CHUNKS), 1, 16, 4, generator=generator).square() * 20
    crops = nn.functional.interpolate(coarse, (48, 48), mode="bicubic")
    return Batch(
        face_crops=Ragged(crops.clamp(0, 255).to(torch.uint8), torch.tensor(FRAMES)),
        mel_chunks=Ragged(nn.functional.interpolate(bands, (128, 32), mode="bilinear"), torch.tensor(CHUNKS)),
        tokens=Ragged.from_padded(torch.randint(0, 1000, (len(FRAMES), 20), generator=generator)),
    )


def forward(model: nn.Module, batch: Batch) -> None:
    with torch.no_grad():
        model.eval()(batch)


def step(model: nn.Module, batch: Batch) -> None:
    model.train()(batch).sum().backward()
    model.zero_grad(set_to_none=True)


def seconds(work: Callable[[nn.Module, Batch], None], model: nn.Module, batch: Batch) -> float:
    start = time.perf_counter()
    work(model, batch)
    return time.perf_counter() - start


def step_memory_mb(name: str, top_p: float, mode: str) -> float:
    """Peak of a training step above what the process held before, in megabytes, measured in a new process (Linux)."""
    command = [sys.executable, __file__, "--memory", name, str(top_p), mode]
    # Whatever is freed goes back to the system at once, so that nothing of one step is left for the next.
    fresh = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=fresh).stdout)  # noqa: S603


def print_step_memory(name: str, top_p: float, mode: str) -> None:
    model, batch = make_model(name, top_p, mode), make_batch()
    step(model, batch)

    def kilobytes(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(field)).split()[1])

    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = kilobytes("VmRSS")
    step(model, batch)
    print((kilobytes("VmHWM") - before) / 1024)


def variants() -> dict[str, tuple[str, float, str]]:
    """Name, p and mode of attention of each model."""
    named = {"FE2E": ("fe2e", 1.0, "frozen"), "MESM, one site of each map": ("mesm", 1e-6, "frozen")}
    for mode in ("frozen", ModelSettings().attention.mode):
        named |= {f"MESM p = {p}, {mode}": ("mesm", p, mode) for p in TOP_P}
    return named


def work(rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of a forward pass and of a step, and the megabytes of a step, of each model."""
    memory = {name: step_memory_mb(*variant) for name, variant in variants().items()}
    keep_freed_memory()  # as `mme2e train` does
    batch = make_batch()
    models = {name: make_model(*variant) for name, variant in variants().items()}
    times: dict[str, dict[str, list[float]]] = {name: {"forward": [], "step": []} for name in models}
    for kind, what in (("forward", forward), ("step", step)):
        for model in models.values():
            what(model, batch)
        for _ in range(rounds):
            for name, model in models.items():
                times[name][kind].append(seconds(what, model, batch))
    medians = {name: {kind: statistics.median(values) for kind, values in each.items()} for name, each in times.items()}
    return {name: {**each, "memory": memory[name]} for name, each in medians.items()}


def main() -> None:
    """Measures, prints and writes."""
    if sys.argv[1:2] == ["--memory"]:
        keep_to_instruction_set()
        print_step_memory(sys.argv[2], float(sys.argv[3]), sys.argv[4])
        return
    if sys.argv[1:2] == ["--work"]:
        keep_to_instruction_set()
        print(json.dumps(work(int(sys.argv[2]))))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    results = {chosen: measure_in_process(chosen, __file__, "--work", str(rounds)) for chosen in instruction_sets()}
    lines = [
        "| | instructions | forward s | of FE2E | goal | forward+backward s | of FE2E | goal | memory of a step MB "
        "| of FE2E |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (_, p, _) in variants().items():
        for chosen, costs in results.items():
            each, full = costs[name], costs["FE2E"]
            goals = TARGETS.get(p, ("", ""))
            lines.append(
                f"| {name} | {chosen} | {each['forward']:.3f} | {each['forward'] / full['forward']:.2f} | {goals[0]} "
                f"| {each['step']:.3f} | {each['step'] / full['step']:.2f} | {goals[1]} "
                f"| {each['memory']:.0f} | {each['memory'] / full['memory']:.2f} |"
            )
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    where = environment()
    about = (
        f"Medians of {rounds} rounds in turns; 4 utterances, 32 crops, 47 chunks, full width, float32."
        f"\n{processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}, commit {where['git_commit']}."
    )
    (RESULTS / "mesm.md").write_text("# MESM against FE2E\n\n" + "\n".join(lines) + f"\n\n{about}\n")
    (RESULTS / "mesm.json").write_text(json.dumps({"results": results, "environment": where}, indent=2) + "\n")


if __name__ == "__main__":
    main()
