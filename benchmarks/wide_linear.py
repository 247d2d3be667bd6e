"""The wide linear layers of the towers, through oneDNN and through PyTorch's own call: milliseconds, one table.

    python benchmarks/wide_linear.py [ROUNDS]

Rows are the maps of a batch of 4 utterances (32 face crops, 47 mel chunks), and some other numbers; both take turns.
Writes results/wide_linear.md.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from fe2e import processor
from torch import nn

from mme2e.ops.wide_linear import WideLinear
from mme2e.training.allocation import keep_freed_memory

SHAPES = ((47, 8192, 1024), (32, 4608, 1024), (4, 8192, 1024), (300, 8192, 1024))


def milliseconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Measures, prints and writes."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    keep_freed_memory()  # as `mme2e train` does
    lines = ["| rows, in, out | forward ms | PyTorch's | both ways ms | PyTorch's |", "|---|---|---|---|---|"]
    for count, before, after in SHAPES:
        layers = WideLinear(before, after), nn.Linear(before, after)
        rows, upstream = torch.rand(count, before, requires_grad=True), torch.rand(count, after)

        def forward(layer: nn.Module, rows: torch.Tensor = rows) -> None:
            with torch.no_grad():
                layer(rows)

        def step(layer: nn.Module, rows: torch.Tensor = rows, upstream: torch.Tensor = upstream) -> None:
            rows.grad = None
            layer.zero_grad()
            layer(rows).backward(upstream)

        cells = []
        for work in (forward, step):
            for layer in layers:
                work(layer)
            times = [[milliseconds(partial(work, layer)) for layer in layers] for _ in range(rounds)]
            cells += [f"{statistics.median(each):.1f}" for each in zip(*times, strict=True)]
        lines.append(f"| {count}, {before}, {after} | {' | '.join(cells)} |")
    print("\n".join(lines))
    about = f"Medians of {rounds} rounds; {processor()}, {torch.get_num_threads()} threads; torch {torch.__version__}."
    text = "# Wide linear layers\n\n" + "\n".join(lines) + f"\n\n{about}\n"
    (Path(__file__).parent / "results" / "wide_linear.md").write_text(text)


if __name__ == "__main__":
    main()
