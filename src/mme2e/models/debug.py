"""Debugging: the first part of a network whose result holds NaN is named."""

from typing import Any

import torch
from torch import Tensor, nn

from mme2e.errors import UserError
from mme2e.models.cross_modal_attention import CrossModalAttention
from mme2e.models.fe2e import SequenceBranch, TextBranch
from mme2e.models.feature_branch import FeatureBranch, Standardise
from mme2e.models.selection import Selection
from mme2e.models.towers import LowLevel, Tower
from mme2e.ops.sparse_conv2d import SparseMaps


def refuse_nan(model: nn.Module) -> None:
    """Makes every part of a network look for NaN in what it returns; slower, and a device is waited for.

    Args:
        model: What `build_model` makes.

    Raises:
        UserError: In a later forward pass: a part's result holds NaN; it is the first one, and its name is said.
    """
    # An attention that is NaN selects everything, so that its features alone would not show it.
    selecting = (CrossModalAttention, Selection)
    watched = (TextBranch, LowLevel, *selecting, Tower, SequenceBranch, Standardise, FeatureBranch)
    stages = {id(stage) for module in model.modules() if isinstance(module, Tower) for stage in module.stages}
    for name, module in model.named_modules():
        if isinstance(module, watched) or id(module) in stages:
            module.register_forward_hook(_Watch(name))


class _Watch:
    """A forward hook that knows the name of its module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, module: nn.Module, given: Any, result: Tensor | SparseMaps) -> None:
        features = result.features if isinstance(result, SparseMaps) else result
        bad = int(torch.isnan(features).sum())
        if bad:
            raise UserError(f"{self._name}: {bad} of {features.numel()} numbers are NaN, the first of the network")
