import pytest
import torch
from test_fe2e import make_batch
from tiny_mesm import make_model
from torch import distributed

from mme2e.config import AttentionSettings
from mme2e.errors import UserError
from mme2e.models import MESM
from mme2e.models.budget import follow_budget, share_of_macs
from mme2e.models.trace import Trace


def train(model: MESM, steps: int) -> Trace:
    """Trains, and traces the last step."""
    batch = make_batch((1, 1), (1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(steps):
        trace = Trace()
        optimizer.zero_grad()
        model.train()(batch, trace).square().sum().backward()
        optimizer.step()
    return trace


@pytest.mark.parametrize("budget", [0.1, 0.6])
def test_training_meets_the_budget_of_every_stage(budget: float) -> None:
    model = make_model("tav", top_p=0.5, budget=budget)
    trace = train(model, 60)
    first = [stage for name, stage in model.stages.items() if name.endswith("1")]
    for stage in first:  # later maps of this small model have few sites: their shares come in large steps
        assert share_of_macs([stage], trace) == pytest.approx(budget, abs=0.03)


def test_training_meets_the_budget_of_all_stages_together() -> None:
    model = make_model("tav", top_p=0.5, budget=0.2, budget_scope="total")
    trace = train(model, 60)
    assert share_of_macs(model.stages.values(), trace) == pytest.approx(0.2, abs=0.03)
    assert len({stage.selection.top_p for stage in model.stages.values()}) == 1


def test_p_that_training_found_belongs_to_the_state() -> None:
    model = make_model("tav", budget=0.2)
    train(model, 20)
    other = make_model("tav", budget=0.2)
    other.load_state_dict(model.state_dict())
    moved = [stage.selection.top_p for stage in other.stages.values()]
    assert moved == [stage.selection.top_p for stage in model.stages.values()]
    assert moved[0] != 0.6


def test_the_state_holds_p_as_it_always_did_and_to_the_last_bit() -> None:
    """Run folders and checkpoints of before have a float64 tensor under this name."""
    model = make_model("tav", budget=0.2)
    for number, stage in enumerate(model.stages.values()):
        stage.selection.top_p = 0.1 + 0.1 * number
    state = model.state_dict()
    names = [name for name in state if name.endswith(".selection._top_p")]
    assert len(names) == 6
    assert {(state[name].dtype, state[name].shape) for name in names} == {(torch.float64, torch.Size())}
    other = make_model("tav", budget=0.2)
    other.load_state_dict({name: value.clone() for name, value in state.items()})
    assert [stage.selection.top_p for stage in other.stages.values()] == [0.1 + 0.1 * number for number in range(6)]
    assert "visual.tower.stages.0.selection._top_p" in names
    assert not any("top_p" in name for name, _ in model.named_buffers())


def test_a_state_without_p_or_with_p_too_much_is_noticed() -> None:
    with_budget, without = make_model("tav", budget=0.2), make_model("tav")
    with pytest.raises(RuntimeError, match=r"Missing key.*selection\._top_p"):
        with_budget.load_state_dict(without.state_dict())
    with pytest.raises(RuntimeError, match=r"Unexpected key.*selection\._top_p"):
        without.load_state_dict(with_budget.state_dict())
    with_budget.load_state_dict(without.state_dict(), strict=False)
    assert {stage.selection.top_p for stage in with_budget.stages.values()} == {0.6}
    state = with_budget.state_dict()
    state["visual.tower.stages.0.selection._top_p"] = torch.tensor(1.5)
    with pytest.raises(UserError, match="top_p must be in"):
        with_budget.load_state_dict(state)


def test_p_is_a_number_whatever_the_model_is_moved_to() -> None:
    model = make_model("tav", budget=0.2)
    model.set_top_p(0.3)
    model.to(torch.bfloat16)
    assert {stage.selection.top_p for stage in model.stages.values()} == {0.3}
    assert all(value.dtype != torch.float64 for value in model.buffers())  # Apple's GPUs have none


def test_processes_move_p_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, of which the other one computed three times as much."""
    model, trace = make_model("tav", budget=0.2, budget_scope="total").train(), Trace()
    model.follows_budget = False
    model(make_batch(), trace)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", lambda counts: counts.mul_(torch.tensor([4, 2])))
    share = share_of_macs(model.stages.values(), trace)
    follow_budget(model.stages.values(), trace, 0.2, "total")
    assert {stage.selection.top_p for stage in model.stages.values()} == {0.6 * (0.2 / (2 * share)) ** 0.1}


def test_without_budget_and_in_evaluation_p_stays() -> None:
    for model in (make_model("tav").train(), make_model("tav", budget=0.1).eval()):
        model(make_batch())
        assert {stage.selection.top_p for stage in model.stages.values()} == {0.6}
    assert not any("top_p" in name for name in make_model("tav").state_dict())


def test_a_batch_without_maps_moves_nothing() -> None:
    model = make_model("tav", budget=0.2).train()
    train(model, 1)
    before = [stage.selection.top_p for stage in model.stages.values()]
    trace = Trace()
    model(make_batch(frames=(0, 0, 0), chunks=(0, 0, 0)), trace)
    assert share_of_macs(model.stages.values(), trace) is None
    assert [stage.selection.top_p for stage in model.stages.values()] == before


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.5])
def test_an_impossible_budget(budget: float) -> None:
    with pytest.raises(UserError, match=r"attention\.budget must be in \(0, 1\)"):
        AttentionSettings(budget=budget)
