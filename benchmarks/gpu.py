"""All that only a GPU can show, in one command of under nine minutes.

    python benchmarks/gpu.py [--device cuda] [--out benchmarks/results]

Runs the tests of ops and models (those for CUDA among them), compares the convolution's paths with `naive` (in
float64) and times them, makes one training step of FE2E and MESM in fp32, bf16 and fp16, with and without deterministic
algorithms, compares logits and selected sites with those of the CPU, and times FE2E against MESM at several p and batch
sizes: forward, forward and backward pass, memory. Writes gpu.md and gpu.json with device and versions. What fails is
reported in the table, and the exit status is 1; what there is no time for is named. Without CUDA nothing is measured,
and the exit status is 0. `--device cpu --tiny` runs all of it at toy sizes, to test this program.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AlbertConfig

from mme2e.atomic import write_text
from mme2e.config import ModelSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.environment import describe_machine
from mme2e.models import MESM, build_model
from mme2e.models.normalised_convolution import settle_normalisations
from mme2e.models.trace import Trace
from mme2e.ops.sparse_conv2d import SparseMaps, submanifold_conv2d
from mme2e.ops.sparse_conv2d.triton_conv import triton_is_installed
from mme2e.text import build_encoder

ROOT = Path(__file__).parents[1]
BUDGET_S, TESTS_S = 500.0, 240.0
"""Seconds after which nothing new is begun; the longest that the tests may take of them."""

TOP_P = (0.8, 0.5, 0.3)
DENSITY = 0.5
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TOLERANCES = {"fp32": 1e-4, "bf16": 3e-2, "fp16": 5e-3}
"""Largest difference from `naive` in float64, as a share of its largest number."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        utterances: Batch sizes of the timings; the first one is also that of the other checks.
        frames, chunks: Face crops and mel chunks of each utterance.
        rounds: Timings of which the median is taken; all variants take turns.
        model: Widths.
        text_dim: Width of the text encoder, which has one layer, so that the towers are measured.
        maps: Of a convolution.
        layers: Of a convolution: height, width, channels before and after.
        tests: Arguments of pytest.
    """

    utterances: tuple[int, ...] = (8, 32)
    frames: int = 8
    chunks: int = 12
    rounds: int = 10
    model: ModelSettings = field(default_factory=ModelSettings)
    text_dim: int = 768
    maps: int = 96
    layers: tuple[tuple[int, int, int, int], ...] = ((64, 16, 64, 128), (32, 8, 128, 256), (16, 4, 256, 512))
    tests: tuple[str, ...] = ("-nauto", "tests/ops", "tests/models")


TINY = Sizes(
    utterances=(2, 3),
    frames=1,
    chunks=1,
    rounds=1,
    model=ModelSettings(
        tower_channels=(4, 6, 8, 10), tower_dim=16, trans_dim=8, num_heads=2, num_layers=1, feedforward_dim=8
    ),
    text_dim=24,
    maps=2,
    layers=((8, 4, 3, 5),),
    tests=("-n0", "tests/test_atomic.py"),
)


class Clock:
    """What is left of the time."""

    def __init__(self, budget_s: float) -> None:
        self._end_s = time.monotonic() + budget_s

    @property
    def left_s(self) -> float:
        """Seconds; negative when it is over."""
        return self._end_s - time.monotonic()


def attempt(clock: Clock, row: Row, work: Callable[[], Row]) -> Row:
    """A row with what the work returns, or with what it failed of; all other rows are made all the same."""
    if clock.left_s <= 0:
        return {**row, "skipped": True}
    try:
        return {**row, **work()}
    except Exception as error:
        return {**row, "failure": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}


def run_tests(clock: Clock, sizes: Sizes) -> Row:
    """The tests' last line."""
    limit_s = min(TESTS_S, clock.left_s)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sizes.tests]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return {"failure": f"not done after {limit_s:.0f} s"}
    last = ([line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or [""])[-1]
    return {"result": last} if done.returncode == 0 else {"failure": last}


def make_batch(utterances: int, sizes: Sizes) -> Batch:
    """Smooth pictures and spectrograms with bands, in which neighbouring sites resemble each other as in real ones."""
    generator = torch.Generator().manual_seed(0)
    crops, chunks = utterances * sizes.frames, utterances * sizes.chunks
    coarse = torch.rand(crops, 3, 8, 8, generator=generator) * 255
    bands = torch.rand(chunks, 1, 16, 4, generator=generator).square() * 20
    faces = F.interpolate(coarse, (48, 48), mode="bicubic").clamp(0, 255).to(torch.uint8)
    return Batch(
        face_crops=Ragged(faces, torch.full((utterances,), sizes.frames)),
        mel_chunks=Ragged(F.interpolate(bands, (128, 32), mode="bilinear"), torch.full((utterances,), sizes.chunks)),
        tokens=Ragged.from_padded(torch.randint(1, 1000, (utterances, 20), generator=generator)),
    )


def make_model(name: str, sizes: Sizes, top_p: float = 0.5) -> nn.Module:
    """With random weights, and averages of a batch; on the CPU."""
    return copy.deepcopy(_settled_model(name, sizes, top_p))


@cache
def _settled_model(name: str, sizes: Sizes, top_p: float) -> nn.Module:
    torch.manual_seed(0)
    settings = replace(sizes.model, name=name, top_p=top_p)  # type: ignore[arg-type]
    config = AlbertConfig(
        hidden_size=sizes.text_dim, num_hidden_layers=1, num_attention_heads=12, intermediate_size=64, vocab_size=1000
    )
    model = build_model(settings, num_emotions=6, text_encoder=build_encoder(config))
    settle_normalisations(model, make_batch(2, sizes))
    return model


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def medians_ms(works: Mapping[str, Callable[[], object]], device: torch.device, rounds: int) -> dict[str, float]:
    """Milliseconds of each; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            wait(device)
            start = time.perf_counter()
            work()
            wait(device)
            if turn:  # the first one warms up
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def memory_mb(work: Callable[[], object], device: torch.device) -> float | None:
    """Peak of the device's memory above what was held before; None on the CPU."""
    if device.type != "cuda":
        return None
    wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


@contextmanager
def exact_products() -> Iterator[None]:
    """Float32 products and convolutions in float32, not TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """As Lightning's `deterministic` does."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def paths_of(device: torch.device, precision: str) -> tuple[str, ...]:
    """Ways to compute the convolution there."""
    if device.type == "cpu":
        return ("compiled", "gather", "dense") if precision == "fp32" else ("gather", "dense")
    return ("triton", "gather", "dense") if triton_is_installed() else ("gather", "dense")


def convolution(layer: tuple[int, int, int, int], precision: str, device: torch.device, sizes: Sizes) -> Row:
    """Errors and milliseconds (forward and backward pass) of each path; of `naive` in the same precision, too."""
    height, width, before, after = layer
    generator = torch.Generator().manual_seed(0)
    noise = F.avg_pool2d(torch.rand(sizes.maps, 1, height + 2, width + 2, generator=generator), 3, 1)[:, 0]
    mask = (noise >= noise.flatten(1).quantile(1 - DENSITY, dim=1)[:, None, None]).to(device)
    maps = torch.randn(sizes.maps, before, height, width, generator=generator).to(device)
    kernel = (torch.randn(9, after, before, generator=generator) * (9 * before) ** -0.5).to(device)
    upstream = torch.randn(int(mask.sum()), after, generator=generator).to(device)
    rounded, paths = PRECISIONS[precision], paths_of(device, precision)

    def passes(path: str, dtype: torch.dtype) -> list[Tensor]:
        sparse = SparseMaps.from_dense(maps.to(rounded).to(dtype), mask)
        features, weight = (t.requires_grad_() for t in (sparse.features.detach(), kernel.to(rounded).to(dtype)))
        result = submanifold_conv2d(sparse.with_features(features), weight, path=path).features  # type: ignore[arg-type]
        gradients = torch.autograd.grad(result, (features, weight), upstream.to(rounded).to(dtype))
        return [result.detach(), *gradients]

    with exact_products():
        truth = passes("naive", torch.float64)
        errors = {path: _largest_error(passes(path, rounded), truth) for path in paths}
        works = {path: partial(passes, path, rounded) for path in (*paths, "naive")}
        times = medians_ms(works, device, sizes.rounds)
    row: Row = {f"{path} error": error for path, error in errors.items()}
    row |= {f"{path} ms": milliseconds for path, milliseconds in times.items()}
    worst = max(errors.values())
    if not worst <= TOLERANCES[precision]:
        row["failure"] = f"error {worst:.1e} is more than {TOLERANCES[precision]:.0e}"
    return row


def _largest_error(found: list[Tensor], truth: list[Tensor]) -> float:
    return max(float((f.double() - t).abs().max() / t.abs().max()) for f, t in zip(found, truth, strict=True))


def training_step(name: str, precision: str, deterministic: bool, device: torch.device, sizes: Sizes) -> Row:
    """The loss of a batch before and after one step of Adam, and the milliseconds of a further step."""
    model = make_model(name, sizes).to(device).train()
    batch = make_batch(sizes.utterances[0], sizes).to(device)
    targets = (torch.arange(len(batch) * 6, device=device).view(-1, 6) % 3 == 0).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**10, enabled=precision == "fp16")

    def step() -> float:
        torch.manual_seed(0)  # the same dropout in every step, so that losses compare
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32"):
            loss = F.binary_cross_entropy_with_logits(model(batch), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.item()

    with deterministic_algorithms(deterministic):
        before = step()
        bad = sum(int((~p.grad.isfinite()).any()) for p in model.parameters() if p.grad is not None)
        after = step()
        row: Row = {"loss before": before, "loss after": after, "step ms": medians_ms({"": step}, device, 3)[""]}
    if bad or not (0 < after < float("inf")):
        row["failure"] = f"{bad} weights have gradients that are not finite, the loss is {after}"
    return row


def agreement(name: str, device: torch.device, sizes: Sizes) -> Row:
    """Logits, and the sites that MESM selects, against those of the CPU, in fp32."""
    batch = make_batch(sizes.utterances[0], sizes)
    model = make_model(name, sizes).eval()
    found: list[tuple[Tensor, list[Tensor]]] = []
    for place in (torch.device("cpu"), device):
        trace = Trace()
        with torch.inference_mode(), exact_products():
            logits = model.to(place)(batch.to(place), trace).cpu()
        stages = model.stages.values() if isinstance(model, MESM) else ()
        found.append((logits, [_kept(trace, stage.selection) for stage in stages]))
    (truth, sites), (logits, others) = found
    error = float((logits - truth).abs().max() / truth.abs().max())
    same = [float(torch.isin(one, other).float().mean()) for one, other in zip(sites, others, strict=True)]
    row: Row = {"error of logits": error, "share of the same sites": min(same, default=None)}
    if name == "fe2e" and error > 1e-3:  # sites of nearly the same weight may change places with rounding
        row["failure"] = f"error {error:.1e} is more than 1e-03"
    return row


def _kept(trace: Trace, selection: nn.Module) -> Tensor:
    """All sites that a stage kept, on the CPU, numbered through the groups of maps."""
    numbers, passed = [], 0
    for selected in trace.of(selection):
        numbers.append(selected.kept.positions.cpu() + passed)
        passed += selected.kept.full_sites
    return torch.cat(numbers)


def timings(utterances: int, precision: str, device: torch.device, sizes: Sizes) -> list[Row]:
    """FE2E and MESM at each p: milliseconds forward and of a step, and memory, also as shares of FE2E's."""
    batch = make_batch(utterances, sizes).to(device)
    variants = {"FE2E": ("fe2e", 1.0)} | {f"MESM p = {p}": ("mesm", p) for p in TOP_P}
    models = {label: make_model(name, sizes, p).to(device) for label, (name, p) in variants.items()}
    autocast = partial(torch.autocast, device.type, PRECISIONS[precision], enabled=precision != "fp32")

    def forward(model: nn.Module) -> None:
        with torch.inference_mode(), autocast():
            model(batch)

    def step(model: nn.Module) -> None:
        with autocast():
            loss = model(batch).float().sum()
        loss.backward()
        model.zero_grad(set_to_none=True)

    rows: list[Row] = [{"model": label} for label in variants]
    for kind, work in (("forward", forward), ("step", step)):
        works = {label: partial(work, model.train(kind == "step")) for label, model in models.items()}
        times = medians_ms(works, device, sizes.rounds)
        memory = {label: memory_mb(each, device) for label, each in works.items()}
        for row in rows:
            spent, first = memory[row["model"]], memory["FE2E"]
            row[f"{kind} ms"] = times[row["model"]]
            row[f"{kind} of FE2E"] = times[row["model"]] / times["FE2E"]
            row[f"{kind} memory MB"] = spent
            row[f"{kind} memory of FE2E"] = None if spent is None or first is None else spent / first
    return rows


def measure(device: torch.device, sizes: Sizes, clock: Clock) -> dict[str, list[Row]]:
    """All tables by their headings; the fast ones first, so that lack of time costs the least."""
    first = sizes.utterances[0]
    tables: dict[str, list[Row]] = {
        f"Convolution against naive, {sizes.maps} maps, density {DENSITY:g}, forward and backward pass": [
            attempt(
                clock,
                {"layer": " x ".join(map(str, layer)), "precision": precision},
                partial(convolution, layer, precision, device, sizes),
            )
            for layer in sizes.layers
            for precision in PRECISIONS
        ],
        f"Against the CPU, {first} utterances, fp32": [
            attempt(clock, {"model": name}, partial(agreement, name, device, sizes)) for name in ("fe2e", "mesm")
        ],
        f"A training step, {first} utterances, p = 0.5": [
            attempt(
                clock,
                {"model": name, "precision": precision, "deterministic": deterministic},
                partial(training_step, name, precision, deterministic, device, sizes),
            )
            for name in ("fe2e", "mesm")
            for precision in PRECISIONS
            for deterministic in (False, True)
        ],
    }
    for utterances in sizes.utterances:
        for precision in ("fp32", "bf16"):
            rows: list[Row] = []

            def measured(into: list[Row], utterances: int, precision: str) -> Row:
                into += timings(utterances, precision, device, sizes)
                return {}

            outcome = attempt(clock, {"model": "all"}, partial(measured, rows, utterances, precision))
            heading = f"FE2E against MESM, {utterances} utterances, {precision}"
            tables[heading] = rows or [outcome]
    tables["Tests"] = [attempt(clock, {"tests": " ".join(sizes.tests)}, partial(run_tests, clock, sizes))]
    return tables


def to_markdown(rows: Sequence[Row]) -> str:
    """A table; numbers of three digits."""
    heads = list(dict.fromkeys(name for row in rows for name in row))
    lines = [heads, ["---"] * len(heads), *([_shown(row.get(name)) for name in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value).replace("|", "/")


def describe(device: torch.device) -> dict[str, Any]:
    """Device and versions."""
    about = asdict(describe_machine([device]))
    try:
        about["triton"] = version("triton")
    except PackageNotFoundError:
        about["triton"] = None
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        about["capability"] = f"{properties.major}.{properties.minor}"
        about["memory_gb"] = round(properties.total_memory / 2**30, 1)
        about["cuda"], about["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()
    return about


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; returns the exit status."""
    parser = argparse.ArgumentParser(description="All that only a GPU can show.")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ...; cpu with --tiny")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, to test this program")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the tables")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("torch finds no CUDA device here: nothing is measured")
        return 0
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    began_s = time.monotonic()
    tables = measure(device, TINY if options.tiny else Sizes(), Clock(BUDGET_S))
    about = describe(device)
    rows = [row for table in tables.values() for row in table]
    failures, skipped = sum("failure" in row for row in rows), sum("skipped" in row for row in rows)
    lines = [
        "# What only a GPU can show",
        ", ".join(f"{name} {value}" for name, value in about.items() if value is not None),
        f"{time.monotonic() - began_s:.0f} s, {len(rows)} rows, {failures} failed, {skipped} skipped for lack of time. "
        f"Medians of {TINY.rounds if options.tiny else Sizes().rounds} rounds in turns; made by `benchmarks/gpu.py`.",
        *(f"## {heading}\n\n{to_markdown(table)}" for heading, table in tables.items()),
    ]
    text = "\n\n".join(lines) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    write_text(options.out / "gpu.json", json.dumps({"environment": about, "tables": tables}, indent=2) + "\n")
    write_text(options.out / "gpu.md", text)
    print(text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
