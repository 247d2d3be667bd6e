"""What each fast path is worth: FE2E's and MESM's training step at full width without it, as a share of with all.

    python benchmarks/fast_paths.py [ROUNDS]

The batch is that of benchmarks/mesm.py. A fast path is switched off by patching, here only, what chooses it; the plain
PyTorch that runs without it is what the project would have if the path were deleted. In every round all variants take
turns in a new order, and a ratio is the median over the rounds of "without it" divided by "with all" of that round.
Beside the wall clock stands the processor time, which other work on the machine disturbs less. Memory is what a step
needs at its peak above what the process held before (Linux). All of it on the processor's own instructions and on AVX2
alone (`instruction_sets.py`). Writes results/kernels.json and results/kernels.md.

The rule: a path stays when a step without it takes a tenth more time or memory, in one of the models.
"""

import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from fe2e import processor
from instruction_sets import instruction_sets, keep_to_instruction_set, measure_in_process
from mesm import make_batch, make_model, step
from torch import nn

from mme2e.environment import environment
from mme2e.models import normalised_convolution, sparse_tower, towers
from mme2e.ops import compiler
from mme2e.ops.sparse_conv2d import conv
from mme2e.training.allocation import keep_freed_memory

RESULTS = Path(__file__).parent / "results"
MODELS = {
    "FE2E": ("fe2e", 1.0, "frozen"),
    "MESM p = 0.8": ("mesm", 0.8, "importance"),
    "MESM p = 0.5": ("mesm", 0.5, "importance"),
}
WORTH = 1.1


def never(*_: object, **__: object) -> bool:
    return False


def without_library(*_: object) -> None:
    return None


Patches = tuple[tuple[Any, str, Any], ...]
_NO_COMPILER: Patches = ((compiler, "_library_or_none", without_library),)
WITHOUT: Mapping[str, Patches] = {
    "first_layer": ((towers, "can_fuse", never),),
    "batch_norm": ((normalised_convolution, "can_normalise", never), (sparse_tower, "can_normalise", never)),
    "compiled convolution": ((conv, "can_compile", never),),
    "any C compiler": _NO_COMPILER,
    "any C compiler or gather": (*_NO_COMPILER, (conv, "gather_cost", lambda *_: 2.0)),
}
_DENSE = ("first_layer", "batch_norm", "any C compiler")
USED: Mapping[str, tuple[str, ...]] = {"FE2E": _DENSE, "MESM p = 0.8": tuple(WITHOUT), "MESM p = 0.5": tuple(WITHOUT)}
"""What is switched off in each model."""


@contextmanager
def without(name: str) -> Iterator[None]:
    """A fast path switched off; none for a name that is not in `WITHOUT`."""
    with ExitStack() as patches:
        for module, attribute, value in WITHOUT.get(name, ()):
            patches.enter_context(patch.object(module, attribute, value))
        yield


def variants(model: str) -> list[str]:
    return ["with all", *USED[model]]


def measure(models: Mapping[str, nn.Module], rounds: int, cost: Callable[[nn.Module], dict[str, float]]) -> dict:
    """Model, variant and kind of cost: the values of each round; variants take turns in a new order each."""
    order = random.Random(0)  # noqa: S311
    costs: dict[str, dict[str, dict[str, list[float]]]] = {}
    for turn in range(rounds + 1):
        for name, model in models.items():
            names = variants(name)
            for variant in order.sample(names, len(names)):
                with without(variant):
                    values = cost(model)
                if turn:  # the first one warms up
                    kinds = costs.setdefault(name, {}).setdefault(variant, {})
                    for kind, value in values.items():
                        kinds.setdefault(kind, []).append(value)
    return costs


def seconds(model: nn.Module) -> dict[str, float]:
    wall, busy = time.perf_counter(), time.process_time()
    step(model, make_batch())
    return {"wall s": time.perf_counter() - wall, "processor s": time.process_time() - busy}


def memory(model: nn.Module) -> dict[str, float]:
    def kilobytes(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(field)).split()[1])

    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = kilobytes("VmRSS")
    step(model, make_batch())
    return {"memory MB": (kilobytes("VmHWM") - before) / 1024}


def work(kind: str, rounds: int) -> None:
    """What a process of one instruction set measures; prints it as JSON."""
    keep_to_instruction_set()
    torch.set_num_threads(2)
    if kind == "time":
        keep_freed_memory()  # as `mme2e train` does
    models = {name: make_model(*settings) for name, settings in MODELS.items()}
    print(json.dumps(measure(models, rounds, seconds if kind == "time" else memory)))


def measured(instruction_set: str, kind: str, rounds: int) -> dict:
    variables = {"OMP_WAIT_POLICY": "passive"}
    if kind == "memory":
        # Whatever is freed goes back to the system at once, so that nothing of one step is left for the next.
        variables |= {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    return measure_in_process(instruction_set, __file__, "--work", kind, str(rounds), **variables)


def ratio(costs: Mapping[str, Mapping[str, list[float]]], variant: str, kind: str) -> float:
    """Median over the rounds of a variant's cost divided by that of the same round with all fast paths."""
    pairs = zip(costs[variant][kind], costs["with all"][kind], strict=True)
    return statistics.median(one / all_of_them for one, all_of_them in pairs)


def main() -> None:
    """Measures, prints and writes."""
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    sets = instruction_sets()
    costs: dict[str, dict] = {}
    for chosen in sets:
        costs[chosen] = measured(chosen, "memory", 1)
        for name, each in measured(chosen, "time", rounds).items():
            for variant, kinds in each.items():
                costs[chosen][name][variant] |= kinds
    header = " | ".join(f"{chosen}: wall | processor | memory" for chosen in sets)
    lines = [f"| without | model | {header} |", "|---|---|" + "---|---|---|" * len(sets)]
    kinds = ("wall s", "processor s", "memory MB")
    for variant in ("with all", *WITHOUT):
        for name in MODELS:
            if variant not in variants(name):
                continue
            cells = []
            for chosen in sets:
                each = costs[chosen][name]
                if variant == "with all":
                    wall, busy, peak = (statistics.median(each[variant][kind]) for kind in kinds)
                    cells += [f"{wall:.3f} s", f"{busy:.3f} s", f"{peak:.0f} MB"]
                else:
                    cells += [f"{ratio(each, variant, kind):.2f}" for kind in kinds]
            lines.append(f"| {variant} | {name} | {' | '.join(cells)} |")
    print("\n".join(lines))
    where = environment()
    about = (
        f"A training step without each fast path, as a multiple of one with all; medians of {rounds} rounds. A\n"
        f"path that is worth less than {WORTH} is deleted. 4 utterances, 32 crops, 47 chunks, full width, float32."
        f"\n{processor()}, 2 threads; torch {torch.__version__}, commit {where['git_commit']}."
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "kernels.md").write_text("# What each fast path is worth\n\n" + "\n".join(lines) + f"\n\n{about}\n")
    (RESULTS / "kernels.json").write_text(json.dumps({"costs": costs, "environment": where}, indent=1) + "\n")


if __name__ == "__main__":
    main()
