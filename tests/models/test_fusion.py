import torch
from torch import nn

from mme2e.models.fusion import WeightedFusion


def make_fusion(*weights: float) -> WeightedFusion:
    fusion = WeightedFusion(len(weights))
    fusion.weight = nn.Parameter(torch.tensor([weights]))
    return fusion


def test_weighted_sum_when_nothing_is_missing() -> None:
    logits = torch.randn(4, 3, 5)
    fusion = make_fusion(0.7, -0.2, 0.4)
    wanted = nn.functional.linear(logits.transpose(1, 2), fusion.weight).squeeze(-1)
    torch.testing.assert_close(fusion(logits, torch.ones(4, 3, dtype=torch.bool)), wanted)


def test_the_present_take_over_the_weight_of_the_missing() -> None:
    logits = torch.tensor([[[1.0], [10.0], [100.0]]])
    fusion = make_fusion(0.5, -0.25, 0.25)
    present = torch.tensor([[True, True, False]])
    torch.testing.assert_close(fusion(logits, present), torch.tensor([[(0.5 * 1 - 0.25 * 10) * (1.0 / 0.75)]]))


def test_one_that_says_the_same_alone_says_the_same() -> None:
    logits = torch.randn(1, 1, 4).expand(1, 3, 4)
    fusion = make_fusion(0.2, 0.3, 0.5)
    alone = torch.tensor([[False, True, False]])
    torch.testing.assert_close(fusion(logits, alone), fusion(logits, ~torch.zeros_like(alone)))


def test_a_missing_modality_has_no_say_whatever_it_says() -> None:
    logits = torch.randn(2, 2, 3)
    spoiled = logits.clone()
    spoiled[1, 0] = torch.nan
    present = torch.tensor([[True, True], [False, True]])
    fusion = make_fusion(0.5, 0.5)
    assert torch.equal(fusion(spoiled, present), fusion(logits, present))


def test_one_modality_is_returned_as_it_is() -> None:
    logits = torch.randn(2, 1, 3)
    fusion = WeightedFusion(1)
    assert fusion.weight is None
    assert torch.equal(fusion(logits, torch.ones(2, 1, dtype=torch.bool)), logits[:, 0])


def test_weights_of_zero_give_zero_not_nan() -> None:
    out = make_fusion(0.0, 0.0)(torch.randn(1, 2, 3), torch.tensor([[True, False]]))
    assert torch.equal(out, torch.zeros(1, 3))


def test_gradient_of_the_weights_is_finite() -> None:
    fusion = make_fusion(0.5, 0.1, 0.0)
    present = torch.tensor([[True, True, True], [True, False, False]])
    fusion(torch.randn(2, 3, 4), present).square().sum().backward()
    assert fusion.weight.grad.isfinite().all()
    assert fusion.weight.grad.abs().sum() > 0
