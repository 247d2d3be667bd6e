"""MESM against FE2E: seconds forward and forward+backward, at several p, randomly initialised attention.

    python benchmarks/mesm.py [ROUNDS]

A batch of 4 utterances with 32 face crops and 47 mel chunks, full width, the same batch and text encoder for both.
All take turns in every round and medians are compared. FE2E is the fast dense model, as it is trained and run.
Writes results/mesm.json and results/mesm.md.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from fe2e import processor
from torch import nn
from transformers import AlbertConfig

from mme2e.config import ModelSettings
from mme2e.data import Batch
from mme2e.models import build_model
from mme2e.text import build_encoder
from mme2e.training.model_card import environment

RESULTS = Path(__file__).parent / "results"
TOP_P = (0.8, 0.5, 0.3)
TARGETS = {0.8: (0.85, 0.75), 0.5: (0.50, 0.40), 0.3: (0.35, 0.28)}
FRAMES, CHUNKS = (8, 8, 8, 8), (12, 12, 12, 11)


def make_model(name: str, top_p: float = 0.5) -> nn.Module:
    torch.manual_seed(0)
    encoder = build_encoder(
        AlbertConfig(
            hidden_size=768, num_hidden_layers=1, num_attention_heads=12, intermediate_size=64, vocab_size=1000
        )
    )
    settings = ModelSettings(name=name, top_p=top_p)  # type: ignore[arg-type]
    model = build_model(settings, num_emotions=6, text_encoder=encoder)
    settle(model, make_batch())
    return model


def settle(model: nn.Module, batch: Batch) -> None:
    """Gives the normalisations the averages of the batch, so that evaluation sees what training sees."""
    norms = [(each, each.momentum) for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    for norm, _ in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(batch)
    for norm, momentum in norms:
        norm.momentum = momentum


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    # Smooth pictures and spectrograms with bands, so that neighbouring sites resemble each other as in real ones.
    coarse = torch.rand(sum(FRAMES), 3, 8, 8, generator=generator) * 255
    bands = torch.rand(sum(CHUNKS), 1, 16, 4, generator=generator).square() * 20
    return Batch(
        face_crops=nn.functional.interpolate(coarse, (48, 48), mode="bicubic").clamp(0, 255).to(torch.uint8),
        num_frames=torch.tensor(FRAMES),
        mel_chunks=nn.functional.interpolate(bands, (128, 32), mode="bilinear"),
        num_chunks=torch.tensor(CHUNKS),
        input_ids=torch.randint(0, 1000, (len(FRAMES), 20), generator=generator),
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


def main() -> None:
    """Measures, prints and writes."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    batch = make_batch()
    models = {"FE2E": make_model("fe2e"), **{f"MESM p = {p}": make_model("mesm", p) for p in TOP_P}}
    times: dict[str, dict[str, list[float]]] = {name: {"forward": [], "step": []} for name in models}
    for kind, work in (("forward", forward), ("step", step)):
        for model in models.values():
            work(model, batch)
        for _ in range(rounds):
            for name, model in models.items():
                times[name][kind].append(seconds(work, model, batch))
    medians = {name: {kind: statistics.median(values) for kind, values in each.items()} for name, each in times.items()}
    lines = [
        "| | forward s | of FE2E | at most | forward+backward s | of FE2E | at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in medians.items():
        ratios = [each[kind] / medians["FE2E"][kind] for kind in ("forward", "step")]
        targets = TARGETS.get(float(name.rsplit(maxsplit=1)[1]), ("", "")) if name != "FE2E" else ("", "")
        lines.append(
            f"| {name} | {each['forward']:.3f} | {ratios[0]:.2f} | {targets[0]} "
            f"| {each['step']:.3f} | {ratios[1]:.2f} | {targets[1]} |"
        )
    print("\n".join(lines))
    RESULTS.mkdir(exist_ok=True)
    where = json.loads(environment())
    about = (
        f"Medians of {rounds} rounds in turns; 4 utterances, 32 crops, 47 chunks, full width, float32."
        f"\n{processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}, commit {where['git_commit']}."
    )
    (RESULTS / "mesm.md").write_text("# MESM against FE2E\n\n" + "\n".join(lines) + f"\n\n{about}\n")
    (RESULTS / "mesm.json").write_text(json.dumps({"medians": medians, "environment": where}, indent=2) + "\n")


if __name__ == "__main__":
    main()
