import pytest
import torch
from test_fe2e import make_batch
from tiny_mesm import make_model
from torch import Tensor, nn

from mme2e.errors import UserError
from mme2e.models.importance import learn_importance
from mme2e.models.selection import Selection
from mme2e.ops.sparse_conv2d import Sites, SparseMaps

LEARNING = ["importance", "gate", "straight_through"]


def random_maps(frames: int = 3) -> tuple[SparseMaps, Tensor]:
    """Maps of which the second frame is empty, and a text vector for each."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(frames, 4, 5, generator=generator) < 0.7
    mask[1] = False
    maps = torch.randn(frames, 3, 4, 5, dtype=torch.float64, generator=generator)
    return SparseMaps.from_dense(maps, mask), torch.randn(frames, 6, dtype=torch.float64, generator=generator)


def make_selection(mode: str, top_p: float = 0.6) -> Selection:
    torch.manual_seed(1)
    selection = Selection(3, 6, top_p=top_p, mode=mode).double()
    if mode == "frozen":
        selection.attention.look_at_strong_features()  # as the others start
    selection.attention.score.weight.data *= 8  # weights far from equal
    return selection


@pytest.mark.parametrize("mode", LEARNING)
def test_every_weight_of_the_attention_and_the_text_learn(mode: str) -> None:
    maps, text = random_maps()
    selection = make_selection(mode, top_p=1.0)  # by importance, a site that is kept alone has nothing to learn
    text.requires_grad_()
    selection(maps, text).features.square().sum().backward()
    for name, parameter in selection.named_parameters():
        assert parameter.grad is not None, name
        if name != "attention.score.bias":  # the softmax does not notice what is added to all scores
            assert parameter.grad.abs().max() > 1e-6, name
    assert text.grad is not None
    assert text.grad[[0, 2]].abs().amin(dim=1).min() > 0


@pytest.mark.parametrize("mode", LEARNING)
def test_attention_that_learns_starts_at_strong_features(mode: str) -> None:
    maps, text = random_maps(2)  # the second frame is empty
    strong = maps.with_features(maps.features.relu())
    weights = Selection(3, 6, top_p=0.5, mode=mode).double().attention(strong, torch.zeros_like(text))
    assert torch.equal(weights.argsort(), strong.features.tanh().mean(dim=1).argsort())


def test_gates_grow_with_the_attention_times_the_sites_that_shared_it() -> None:
    maps, text = random_maps()
    gated, plain = (make_selection(mode)(maps, text) for mode in ("gate", "frozen"))
    selection = make_selection("gate")
    attention = selection.attention(maps, text)
    counts = maps.sites.frame_offsets.diff()
    shared_by = torch.repeat_interleave(counts, counts)
    gates = dict(zip(maps.sites.positions.tolist(), (attention * shared_by).tolist(), strict=True))
    shares = torch.tensor([gates[position] for position in plain.sites.positions.tolist()], dtype=torch.float64)
    wanted = 1 + selection.strength * (shares - 1)
    torch.testing.assert_close(gated.features, plain.features * wanted[:, None])
    # 1 on average over a frame's sites.
    torch.testing.assert_close(torch.tensor(sum(gates.values())), torch.tensor(float(len(maps.sites))))


def test_straight_through_leaves_the_features_and_has_the_gradient_of_the_gate() -> None:
    maps, text = random_maps()
    gradients = []
    for mode in ("gate", "straight_through"):
        selection = make_selection(mode)
        kept = selection(maps, text)
        kept.features.sum().backward()
        gradients.append(selection.attention.features.weight.grad)
        if mode == "straight_through":
            assert torch.equal(kept.features, make_selection("frozen")(maps, text).features)
    torch.testing.assert_close(*gradients)


def test_gradients_in_float64() -> None:
    maps, text = random_maps()
    selection = make_selection("gate")  # the gradients of the other modes are not those of their forward passes

    def features(x: Tensor, words: Tensor) -> Tensor:
        return selection(maps.with_features(x), words).features

    given = maps.features.clone().requires_grad_(), text.clone().requires_grad_()
    assert torch.autograd.gradcheck(features, given)


def test_attention_learns_where_to_look() -> None:
    """One site holds what matters, the words say which: training with the gate finds it."""
    torch.manual_seed(0)
    selection = Selection(2, 2, top_p=0.3, mode="gate")
    positions = torch.arange(8)
    kinds = nn.functional.one_hot(positions % 2).float()
    optimizer = torch.optim.Adam(selection.parameters(), lr=0.05)

    def kept_of(kind: int) -> tuple[Tensor, Tensor]:
        maps = SparseMaps.from_dense(kinds.t().reshape(1, 2, 2, 4))
        kept = selection(maps, nn.functional.one_hot(torch.tensor([kind]), 2).float())
        return kept.features, kept.sites.positions

    for _ in range(60):
        optimizer.zero_grad()
        # Feature 0 is wanted under the words 0, feature 1 under the words 1.
        loss = sum(kept_of(kind)[0][:, 1 - kind].sum() - kept_of(kind)[0][:, kind].sum() for kind in (0, 1))
        loss.backward()
        optimizer.step()
    for kind in (0, 1):
        assert set((kept_of(kind)[1] % 2).tolist()) == {kind}


def test_importance_leaves_features_and_their_gradient_and_teaches_the_shares_of_each_frame() -> None:
    maps, text = random_maps()
    plain, selection = make_selection("frozen"), make_selection("importance")
    given = [maps.features.clone().requires_grad_() for _ in range(2)]
    upstream = torch.randn(len(maps.sites), 3, dtype=torch.float64)
    kept = [each(maps.with_features(x), text) for each, x in zip((plain, selection), given, strict=True)]
    for each in kept:
        (each.features * upstream[: len(each.sites)]).sum().backward()
    assert torch.equal(kept[0].features, kept[1].features)
    assert torch.equal(given[0].grad, given[1].grad)

    # The same as a loss: divergence of the weights' shares from four fifths of equal shares and a fifth of importance.
    weights = selection.attention(maps, text)
    places = torch.searchsorted(maps.sites.positions, kept[1].sites.positions)
    importance = (kept[1].features * upstream[: len(places)]).sum(1).abs().detach()
    loss = torch.zeros((), dtype=torch.float64)
    for frame in range(3):
        here = kept[1].sites.frame == frame
        if here.any():
            total = importance[here].sum()
            wanted = 0.2 * importance[here] / total + 0.8 / here.sum()
            shares = weights[places[here]] / weights[places[here]].sum()
            loss = loss + importance.sum() / 3 * (wanted * (wanted / shares).log()).sum()
    parameters = [p for name, p in selection.attention.named_parameters() if name != "score.bias"]
    for wanted, parameter in zip(torch.autograd.grad(loss, parameters), parameters, strict=True):
        torch.testing.assert_close(parameter.grad, wanted)


def test_importance_finds_the_sites_whose_effect_has_now_this_sign_and_now_that() -> None:
    torch.manual_seed(0)
    selection = Selection(2, 2, top_p=0.5, mode="importance")
    kinds = nn.functional.one_hot(torch.arange(64) % 2).float()
    maps = SparseMaps.from_dense(kinds.t().reshape(1, 2, 8, 8))
    optimizer = torch.optim.Adam(selection.parameters(), lr=0.05)
    for step in range(100):
        optimizer.zero_grad()
        (selection(maps, torch.ones(1, 2)).features[:, 1].sum() * (-1) ** step).backward()
        optimizer.step()
    assert set((selection(maps, torch.ones(1, 2)).sites.positions % 2).tolist()) == {1}


@pytest.mark.parametrize("size", [0, 1, 6])
def test_importance_of_nothing_teaches_nothing(size: int) -> None:
    features, scores = torch.rand(size, 3, requires_grad=True), torch.rand(size, requires_grad=True)
    sites = Sites(torch.arange(size), (2, 2, 3))
    (learn_importance(features, scores, sites) * 0).sum().backward()
    assert torch.equal(scores.grad, torch.zeros(size))


@pytest.mark.parametrize("mode", LEARNING)
def test_in_the_whole_model_gradients_reach_the_attention_and_the_text_encoder(mode: str) -> None:
    model = make_model("tav", mode=mode)
    # Only what goes through the towers: the text's own head is cut off.
    model.text.head.weight.data.zero_()
    model(make_batch()).square().sum().backward()
    for name, parameter in model.named_parameters():
        if ".attention." in name:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    text = [p.grad for p in model.text.encoder.parameters() if p.grad is not None]
    assert max(float(grad.abs().max()) for grad in text) > 0


@pytest.mark.parametrize("p", [0.0, -1.0, 1.5, float("nan")])
def test_p_outside_its_range(p: float) -> None:
    with pytest.raises(UserError, match="top_p must be in"):
        make_selection("gate", p)
    with pytest.raises(UserError, match="top_p must be in"):
        make_model().set_top_p(p)


def test_set_top_p_of_all_stages() -> None:
    model = make_model("tv")
    model.set_top_p(0.25)
    assert [stage.selection.top_p for stage in model.stages.values()] == [0.25] * 3
    assert list(model.stages) == ["visual 1", "visual 2", "visual 3"]
