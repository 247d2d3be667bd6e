"""Scores of additive attention against their formula."""

import pytest
import torch
from torch import Tensor

from mme2e.ops import additive_attention
from mme2e.ops.additive_attention import additive_scores


def plainly(features: Tensor, asked: Tensor, frame: Tensor, matrix: Tensor, weight: Tensor) -> Tensor:
    return torch.tanh(features @ matrix.t() + asked[frame]) @ weight


def make_inputs(sites: int, channels: int, hidden: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sites)
    shapes = (sites, channels), (3, hidden), (hidden, channels), (hidden,)
    features, asked, matrix, weight = (
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes
    )
    frame = torch.randint(0, 3, (sites,), generator=generator).sort().values
    return [features, asked, frame, matrix, weight]


@pytest.mark.parametrize("sites", [0, 1, 4, 5, 13])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_formula_over_borders_of_stretches(
    sites: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(additive_attention, "_STRETCH", 4)
    inputs = make_inputs(sites, 6, 5, dtype)
    scores, truth = additive_scores(*inputs), plainly(*inputs)
    torch.testing.assert_close(scores, truth, rtol=1e-4, atol=1e-5)
    learnt = [each for each in inputs if each.requires_grad]
    upstream = torch.randn(sites, dtype=dtype)
    mine, wanted = (torch.autograd.grad(each, learnt, upstream) for each in (scores, truth))
    for gradient, other in zip(mine, wanted, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-4)


def test_gradients_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additive_attention, "_STRETCH", 4)
    assert torch.autograd.gradcheck(additive_scores, make_inputs(7, 3, 2))


def test_features_that_want_no_gradient() -> None:
    inputs = make_inputs(5, 3, 2)
    inputs[0] = inputs[0].detach()
    additive_scores(*inputs).sum().backward()
    assert inputs[0].grad is None
    assert inputs[3].grad.abs().sum() > 0


def test_in_mixed_precision() -> None:
    inputs = make_inputs(50, 6, 5, torch.float32)
    inputs[0] = inputs[0].detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        scores = additive_scores(*inputs)
    scores.sum().backward()
    assert scores.dtype == inputs[0].grad.dtype == torch.bfloat16
    assert inputs[3].grad.dtype == torch.float32
    inputs[0] = inputs[0].float()
    torch.testing.assert_close(scores.float(), plainly(*inputs), rtol=0.1, atol=0.1)
