import pytest
import torch
from test_fe2e import make_batch
from test_mesm import make_model
from torch import Tensor, nn

from mme2e.errors import UserError
from mme2e.models.selection import Selection
from mme2e.ops.sparse_conv2d import SparseMaps

LEARNING = ["gate", "straight_through"]


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
    selection = make_selection(mode)
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
    for mode in LEARNING:
        selection = make_selection(mode)
        kept = selection(maps, text)
        kept.features.sum().backward()
        gradients.append(selection.attention.features.weight.grad)
        if mode == "straight_through":
            assert torch.equal(kept.features, make_selection("frozen")(maps, text).features)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("mode", LEARNING)
def test_gradients_in_float64(mode: str) -> None:
    maps, text = random_maps()
    selection = make_selection("gate")  # the gradient of straight_through is not that of its forward pass

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
