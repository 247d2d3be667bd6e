"""One submanifold 3x3 convolution, compiled and by gathering, against dense.

    python benchmarks/sparse_conv2d.py [ROUNDS]

The layers of the full-width model over 47 mel chunks, with clustered masks of several densities; forward, and forward
with both gradients; on the processor's own instructions and on AVX2 alone (`instruction_sets.py`). The paths take turns
in every round and medians are compared. "auto" must take the fastest one wherever they differ by much: `_KERNEL_COST`
and `_TRAFFIC_COST` in conv.py are fitted with this table. Writes results/sparse_conv2d.json and
results/sparse_conv2d.md.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from fe2e import processor
from instruction_sets import instruction_sets, keep_to_instruction_set, measure_in_process
from torch import Tensor

from mme2e.environment import environment
from mme2e.ops.sparse_conv2d import SparseMaps, compiled_cost, gather_cost, submanifold_conv2d

RESULTS = Path(__file__).parent / "results"
MAPS = 47
LAYERS = (
    (64, 16, 64, 128),
    (64, 16, 128, 128),
    (32, 8, 128, 256),
    (32, 8, 256, 256),
    (16, 4, 256, 512),
    (16, 4, 512, 512),
)
DENSITIES = (0.9, 0.75, 0.6, 0.45, 0.3, 0.15)
PATHS = ("compiled", "gather", "dense")


def clustered_mask(height: int, width: int, density: float) -> Tensor:
    """The sites with the highest values of smoothed noise, as many in each map."""
    generator = torch.Generator().manual_seed(0)
    noise = F.avg_pool2d(torch.rand(MAPS, 1, height + 2, width + 2, generator=generator), 3, 1)[:, 0]
    threshold = noise.flatten(1).quantile(1 - density, dim=1)
    return noise >= threshold[:, None, None]


def medians(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:  # the first one warms up
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(layer: tuple[int, int, int, int], density: float, rounds: int) -> dict[str, float]:
    """Milliseconds of the paths at one layer and density, and what the density rule estimates."""
    height, width, before, after = layer
    torch.manual_seed(0)
    maps = SparseMaps.from_dense(torch.randn(MAPS, before, height, width), clustered_mask(height, width, density))
    weight = (torch.randn(9, after, before) * 0.05).requires_grad_()
    learning = maps.with_features(maps.features.clone().requires_grad_())
    gradient = torch.randn(len(maps.sites), after)

    def forward(path: str) -> None:
        with torch.no_grad():
            submanifold_conv2d(maps, weight, path=path)  # type: ignore[arg-type]

    def step(path: str) -> None:
        submanifold_conv2d(learning, weight, path=path).features.backward(gradient)  # type: ignore[arg-type]
        learning.features.grad = weight.grad = None

    works: dict[str, Callable[[], object]] = {}
    for path in PATHS:
        works[f"{path} forward"] = partial(forward, path)
        works[f"{path} step"] = partial(step, path)
    return {
        "density": maps.sites.density,
        "pairs": maps.sites.num_pairs / maps.sites.full_pairs,
        "compiled estimate": compiled_cost(maps),
        "gather estimate": gather_cost(maps, before, after),
        **medians(works, rounds),
    }


def main() -> None:
    """Measures, prints and writes."""
    if sys.argv[1:2] == ["--work"]:
        keep_to_instruction_set()
        rows = [{"layer": layer, **measure(layer, each, int(sys.argv[2]))} for layer in LAYERS for each in DENSITIES]
        print(json.dumps(rows))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    table: dict[str, list[dict[str, Any]]] = {
        chosen: measure_in_process(chosen, __file__, "--work", str(rounds)) for chosen in instruction_sets()
    }
    kinds = [(path, kind) for path in ("compiled", "gather") for kind in ("forward", "step")]
    columns = [f"{chosen}: {path} {kind}" for chosen in table for path, kind in kinds]
    lines = [
        "| layer | density | pairs | " + " | ".join(columns) + " | compiled estimate | gather estimate |",
        "|---|---|---|" + "---|" * (len(columns) + 2),
    ]
    for rows in zip(*table.values(), strict=True):
        height, width, before, after = rows[0]["layer"]
        shares = [f"{row[f'{path} {kind}'] / row[f'dense {kind}']:.2f}" for row in rows for path, kind in kinds]
        numbers = [rows[0][name] for name in ("density", "pairs", "compiled estimate", "gather estimate")]
        first, second, *estimates = (f"{number:.2f}" for number in numbers)
        lines.append(f"| {before} to {after}, {height}x{width} | {' | '.join([first, second, *shares, *estimates])} |")
    print("\n".join(lines))
    where = environment()
    about = (
        f"Medians of {rounds} rounds in turns, {MAPS} maps, float32; times as shares of the dense path's."
        f"\n{processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}, commit {where['git_commit']}."
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "sparse_conv2d.md").write_text("# Submanifold convolution\n\n" + "\n".join(lines) + f"\n\n{about}\n")
    (RESULTS / "sparse_conv2d.json").write_text(json.dumps({"layers": table, "environment": where}, indent=2) + "\n")


if __name__ == "__main__":
    main()
