"""Which sites of each map go on: the fewest that hold a share p of the text's attention."""

import torch
from torch import Tensor, nn

from mme2e.config.model import AttentionMode
from mme2e.models.cross_modal_attention import CrossModalAttention
from mme2e.models.importance import learn_importance
from mme2e.ops.sparse_conv2d import SparseMaps
from mme2e.ops.top_p import check_top_p, top_p_mask

_FIRST_STRENGTH = 0.1


class Selection(nn.Module):
    """Attention, top-p, and the way by which the attention learns.

    Selecting has no gradient. In the mode `importance` features stay as they are, and the attention of the sites that
    are kept is drawn to where the loss depends on them, see `learn_importance`. In the mode `gate` the features of a
    kept site are multiplied by its gate

        1 + strength * (attention weight * number of sites that shared the attention - 1),

    which is 1 on average; the strength is learnt and begins small, so that the words can not at once write themselves
    into the features of face and sound. `straight_through` gives the attention the gradient of the first such gate and
    leaves the features as they are. All three start by looking where features are strong. `frozen` gives the attention
    no gradient and leaves it at its random start (the reference).

    Args:
        channels: Channels of the maps.
        text_dim: Width of the text vector.
        top_p: Share of the attention to keep, in (0, 1].
        mode: How the attention learns.
        moving: Whether `top_p` is moved in training and so belongs to the state of the module.

    Raises:
        UserError: `top_p` is not in (0, 1].
    """

    _top_p: Tensor

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
        self.register_buffer("_top_p", torch.tensor(top_p, dtype=torch.float64), persistent=moving)

    @property
    def top_p(self) -> float:
        """Share of the attention to keep, in (0, 1]."""
        return float(self._top_p)

    @top_p.setter
    def top_p(self, p: float) -> None:
        check_top_p(p)
        self._top_p.fill_(p)

    def forward(self, maps: SparseMaps, text: Tensor) -> SparseMaps:
        """The sites that are kept, gated in the mode `gate`.

        Args:
            maps: Features (sites, channels).
            text: (frames, text_dim).
        """
        learning = torch.is_grad_enabled() and self.mode != "frozen"
        with torch.set_grad_enabled(learning and self.mode != "importance"):
            weights = self.attention(maps, text)
        offsets = maps.sites.frame_offsets
        keep = top_p_mask(weights, offsets, self.top_p).nonzero().squeeze(1)
        if self.mode != "gate" and not learning:
            return maps.take(keep)
        if self.mode == "importance":
            kept = maps.take(keep)
            # The attention learns of the features, and they learn nothing of it. Only kept sites teach: their scores
            # are computed again, so that the way back goes through no others.
            scores = self.attention.scores(kept.with_features(kept.features.detach()), text)
            return kept.with_features(learn_importance(kept.features, scores, kept.sites))
        shared_by = offsets.diff().index_select(0, maps.sites.frame)
        gates = (weights * shared_by).index_select(0, keep).to(maps.features.dtype)
        if self.mode == "straight_through":
            gates = 1 + _FIRST_STRENGTH * (gates - gates.detach())
        else:
            gates = 1 + self.strength * (gates - 1)
        return maps.take(keep, gates)
