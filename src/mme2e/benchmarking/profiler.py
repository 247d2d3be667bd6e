"""What a forward pass costs, part by part: operations that are executed, seconds, and how much of the maps is computed.

Operations are counted where PyTorch dispatches them, not by a formula: a matrix product or convolution counts when it
is launched, with the sizes it is launched with. One multiply-add is one operation. What is not a product (sums,
normalisation, softmax, gathering) is not counted, as is the custom, but it is timed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mme2e.data.batch import Batch, collate
from mme2e.data.dataset import UtteranceDataset
from mme2e.models import FE2E, MESM
from mme2e.models.sparse_tower import SubmanifoldConv2d
from mme2e.models.towers import LowLevel
from mme2e.models.trace import Selected, Trace
from mme2e.ops.first_layer import can_fuse
from mme2e.ops.sparse_conv2d import SparseMaps

REST = "rest"
"""What belongs to no part: fusion, moving maps between the parts."""

Parts = Mapping[str, Sequence[nn.Module]]


@dataclass(frozen=True, kw_only=True)
class StageSites:
    """How much of its maps a sparse stage computes.

    Attributes:
        density: Sites that are kept, as a share of all.
        products: Pairs of neighbouring kept sites as a share of all pairs: what its convolutions have left to multiply.
    """

    density: float
    products: float


@dataclass(frozen=True, kw_only=True)
class OperationCounts:
    """What one pass over some batches executes.

    Attributes:
        multiply_adds: In all.
        parts: Of each part, `REST` included.
        unseen: Those among them that PyTorch does not see, because a kernel of our own executes them.
        sites: Of each sparse stage.
    """

    multiply_adds: int
    parts: dict[str, int]
    unseen: int
    sites: dict[str, StageSites]


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Seconds of one pass over some batches.

    Attributes:
        seconds: In all.
        parts: Of each part, `REST` included.
        selecting: Of each sparse stage, the attention and top-p in it.
    """

    seconds: float
    parts: dict[str, float]
    selecting: dict[str, float]


def parts_of(model: FE2E) -> dict[str, tuple[nn.Module, ...]]:
    """The parts whose costs are measured apart; those of FE2E and MESM have the same names.

    They are "text encoder" and, for visual and acoustic, "visual low level", "visual 1" to "visual 3" (the stages),
    "visual linear" and "visual sequence".
    """
    parts: dict[str, tuple[nn.Module, ...]] = {}
    if model.text is not None:
        parts["text encoder"] = (model.text.encoder, model.text.head)
    for name, branch in (("visual", model.visual), ("acoustic", model.acoustic)):
        if branch is not None:
            tower = branch.tower
            parts[f"{name} low level"] = (tower.low_level,)  # type: ignore[assignment]
            for number, stage in enumerate(tower.stages, start=1):  # type: ignore[arg-type]
                parts[f"{name} {number}"] = (stage,)
            parts[f"{name} linear"] = (tower.hidden, tower.output)  # type: ignore[assignment]
            parts[f"{name} sequence"] = (branch.sequence, branch.head)
    return parts


def sample_batches(dataset: UtteranceDataset, utterances: int, batch_size: int) -> list[Batch]:
    """Some utterances, evenly spread over a split, in batches with mel chunks.

    Args:
        dataset: Of the split.
        utterances: How many; all of a smaller split.
        batch_size: Utterances in a batch; the last may have fewer.
    """
    chosen = np.linspace(0, len(dataset) - 1, min(utterances, len(dataset))).round().astype(int).tolist()
    groups = [chosen[start : start + batch_size] for start in range(0, len(chosen), batch_size)]
    return [collate([dataset[index] for index in group]).with_mel_chunks() for group in groups]


