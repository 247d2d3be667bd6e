"""The linear layer through oneDNN against PyTorch's."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mme2e.ops import wide_linear
from mme2e.ops.wide_linear import WideLinear, flop_formulas


@pytest.mark.parametrize("shape", [(0, 4, 3), (1, 1, 1), (5, 300, 7), (47, 513, 65)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_pytorch(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    count, before, after = shape
    layer = WideLinear(before, after).to(dtype)
    rows = torch.randn(count, before, dtype=dtype, requires_grad=True)
    same = rows.detach().clone().requires_grad_()
    upstream = torch.randn(count, after, dtype=dtype)
    layer(rows).backward(upstream)
    mine = [rows.grad, layer.weight.grad, layer.bias.grad]
    layer.zero_grad()
    truth = nn.functional.linear(same, layer.weight, layer.bias)
    truth.backward(upstream)
    torch.testing.assert_close(layer(rows), truth, rtol=1e-4, atol=1e-4)
    for gradient, wanted in zip(mine, (same.grad, layer.weight.grad, layer.bias.grad), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-4)


def test_only_the_gradients_that_are_wanted() -> None:
    layer = WideLinear(4, 3)
    layer.weight.requires_grad_(False)
    rows = torch.randn(2, 4)
    layer(rows).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [2, 2, 2]


def test_without_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, rows = WideLinear(4, 3), torch.randn(2, 4)
    truth = layer(rows)
    monkeypatch.setattr(wide_linear, "_LINEAR", None)
    torch.testing.assert_close(layer(rows), truth)
    assert flop_formulas() == {}


def test_in_mixed_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert WideLinear(4, 3)(torch.randn(2, 4)).dtype == torch.bfloat16


def test_its_operations_are_counted() -> None:
    counter = FlopCounterMode(display=False, custom_mapping=flop_formulas())
    with torch.no_grad(), counter:
        WideLinear(40, 3)(torch.randn(5, 40))
    assert counter.get_total_flops() == 2 * 5 * 40 * 3
