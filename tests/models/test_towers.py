import copy

import pytest
import torch
from torch import Tensor, nn

from mme2e.models.normalised_convolution import convolve_and_normalise
from mme2e.models.towers import AUDIO_INPUT, FACE_INPUT, LowLevel, Tower, TowerInput, VggBlock

CHANNELS = (3, 4, 5, 6)


def make_tower(source: TowerInput, **dtype: torch.dtype) -> Tower:
    torch.manual_seed(0)
    tower = Tower(source, channels=CHANNELS, hidden_dim=7, out_dim=2).to(**dtype)
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):  # so that forgetting one of its four tensors shows
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return tower


def make_maps(source: TowerInput, count: int) -> Tensor:
    shape = (count, source.channels, source.height, source.width)
    return torch.randint(0, 256, shape, dtype=torch.uint8) if source is FACE_INPUT else torch.rand(shape)


def contiguous(tower: Tower) -> Tower:
    return copy.deepcopy(tower).to(memory_format=torch.contiguous_format)


def plain(tower: Tower, maps: Tensor) -> Tensor:
    """What a tower computes, one operation a line, from the description."""

    def block(x: Tensor, part: VggBlock) -> Tensor:
        x = torch.relu(part.bn1(part.conv1(x)))
        return torch.relu(part.bn2(part.conv2(x)))

    x = maps.to(tower.hidden.weight.dtype).contiguous()
    if maps.shape[1] == 3:
        for channel, (mean, std) in enumerate(((159, 37), (111, 33), (102, 32))):
            x[:, channel] = (x[:, channel] - mean) / std
    low = tower.low_level
    x = torch.max_pool2d(torch.relu(low.bn(low.conv(x))), 2)
    x = block(block(x, low.block1), low.block2)
    for stage in tower.stages:
        x = torch.max_pool2d(block(x, stage), 2)
    rows = torch.stack([row.contiguous().reshape(-1) for row in x])
    return tower.output(torch.relu(tower.hidden(rows)))


@pytest.mark.parametrize("source", [FACE_INPUT, AUDIO_INPUT], ids=["faces", "audio"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_equals_the_plain_network(source: TowerInput, count: int, training: bool) -> None:
    tower = make_tower(source, dtype=torch.float64).train(training)
    maps = make_maps(source, count)
    torch.testing.assert_close(tower(maps), plain(contiguous(tower), maps))


@pytest.mark.parametrize("source", [FACE_INPUT, AUDIO_INPUT], ids=["faces", "audio"])
def test_gradients_and_running_averages_equal_those_of_the_plain_network(source: TowerInput) -> None:
    tower = make_tower(source, dtype=torch.float64)
    maps = make_maps(source, 4)
    other, before = contiguous(tower), copy.deepcopy(tower)
    for _ in range(2):
        tower(maps).square().sum().backward()
        plain(other, maps).square().sum().backward()
    for (name, ours), theirs in zip(tower.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
    for (name, ours), theirs in zip(tower.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=lambda m, n=name: f"{n}: {m}")
    assert not torch.equal(tower.low_level.bn.running_mean, before.low_level.bn.running_mean)


def test_two_forward_passes_before_one_backward_pass() -> None:
    tower = make_tower(FACE_INPUT)
    (tower(make_maps(FACE_INPUT, 2)) + tower(make_maps(FACE_INPUT, 2))).sum().backward()
    assert tower.low_level.conv.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_bias_before_normalisation_only_moves_the_running_mean(momentum: float | None) -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=momentum)
    other = copy.deepcopy(norm)
    x = torch.randn(4, 2, 6, 6)
    torch.testing.assert_close(convolve_and_normalise(x, conv, norm), other(conv(x)))
    torch.testing.assert_close(norm.running_mean, other.running_mean)
    torch.testing.assert_close(norm.running_var, other.running_var)
    assert norm.num_batches_tracked == other.num_batches_tracked == 1


def test_many_maps_without_gradients_equal_them_with_gradients() -> None:
    tower = make_tower(FACE_INPUT).eval()
    maps = make_maps(FACE_INPUT, 35)
    with torch.no_grad():
        grouped = tower(maps)
    torch.testing.assert_close(grouped, tower(maps), rtol=1e-4, atol=1e-5)


def test_weights_and_features_are_channels_last() -> None:
    tower = make_tower(FACE_INPUT)
    features = tower.low_level(make_maps(FACE_INPUT, 2))
    assert features.shape == (2, CHANNELS[0], 24, 24)
    assert features.is_contiguous(memory_format=torch.channels_last)
    assert tower.stages[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_low_level_of_sound_is_half_as_high_and_wide() -> None:
    assert LowLevel(AUDIO_INPUT, 4)(make_maps(AUDIO_INPUT, 2)).shape == (2, 4, 64, 16)


def test_float_and_uint8_crops_are_the_same() -> None:
    tower = make_tower(FACE_INPUT).eval()
    maps = make_maps(FACE_INPUT, 2)
    assert torch.equal(tower(maps), tower(maps.float()))


def test_does_not_change_its_input() -> None:
    maps = torch.rand(2, 3, 48, 48)
    before = maps.clone()
    make_tower(FACE_INPUT)(maps)
    assert torch.equal(maps, before)


@pytest.mark.parametrize("shape", [(2, 1, 48, 48), (2, 3, 48, 47), (3, 48, 48), (2, 48, 48, 3)])
def test_another_shape_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expects maps of shape \(3, 48, 48\), not a tensor of shape \(") as caught:
        make_tower(FACE_INPUT)(torch.zeros(shape))
    assert str(shape) in str(caught.value)


def test_normalisation_constants_are_no_weights() -> None:
    assert not [name for name in make_tower(FACE_INPUT).state_dict() if "mean" in name.split(".")[-1:]]
