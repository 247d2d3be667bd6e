"""What the stages of MESM selected in one forward pass: a record that the caller hands in and that the pass fills.

The model itself keeps nothing, so that several threads can use one model, each with a trace of its own.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from mme2e.ops.sparse_conv2d import Sites


@dataclass(frozen=True, kw_only=True, eq=False)
class Selected:
    """What a stage selected in one group of maps.

    Attributes:
        candidates: The sites that it could choose from.
        attention: (candidates,) weight of each, adding up to 1 over the candidates of a map; without gradient.
        kept: The sites that went on into its convolutions; some of the candidates.
        top_p: Share of the attention that it kept.
    """

    candidates: Sites
    attention: Tensor
    kept: Sites
    top_p: float


class Trace:
    """Filled by `model(batch, trace=trace)`; for one forward pass."""

    def __init__(self) -> None:
        self._selected: dict[nn.Module, list[Selected]] = {}

    def add(self, stage: nn.Module, selected: Selected) -> None:
        """Notes what a stage selected in its next group of maps."""
        self._selected.setdefault(stage, []).append(selected)

    def of(self, stage: nn.Module) -> list[Selected]:
        """What a stage selected: all maps of a modality, group after group; empty when it was given no map."""
        return self._selected.get(stage, [])
