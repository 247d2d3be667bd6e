"""A convolution, its batch normalisation and what follows, computed as one where that saves time."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mme2e.data.batch import Batch
from mme2e.ops.batch_norm import batch_norm_relu, can_normalise, is_plain, scale_and_shift


def convolve_normalise_relu(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d, *, pool: bool = False) -> Tensor:
    """`relu(norm(conv(x)))`, see `convolve_and_normalise`.

    With `pool`, a 2x2 maximum halves the result. It is taken before the ReLU, which gives the same numbers and leaves
    the ReLU a quarter of the work.

    Args:
        x: (maps, in_channels, height, width).
        conv: With a bias.
        norm: Of the convolution's channels.
        pool: Whether to halve.

    Returns:
        (maps, out_channels, height, width), or half as high and wide.
    """
    if norm.training and can_normalise(x, norm):
        return batch_norm_relu(
            F.conv2d(x, conv.weight, None, conv.stride, conv.padding), norm, pool=pool, bias=conv.bias
        )
    x = convolve_and_normalise(x, conv, norm)
    return F.relu_(F.max_pool2d(x, 2) if pool else x)


def convolve_and_normalise(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """`norm(conv(x))`.

    In training the convolution's bias is left out: the normalisation subtracts it again together with the mean, so that
    its gradient is exactly zero; it only moves the running mean. In evaluation without gradients the normalisation goes
    into the weights, unless there are more weights than results.

    Args:
        x: (maps, in_channels, height, width).
        conv: With a bias.
        norm: Of the convolution's channels.

    Returns:
        (maps, out_channels, height, width).
    """
    if not is_plain(norm) or conv.bias is None:
        return norm(conv(x))
    if norm.training:
        return _without_bias(x, conv, norm)
    if torch.is_grad_enabled() or conv.in_channels * 9 > len(x) * x.shape[2] * x.shape[3]:
        return norm(conv(x))
    scale, shift = scale_and_shift(norm)
    kernel = conv.weight * scale.view(-1, 1, 1, 1)
    return F.conv2d(x, kernel, conv.bias * scale + shift, conv.stride, conv.padding)


def _without_bias(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    bias, mean, momentum = conv.bias, norm.running_mean, norm.momentum
    assert bias is not None
    assert mean is not None
    assert momentum is not None
    y = F.conv2d(x, conv.weight, None, conv.stride, conv.padding)
    shift = norm.bias + 0 * bias  # a gradient of zero, not none: data-parallel training waits for one
    moved = mean.clone()  # autograd keeps it, so that it must not change afterwards
    y = F.batch_norm(y, moved, norm.running_var, norm.weight, shift, True, momentum, norm.eps)
    with torch.no_grad():
        mean.copy_(moved + momentum * bias)
        norm.num_batches_tracked.add_(1)  # type: ignore[union-attr]
    return y


def settle_normalisations(model: nn.Module, batch: Batch) -> None:
    """Gives all normalisations the averages of a batch.

    With the averages of a new network the towers let next to nothing through in evaluation: no state to time or
    compare anything in.

    Args:
        model: Takes a `Batch`. It is in training afterwards.
        batch: What the averages are of.
    """
    norms = [(module, module.momentum) for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm, _ in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(batch)
    for norm, momentum in norms:
        norm.momentum = momentum
