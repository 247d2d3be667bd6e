"""Which sites of each map go on: the fewest that hold a share p of the text's attention."""

from typing import Any

import torch
from torch import Tensor, nn

from mme2e.config.model import AttentionMode
from mme2e.models.cross_modal_attention import CrossModalAttention
from mme2e.models.importance import learn_importance
from mme2e.models.trace import Selected, Trace
from mme2e.ops.sparse_conv2d import SparseMaps
from mme2e.ops.top_p import check_top_p, top_p_mask

_FIRST_STRENGTH = 0.1
_STATE_KEY = "_top_p"


class Selection(nn.Module):
    """Attention, top-p, and the way by which the attention learns.

    Selecting has no gradient. In the mode `importance` features stay as they are, and the attention of the sites that
    are kept is drawn to where the loss depends on them, see `learn_importance`. In the mode `gate` the features of a
    kept site are multiplied by its gate

        1 + strength * (attention weight * number of sites that shared the attention - 1),

    which is 1 on average; the strength is learnt and begins small, so that the text cannot at once write itself into
    the features of faces and audio. `straight_through` gives the attention the gradient of the first such gate and
    leaves the features as they are. All three start by looking where features are strong. `frozen` gives the attention
    no gradient and leaves it at its random start (the reference).

    Args:
        channels: Channels of the maps.
        text_dim: Width of the text vector.
        top_p: Share of the attention to keep, in (0, 1].
        mode: How the attention learns.
        moving: Whether `top_p` is moved in training and so belongs to the state of the module, as `_top_p`, a float64
            tensor on the CPU.

    Raises:
        UserError: `top_p` is not in (0, 1].
    """

    def __init__(
        self,
        channels: int,
        text_dim: int,
        *,
        top_p: float,
        mode: AttentionMode,
        moving: bool = False,
    ) -> None:
        super().__init__()
        check_top_p(top_p)
        self.mode = mode
        self.attention = CrossModalAttention(channels, text_dim).requires_grad_(mode != "frozen")
        if mode != "frozen":
            self.attention.look_at_strong_features()
        self.strength = nn.Parameter(torch.tensor(_FIRST_STRENGTH)) if mode == "gate" else None
        # A plain number: a tensor would have to be read back from the device at every stage.
        self._top_p, self._moving = float(top_p), moving

    @property
    def top_p(self) -> float:
        """Share of the attention to keep, in (0, 1]."""
        return self._top_p

    @top_p.setter
    def top_p(self, p: float) -> None:
        check_top_p(p)
        self._top_p = float(p)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._moving:
            destination[prefix + _STATE_KEY] = torch.tensor(self.top_p, dtype=torch.float64)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        key = prefix + _STATE_KEY
        if self._moving and key in state_dict:
            self.top_p = float(state_dict.pop(key))
        elif self._moving and strict:
            missing_keys.append(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, maps: SparseMaps, text: Tensor, trace: Trace | None = None) -> SparseMaps:
        """The sites that are kept, gated in the mode `gate`.

        Args:
            maps: Features (sites, channels).
            text: (frames, text_dim).
            trace: What is selected is added to it.
        """
        learning = torch.is_grad_enabled() and self.mode != "frozen"
        with torch.set_grad_enabled(learning and self.mode != "importance"):
            weights = self.attention(maps, text)
        offsets = maps.sites.frame_offsets
        keep = top_p_mask(weights, offsets, self.top_p).nonzero().squeeze(1)
        kept = maps.take(keep, self._gates(weights, keep, maps) if learning or self.mode == "gate" else None)
        if trace is not None:
            selected = Selected(candidates=maps.sites, attention=weights.detach(), kept=kept.sites, top_p=self.top_p)
            trace.add(self, selected)
        if learning and self.mode == "importance":
            # The attention learns of the features, and they learn nothing of it. Only kept sites teach: their scores
            # are computed again, so that the backward pass goes through no others.
            scores = self.attention.scores(kept.with_features(kept.features.detach()), text)
            return kept.with_features(learn_importance(kept.features, scores, kept.sites))
        return kept

    def _gates(self, weights: Tensor, keep: Tensor, maps: SparseMaps) -> Tensor | None:
        """(kept,) factors on the features, through which the attention learns; None where it learns otherwise."""
        if self.mode not in ("gate", "straight_through"):
            return None
        shared_by = maps.sites.frame_offsets.diff().index_select(0, maps.sites.frame)
        gates = (weights * shared_by).index_select(0, keep).to(maps.features.dtype)
        if self.strength is None:  # straight through
            return 1 + _FIRST_STRENGTH * (gates - gates.detach())
        return 1 + self.strength * (gates - 1)
