import dataclasses
import itertools

import pytest
import torch
from tiny_mesm import EMOTIONS, make_tiny, make_utterances
from torch import nn

from mme2e.config import ModelSettings, TrainSettings
from mme2e.training.module import EmotionModule, cosine_factor


class Model(nn.Module):
    def __init__(self, text: bool = True) -> None:
        super().__init__()
        self.text = nn.Linear(2, 3) if text else None
        self.visual = nn.Linear(4, 3)


def make(text: bool = True, **changes) -> EmotionModule:
    settings = dataclasses.replace(TrainSettings(), **changes)
    return EmotionModule(Model(text), settings, pos_weight=None)


def test_the_text_branch_learns_more_slowly():
    optimizer = make(learning_rate=1e-3, text_lr_factor=10, weight_decay=0.1).configure_optimizers()["optimizer"]
    text, rest = optimizer.param_groups
    assert (text["lr"], rest["lr"]) == pytest.approx((1e-4, 1e-3))
    assert {parameter.shape for parameter in text["params"]} == {(3, 2), (3,)}
    assert {parameter.shape for parameter in rest["params"]} == {(3, 4), (3,)}
    assert text["weight_decay"] == rest["weight_decay"] == 0.1


def test_the_optimizer_can_be_chosen():
    assert isinstance(make().configure_optimizers()["optimizer"], torch.optim.Adam)
    sgd = make(optimizer="sgd", momentum=0.9, weight_decay=0.1).configure_optimizers()["optimizer"]
    assert isinstance(sgd, torch.optim.SGD)
    assert [group["lr"] for group in sgd.param_groups] == pytest.approx([5e-6, 5e-5])
    assert {(group["momentum"], group["weight_decay"]) for group in sgd.param_groups} == {(0.9, 0.1)}


def test_a_model_without_text_has_one_rate():
    text, rest = make(text=False).configure_optimizers()["optimizer"].param_groups
    assert not text["params"]
    assert len(rest["params"]) == 2


class TestCosine:
    def test_up_then_down_to_zero(self):
        factors = [cosine_factor(step, warmup=4, total=12) for step in range(13)]
        assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
        assert factors[8] == pytest.approx(0.5)
        assert factors[12] == pytest.approx(0)
        assert all(before > after for before, after in itertools.pairwise(factors[4:]))

    def test_without_warmup(self):
        assert cosine_factor(0, warmup=0, total=10) == 1

    @pytest.mark.parametrize("step", range(4))
    def test_all_warmup(self, step):
        assert 0 <= cosine_factor(step, warmup=3, total=3) <= 1


@pytest.mark.parametrize("name", ["fe2e", "mesm"])
def test_each_modality_can_have_a_loss_of_its_own(name: str):
    settings = TrainSettings(model=ModelSettings(name=name), modality_loss=0.5)
    module = EmotionModule(make_tiny(name), settings, pos_weight=None).eval()
    batch = dataclasses.replace(make_utterances((1, 2, 3), (2, 1, 1)), labels=torch.eye(EMOTIONS)[:3])
    fused, own = module._losses(batch)
    assert fused.item() == pytest.approx(module.loss(module.model(batch), batch.labels).item(), rel=1e-6)
    with torch.no_grad():
        module.model.fusion.weight.zero_()
    module.zero_grad()
    fused, own = module._losses(batch)
    (fused + own).backward()
    heads = (module.model.text.head, module.model.visual.head, module.model.acoustic.head)
    assert all(head.weight.grad.abs().sum() > 0 for head in heads)


def test_a_budget_is_followed_beside_losses_of_the_modalities():
    model = make_tiny("mesm", budget=0.1).train()
    settings = TrainSettings(model=ModelSettings(name="mesm"), modality_loss=0.5)
    module = EmotionModule(model, settings, pos_weight=None)
    before = [stage.selection.top_p for stage in model.stages.values()]
    module._losses(dataclasses.replace(make_utterances((1, 2, 3), (2, 1, 1)), labels=torch.eye(EMOTIONS)[:3]))
    assert all(stage.selection.top_p != p for stage, p in zip(model.stages.values(), before, strict=True))


def test_targets_stand_above_labels():
    settings = TrainSettings(model=ModelSettings(name="fe2e"), modality_loss=0.5, targets="votes")
    module = EmotionModule(make_tiny("fe2e"), settings, pos_weight=None).eval()
    plain = dataclasses.replace(make_utterances((1, 2), (2, 1)), labels=torch.eye(EMOTIONS)[:2])
    voted = dataclasses.replace(plain, targets=torch.full((2, EMOTIONS), 1 / EMOTIONS))
    same = dataclasses.replace(plain, labels=voted.targets)
    assert [loss.item() for loss in module._losses(voted)] == [loss.item() for loss in module._losses(same)]
    assert module._losses(voted)[0].item() != module._losses(plain)[0].item()


def test_without_it_there_is_no_such_loss():
    settings = TrainSettings(model=ModelSettings(name="fe2e"))
    module = EmotionModule(make_tiny("fe2e"), settings, pos_weight=None).eval()
    batch = dataclasses.replace(make_utterances((1, 2), (2, 1)), labels=torch.eye(EMOTIONS)[:2])
    fused, own = module._losses(batch)
    assert own == 0
    assert fused.item() == module.loss(module.model(batch), batch.labels).item()
