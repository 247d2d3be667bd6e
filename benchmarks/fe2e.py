"""FE2E against the same network written plainly in contiguous NCHW.

One batch of 4 utterances with 32 face crops and 47 mel chunks, full width, small text encoder, float32. Both networks
have the same weights and must give the same logits before anything is timed; then they take turns, and medians are
compared, on the processor's own instructions and on AVX2 alone. Run: ``python benchmarks/fe2e.py [rounds]``. Writes
`results/fe2e.json` and `results/fe2e.md`.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from instruction_sets import instruction_sets, keep_to_instruction_set, measure_in_process
from torch import Tensor, nn
from transformers import BertConfig

from mme2e.config import ModelSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.environment import environment
from mme2e.models import FE2E
from mme2e.models.normalised_convolution import settle_normalisations
from mme2e.text import build_encoder

RESULTS = Path(__file__).parent / "results"
FRAMES, CHUNKS, TOKENS, EMOTIONS = (8, 8, 8, 8), (12, 12, 12, 11), 20, 6
TARGET = 1.2


class PlainBlock(nn.Module):
    """VGG block as one writes it down."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        """Features (maps, after, height, width)."""
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class PlainSequence(nn.Module):
    """CLS Transformer as one writes it down."""

    def __init__(self) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.zeros(1, 64))
        layer = nn.TransformerEncoderLayer(64, 4, 2048, 0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """One vector (batch, 64) for each sequence."""
        sequences = [torch.cat([self.cls, part]) for part in vectors.split(lengths.tolist())]
        padded = nn.utils.rnn.pad_sequence(sequences, batch_first=True)
        padding = torch.arange(padded.shape[1]) > lengths.unsqueeze(1)
        return self.encoder(padded, src_key_padding_mask=padding)[:, 0]


class PlainBranch(nn.Module):
    """Tower, Transformer and head of one modality as one writes them down."""

    def __init__(self, channels: int, flat: int) -> None:
        super().__init__()
        low = [nn.Conv2d(channels, 64, 5, padding=2), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
        blocks = [PlainBlock(64, 64), PlainBlock(64, 64)]
        stages = [PlainBlock(64, 128), nn.MaxPool2d(2), PlainBlock(128, 256), nn.MaxPool2d(2), PlainBlock(256, 512)]
        ends = [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(flat, 1024), nn.ReLU(), nn.Linear(1024, 64)]
        self.tower = nn.Sequential(*low, *blocks, *stages, *ends)
        self.sequence = PlainSequence()
        self.head = nn.Linear(64, EMOTIONS)

    def forward(self, maps: Tensor, lengths: Tensor) -> Tensor:
        """Logits (batch, emotions)."""
        return self.head(self.sequence(self.tower(maps), lengths))


class PlainFE2E(nn.Module):
    """The whole network as one writes it down, with the weights of an FE2E; they share the text branch."""

    def __init__(self, model: FE2E) -> None:
        super().__init__()
        self.text = model.text
        self.visual, self.acoustic = PlainBranch(3, 512 * 3 * 3), PlainBranch(1, 512 * 8 * 2)
        self.fusion = nn.Linear(3, 1, bias=False)
        # Both hold the same weights in the same order.
        for mine, other in zip(self.state_dict().values(), model.state_dict().values(), strict=True):
            mine.copy_(other)

    def forward(self, batch: Batch) -> Tensor:
        """Logits (batch, emotions)."""
        crops, chunks, tokens = batch.face_crops, batch.mel_chunks, batch.tokens
        assert self.text is not None
        assert crops is not None
        assert chunks is not None
        assert tokens is not None
        mean = torch.tensor([159.0, 111.0, 102.0]).view(1, 3, 1, 1)
        std = torch.tensor([37.0, 33.0, 32.0]).view(1, 3, 1, 1)
        text = self.text(tokens)
        visual = self.visual((crops.values.float() - mean) / std, crops.lengths)
        acoustic = self.acoustic(chunks.values, chunks.lengths)
        return self.fusion(torch.stack([text, visual, acoustic], dim=-1)).squeeze(-1)


def make_batch() -> Batch:
    return Batch(
        face_crops=Ragged(torch.randint(0, 256, (sum(FRAMES), 3, 48, 48), dtype=torch.uint8), torch.tensor(FRAMES)),
        mel_chunks=Ragged(torch.rand(sum(CHUNKS), 1, 128, 32), torch.tensor(CHUNKS)),
        tokens=Ragged.from_padded(torch.randint(5, 1000, (len(FRAMES), TOKENS))),
    )


def forward(model: nn.Module, batch: Batch) -> None:
    model.eval()
    with torch.no_grad():
        model(batch)


def forward_backward(model: nn.Module, batch: Batch) -> None:
    model.train()
    model.zero_grad()
    model(batch).square().mean().backward()


def medians(step: Callable[[nn.Module, Batch], None], models: dict[str, nn.Module], batch: Batch, rounds: int) -> dict:
    """Median seconds of each model; the models take turns, so that a busy machine slows both alike."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        for name, model in models.items():
            start = time.perf_counter()
            step(model, batch)
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def work(rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of both networks, forward and with the backward pass, and how many times faster ours is."""
    torch.manual_seed(0)
    encoder = build_encoder(
        BertConfig(vocab_size=1000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512)
    )
    model = FE2E(ModelSettings(), num_emotions=EMOTIONS, text_encoder=encoder)
    batch = make_batch()
    settle_normalisations(model, batch)
    plain = PlainFE2E(model)
    with torch.no_grad():
        difference = float((model.eval()(batch) - plain.eval()(batch)).abs().max())
    assert difference < 1e-4, f"the networks differ by {difference}: nothing to compare"
    models = {"mme2e": model, "plain": plain}
    results = {}
    for name, step in (("forward", forward), ("forward+backward", forward_backward)):
        seconds = medians(step, models, batch, rounds)
        results[name] = {**seconds, "times faster": seconds["plain"] / seconds["mme2e"]}
    return results


def main() -> None:
    """Measures, prints and writes."""
    if sys.argv[1:2] == ["--work"]:
        keep_to_instruction_set()
        print(json.dumps(work(int(sys.argv[2]))))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    # On a machine with other work the threads wait for each other at random, and the ratio says nothing.
    load = os.getloadavg()[0]
    if load > 1:
        print(f"the machine is busy (load average {load:.1f}): measure again when it is quiet", file=sys.stderr)
    results = {chosen: measure_in_process(chosen, __file__, "--work", str(rounds)) for chosen in instruction_sets()}
    about = {
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "load average at the start": round(load, 2),
        "target": TARGET,
        "processor": processor(),
        "date": time.strftime("%Y-%m-%d"),
        **environment(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fe2e.json").write_text(json.dumps({"results": results, **about}, indent=2) + "\n")
    table = (
        "| | instructions | mme2e s | plain NCHW s | times faster | target |\n|---|---|---|---|---|---|\n"
        + "".join(
            f"| {name} | {chosen} | {row['mme2e']:.3f} | {row['plain']:.3f} | {row['times faster']:.2f} | {TARGET} |\n"
            for chosen, rows in results.items()
            for name, row in rows.items()
        )
    )
    versions = f"torch {about['packages']['torch']}, Python {about['python']}, commit {about['git_commit']}"
    note = (
        f"4 utterances, {sum(FRAMES)} crops, {sum(CHUNKS)} chunks, full width, float32; medians of {rounds} rounds in "
        f"turns.\n{about['processor']}, {about['threads']} threads, load {load:.1f} before; {versions}; "
        f"{about['date']}.\n"
    )
    (RESULTS / "fe2e.md").write_text(f"# FE2E\n\n{table}\n{note}")
    print(table)


if __name__ == "__main__":
    main()
