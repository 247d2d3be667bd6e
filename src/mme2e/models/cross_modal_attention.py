"""Which sites of a map matter, conditioned on the text (Dai et al. 2021, section 4.2)."""

import torch
from torch import Tensor, nn

from mme2e.ops.sparse_conv2d import SparseMaps
from mme2e.ops.top_p import ragged_softmax

_FIRST_SCALE, _FIRST_SHARE_OF_TEXT = 2.0, 0.1
"""Of the score and of the text's weights in it, where attention starts at strong features."""


class CrossModalAttention(nn.Module):
    """Additive attention of an utterance's text over the sites of each of its frames or chunks.

    The score of a site with features x under the text vector y is w . tanh(Wx x + bx + Wy y) + b, with as many hidden
    units as x has channels; a softmax over the active sites of each frame makes weights of the scores.

    Args:
        channels: Channels of the maps.
        text_dim: Width of the text vector.
    """

    def __init__(self, channels: int, text_dim: int) -> None:
        super().__init__()
        self.features = nn.Linear(channels, channels)
        self.text = nn.Linear(text_dim, channels, bias=False)
        self.score = nn.Linear(channels, 1)

    def look_at_strong_features(self) -> None:
        """Starts from a score that is the mean of tanh over a site's features, times two, with a little of the text.

        Features come out of a ReLU, so that the sites where the network has found something score highest. A random
        start prefers strong or weak features by chance.
        """
        nn.init.eye_(self.features.weight)
        nn.init.zeros_(self.features.bias)
        nn.init.constant_(self.score.weight, _FIRST_SCALE / self.score.in_features)
        with torch.no_grad():
            self.text.weight.mul_(_FIRST_SHARE_OF_TEXT)

    def scores(self, maps: SparseMaps, text: Tensor) -> Tensor:
        """What `forward` takes the softmax of: (sites,), of the same arguments."""
        query = self.text(text).index_select(0, maps.sites.frame)
        return self.score(torch.tanh(self.features(maps.features) + query)).squeeze(1)

    def forward(self, maps: SparseMaps, text: Tensor) -> Tensor:
        """Attention weights.

        Args:
            maps: Features (sites, channels).
            text: (frames, text_dim), the text vector of each frame's utterance.

        Returns:
            (sites,), adding up to 1 over the sites of each frame.
        """
        return ragged_softmax(self.scores(maps, text), maps.sites.frame_offsets)
