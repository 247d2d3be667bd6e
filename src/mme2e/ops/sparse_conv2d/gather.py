"""The submanifold convolution in PyTorch's own operations: runs where there is neither a C compiler nor Triton."""

import torch
from torch import Tensor

from mme2e.ops.sparse_conv2d.sparse_maps import Pairs


def convolve(features: Tensor, pairs: Pairs, weight: Tensor, *, mirrored: bool = False) -> Tensor:
    """For each offset, gathers the neighbours, multiplies them with the offset's matrix and adds them to the sites.

    Args:
        features: (sites, in_channels).
        pairs: `Sites.pairs`.
        weight: (9, out_channels, in_channels), any strides.
        mirrored: Whether offset k takes the matrix of offset 8 - k.

    Returns:
        (sites, out_channels).
    """
    output = features.new_zeros(len(features), weight.shape[1])
    for matrix, (sites, neighbours) in zip(weight.flip(0) if mirrored else weight, pairs, strict=True):
        output.index_add_(0, sites, features.index_select(0, neighbours) @ matrix.t())
    return output


def weight_gradient(gradient: Tensor, features: Tensor, pairs: Pairs) -> Tensor:
    """Gradient of the weights (9, out_channels, in_channels).

    Args:
        gradient: (sites, out_channels) of the convolution's result.
        features: (sites, in_channels) that it was computed from.
        pairs: `Sites.pairs`.
    """
    products = [gradient.index_select(0, sites).t() @ features.index_select(0, there) for sites, there in pairs]
    return torch.stack(products)