def count_operations(model: FE2E, batches: Sequence[Batch]) -> OperationCounts:
    """Counts one pass in evaluation; meanwhile hooks hang on the model, which nobody else may use.

    The counter does not see inside PyTorch's fused transformer layer and CPU attention: they are replaced by plain ones
    with the same products. Our own kernels it cannot see either: the products of the rule book, and of the first layer,
    are added.

    Args:
        model: In evaluation mode.
        batches: On its device, with `mel_chunks`.
    """
    stages = model.stages if isinstance(model, MESM) else {}
    sums = {name: _SiteSums() for name in stages}
    unseen = 0

    def read() -> int:
        return counter.get_total_flops() // 2 + unseen

    def add_unseen(conv: SubmanifoldConv2d, maps: SparseMaps) -> None:
        nonlocal unseen
        unseen += maps.sites.num_pairs * conv.weight[0].numel()

    def add_first_layer(low: LowLevel, inputs: tuple[Tensor], _: Tensor) -> None:
        nonlocal unseen
        maps = inputs[0]
        if can_fuse(low.conv.weight.new_empty(0, *maps.shape[1:]), low.conv, low.bn):
            unseen += len(maps) * maps.shape[2] * maps.shape[3] * low.conv.weight.numel()

    parts = parts_of(model)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), _plain_transformer(), _no_gradients(model), counter, ExitStack() as hooks:
        # Before those of the parts around them, so that a part's count has what was added.
        for low in (each for each in model.modules() if isinstance(each, LowLevel)):
            hooks.callback(low.register_forward_hook(add_first_layer).remove)
        for stage in stages.values():
            for conv in (stage.conv1, stage.conv2):
                hooks.enter_context(_when_nothing_is_seen(conv, read, add_unseen))
        counted = hooks.enter_context(metered(parts, read))
        for batch in batches:
            trace = Trace()
            model(batch, trace)
            for name, stage in stages.items():
                sums[name].add(trace.of(stage.selection))
        total = read()
    by_part = {name: int(value) for name, value in counted.items()}
    by_part[REST] = total - sum(by_part.values())
    sites = {name: each.shares() for name, each in sums.items()}
    return OperationCounts(multiply_adds=total, parts=by_part, unseen=unseen, sites=sites)


def time_forward(model: FE2E, batches: Sequence[Batch]) -> Timings:
    """Times one pass in evaluation; meanwhile hooks hang on the model, which nobody else may use.

    On CUDA the device is waited for around every part, which hides nothing of what a part takes but keeps host and
    device from working side by side: there the total is of another pass, in which nothing is waited for but the end.

    Args:
        model: In evaluation mode.
        batches: On its device, with `mel_chunks`.
    """
    device = next(model.parameters()).device

    def read() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    def run() -> float:
        start = read()
        for batch in batches:
            model(batch)
        return read() - start

    stages = model.stages if isinstance(model, MESM) else {}
    selections = {name: (stage.selection,) for name, stage in stages.items()}
    with torch.inference_mode():
        undisturbed = run() if device.type == "cuda" else None
        with metered(selections, read) as selecting, metered(parts_of(model), read) as parts:
            total = run()
    seconds = {**parts, REST: max(0.0, total - sum(parts.values()))}
    return Timings(seconds=total if undisturbed is None else undisturbed, parts=seconds, selecting=dict(selecting))


@contextmanager
def metered(parts: Parts, read: Callable[[], float]) -> Iterator[dict[str, float]]:
    """Adds up by how much a reading rises while the modules of each part run, however often they are called.

    Args:
        parts: Modules by name; those of one name do not contain each other.
        read: A clock or a counter.

    Yields:
        The sums by name, complete when the block ends.
    """
    sums = dict.fromkeys(parts, 0.0)
    started: dict[str, float] = {}

    def start(name: str) -> None:
        started[name] = read()

    def stop(name: str) -> None:
        sums[name] += read() - started[name]

    with ExitStack() as hooks:
        for name, modules in parts.items():
            for module in modules:
                before = module.register_forward_pre_hook(lambda *_, name=name: start(name))
                after = module.register_forward_hook(lambda *_, name=name: stop(name))
                hooks.callback(before.remove)
                hooks.callback(after.remove)
        yield sums


@dataclass
class _SiteSums:
    """Over what a stage kept in some passes."""

    sites: int = 0
    full_sites: int = 0
    products: int = 0
    full_products: int = 0

    def add(self, selected: Sequence[Selected]) -> None:
        for kept in (each.kept for each in selected):
            self.sites += len(kept)
            self.full_sites += kept.full_sites
            self.products += kept.num_pairs
            self.full_products += kept.full_pairs

    def shares(self) -> StageSites:
        return StageSites(
            density=self.sites / max(1, self.full_sites), products=self.products / max(1, self.full_products)
        )


@contextmanager
def _plain_transformer() -> Iterator[None]:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _no_gradients(model: nn.Module) -> Iterator[None]:
    """Weights without gradients: the operation counter fails on a weight that is a module's input (`no_text`)."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_()


@contextmanager
def _when_nothing_is_seen(
    conv: SubmanifoldConv2d, read: Callable[[], int], act: Callable[[SubmanifoldConv2d, SparseMaps], None]
) -> Iterator[None]:
    """Acts after each call of a convolution during which the count did not rise."""
    before = 0

    def start(*_: object) -> None:
        nonlocal before
        before = read()

    def stop(_: nn.Module, inputs: tuple[SparseMaps], __: SparseMaps) -> None:
        if read() == before:
            act(conv, inputs[0])

    handles = conv.register_forward_pre_hook(start), conv.register_forward_hook(stop)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
