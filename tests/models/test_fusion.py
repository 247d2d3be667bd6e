import torch
from torch import nn

from mme2e.config import ModelSettings
from mme2e.models.fusion import EarlyFusion, ModalityOutputs, WeightedFusion, build_fusion, head_width


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


def test_early_fusion_is_one_classifier_over_all_features() -> None:
    torch.manual_seed(0)
    fusion = EarlyFusion(2, 3, 4)
    features = torch.randn(5, 2, 3)
    present = torch.ones(5, 2, dtype=torch.bool)
    present[0, 1] = False
    side_by_side = features.relu().flatten(1)
    side_by_side[0, 3:] = 0
    torch.testing.assert_close(fusion(features, present), fusion.classifier(side_by_side))
    features[0, 1] = torch.nan
    torch.testing.assert_close(fusion(features, present), fusion.classifier(side_by_side))


def test_the_settings_choose_the_fusion() -> None:
    early = ModelSettings(modalities="tv", fusion="early", feature_dim=7)
    assert head_width(early, 3) == 7
    assert head_width(ModelSettings(), 3) == 3
    fusion = build_fusion(early, 3)
    assert isinstance(fusion, EarlyFusion)
    assert fusion.classifier.weight.shape == (3, 14)
    assert isinstance(build_fusion(ModelSettings(), 3), WeightedFusion)


def test_what_a_whole_batch_lacks_is_absent() -> None:
    half = torch.ones(2, 3, dtype=torch.bfloat16)
    here = torch.tensor([True, False])
    outputs = ModalityOutputs.of([(half, here), (None, here), (half, None)], batch=2, width=3, like=torch.zeros(1))
    assert outputs.values.dtype == torch.float32
    assert outputs.values.shape == (2, 3, 3)
    assert outputs.present.tolist() == [[True, False, False], [False, False, False]]
