"""Sparse maps, convolution and pooling against dense operations and a mask."""

import shutil

import pytest
import torch
from torch import Tensor

from mme2e.errors import UserError
from mme2e.ops.sparse_conv2d import (
    Sites,
    SparseMaps,
    build_neighbours,
    sparse_max_pool2d,
    submanifold_conv2d,
)
from mme2e.ops.sparse_conv2d.naive import sparse_max_pool2d_naive, submanifold_conv2d_naive

COMPILED = pytest.param("compiled", marks=pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"))
SHAPES = [(2, 5, 7), (1, 1, 1), (3, 6, 6), (2, 1, 8), (4, 2, 2), (0, 4, 4)]
DENSITIES = [0.0, 0.3, 0.7, 1.0]


def random_maps(shape: tuple[int, int, int], density: float, channels: int, **kind: object) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(shape) + int(10 * density))
    frames, height, width = shape
    mask = torch.rand(shape, generator=generator) < density
    return torch.randn(frames, channels, height, width, generator=generator, dtype=torch.float64).to(**kind), mask


@pytest.mark.parametrize("path", ["gather", COMPILED, "dense", "naive", "auto"])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_is_the_definition(shape: tuple[int, int, int], density: float, path: str) -> None:
    dense, mask = random_maps(shape, density, 3)
    weight = torch.randn(9, 4, 3, dtype=torch.float64)
    result = submanifold_conv2d(SparseMaps.from_dense(dense, mask), weight, path=path).to_dense()  # type: ignore[arg-type]
    torch.testing.assert_close(result, submanifold_conv2d_naive(dense, mask, weight))


@pytest.mark.parametrize("path", ["gather", COMPILED, "dense"])
@pytest.mark.parametrize("density", [0.4, 1.0])
def test_float32_convolution_and_gradients_agree_with_the_definition(density: float, path: str) -> None:
    torch.manual_seed(0)
    dense, mask = random_maps((4, 9, 8), density, 16, dtype=torch.float32)
    weight = torch.randn(9, 24, 16, requires_grad=True)
    truth_weight = weight.detach().clone().requires_grad_()
    maps = SparseMaps.from_dense(dense, mask)
    maps.features.requires_grad_()
    truth_dense = dense.clone().requires_grad_()
    result = submanifold_conv2d(maps, weight, path=path)  # type: ignore[arg-type]
    truth = submanifold_conv2d_naive(truth_dense, mask, truth_weight)
    torch.testing.assert_close(result.to_dense(), truth, rtol=1e-4, atol=1e-4)
    torch.sin(result.to_dense()).sum().backward()
    torch.sin(truth).sum().backward()
    torch.testing.assert_close(weight.grad, truth_weight.grad, rtol=1e-4, atol=1e-3)
    gradient = SparseMaps.from_dense(truth_dense.grad, mask).features
    torch.testing.assert_close(maps.features.grad, gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("path", ["gather", COMPILED, "dense"])
@pytest.mark.parametrize(("shape", "density"), [((2, 3, 4), 0.6), ((1, 1, 1), 1.0), ((2, 2, 2), 1.0)])
def test_gradients_in_float64(shape: tuple[int, int, int], density: float, path: str) -> None:
    dense, mask = random_maps(shape, density, 2)
    maps = SparseMaps.from_dense(dense, mask)
    features = maps.features.clone().requires_grad_()
    weight = torch.randn(9, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, w: submanifold_conv2d(maps.with_features(x), w, path=path).features,  # type: ignore[arg-type]
        (features, weight),
    )


def test_only_the_gradient_that_is_asked_for_is_computed() -> None:
    dense, mask = random_maps((1, 4, 4), 0.5, 2)
    maps = SparseMaps.from_dense(dense, mask)
    weight = torch.randn(9, 3, 2, dtype=torch.float64, requires_grad=True)
    submanifold_conv2d(maps, weight, path="gather").features.sum().backward()
    assert weight.grad is not None
    assert maps.features.grad is None


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0] and min(shape[1:]) > 1])
def test_pooling_is_the_definition(shape: tuple[int, int, int], density: float) -> None:
    dense, mask = random_maps(shape, density, 3)
    pooled = sparse_max_pool2d(SparseMaps.from_dense(dense, mask))
    truth, truth_mask = sparse_max_pool2d_naive(dense, mask)
    torch.testing.assert_close(pooled.to_dense(), truth)
    assert torch.equal(pooled.sites.positions, truth_mask.reshape(-1).nonzero().squeeze(1))


@pytest.mark.parametrize("shape", [(0, 4, 4), (2, 1, 8), (1, 1, 1)])
def test_pooling_to_nothing(shape: tuple[int, int, int]) -> None:
    dense, mask = random_maps(shape, 1.0, 3)
    pooled = sparse_max_pool2d(SparseMaps.from_dense(dense, mask))
    assert pooled.features.shape == (0, 3)
    assert pooled.sites.shape == (shape[0], shape[1] // 2, shape[2] // 2)


def test_pooling_gradient_in_float64() -> None:
    dense, mask = random_maps((2, 5, 6), 0.6, 2)
    maps = SparseMaps.from_dense(dense, mask)
    features = maps.features.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sparse_max_pool2d(maps.with_features(x)).features, features)


def test_pooling_keeps_nan_and_gives_the_gradient_to_the_first_of_equals() -> None:
    features = torch.tensor([[2.0, 1.0], [2.0, float("nan")], [1.0, 5.0]], requires_grad=True)
    maps = SparseMaps(features, Sites(torch.tensor([0, 1, 2]), (1, 2, 2)))
    pooled = sparse_max_pool2d(maps).features
    assert pooled[0, 0] == 2
    assert pooled[0, 1].isnan()
    pooled.sum().backward()
    assert features.grad[:, 0].tolist() == [1, 0, 0]


def test_dense_and_back() -> None:
    dense, mask = random_maps((3, 4, 5), 0.5, 2)
    maps = SparseMaps.from_dense(dense, mask)
    torch.testing.assert_close(maps.to_dense(), dense * mask.unsqueeze(1))
    assert maps.sites.frame_offsets.tolist() == [0, *mask.sum(dim=(1, 2)).cumsum(0).tolist()]
    assert maps.sites.density == pytest.approx(float(mask.double().mean()))


def test_pairs_of_a_known_mask() -> None:
    # Two sites side by side in the first frame, one alone in the second: one pair, read both ways.
    sites = Sites(torch.tensor([0, 1, 4]), (2, 2, 2))
    assert sites.num_pairs == 5
    pairs = [(here.tolist(), there.tolist()) for here, there in sites.pairs]
    assert pairs == [([], [])] * 3 + [([1], [0]), ([0, 1, 2], [0, 1, 2]), ([0], [1])] + [([], [])] * 3


def test_neighbours_do_not_reach_over_borders() -> None:
    # End of one row and start of the next, last site of one frame and first of the next.
    assert Sites(torch.tensor([2, 3]), (1, 3, 3)).num_pairs == 2
    assert Sites(torch.tensor([8, 9]), (2, 3, 3)).num_pairs == 2


def test_rule_book_is_built_once_and_shared() -> None:
    dense, mask = random_maps((1, 4, 4), 0.5, 2)
    maps = SparseMaps.from_dense(dense, mask)
    other = maps.with_features(maps.features * 2)
    assert other.sites.neighbours is maps.sites.neighbours
    assert other.sites.pairs is maps.sites.pairs


@pytest.mark.parametrize("kept", [[], [0], [3], [0, 1, 2, 3], [1, 3]], ids=str)
def test_taking_sites_with_and_without_gates(kept: list[int]) -> None:
    dense, mask = torch.randn(2, 3, 1, 2, dtype=torch.float64), torch.ones(2, 1, 2, dtype=torch.bool)
    maps, places = SparseMaps.from_dense(dense, mask), torch.tensor(kept, dtype=torch.int64)
    gates = torch.randn(len(kept), dtype=torch.float64)
    plain, gated = maps.take(places), maps.take(places, gates)
    assert plain.sites.positions.tolist() == gated.sites.positions.tolist() == kept
    assert torch.equal(plain.features, maps.features[kept])
    assert torch.equal(gated.features, maps.features[kept] * gates[:, None])


def test_what_does_not_fit_is_refused() -> None:
    dense, mask = random_maps((1, 4, 4), 0.5, 2)
    maps = SparseMaps.from_dense(dense, mask)
    with pytest.raises(UserError, match=r"do not fit 2 channels"):
        submanifold_conv2d(maps, torch.zeros(9, 3, 4, dtype=torch.float64))
    with pytest.raises(UserError, match="must agree"):
        submanifold_conv2d(maps, torch.zeros(9, 3, 2, dtype=torch.float32))
    with pytest.raises(UserError, match="does not fit maps"):
        SparseMaps.from_dense(dense, mask[:, :2])
    with pytest.raises(UserError, match="do not fit"):
        SparseMaps(maps.features[1:], maps.sites)


def test_mixed_devices_are_refused() -> None:
    maps = SparseMaps.from_dense(*random_maps((1, 4, 4), 0.5, 2))
    with pytest.raises(UserError, match="features are on meta, sites on cpu"):
        maps.with_features(maps.features.to("meta"))
    with pytest.raises(UserError, match=r"weights are torch\.float64 on meta, features torch\.float64 on cpu"):
        submanifold_conv2d(maps, torch.zeros(9, 3, 2, dtype=torch.float64, device="meta"))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (0, 4, 4)])
def test_pairs_of_full_maps(shape: tuple[int, int, int]) -> None:
    sites = SparseMaps.from_dense(*random_maps(shape, 1.0, 2)).sites
    assert sites.num_pairs == sites.full_pairs
    assert sites.num_pairs == sum(len(here) for here, _ in sites.pairs)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
def test_neighbours_are_the_definition(shape: tuple[int, int, int], density: float) -> None:
    sites = SparseMaps.from_dense(*random_maps(shape, density, 1)).sites
    _, height, width = shape
    places = [(each // (height * width), each // width % height, each % width) for each in sites.positions.tolist()]
    number = {place: index for index, place in enumerate(places)}
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    expected = [[number.get((frame, row + dy, column + dx), -1) for dy, dx in offsets] for frame, row, column in places]
    assert build_neighbours(sites.positions, shape).tolist() == expected


@pytest.mark.parametrize("path", ["gather", COMPILED, "dense"])
def test_normalised_result(path: str) -> None:
    dense, mask = random_maps((2, 6, 5), 0.6, 3)
    maps, weight = SparseMaps.from_dense(dense, mask), torch.randn(9, 4, 3, dtype=torch.float64)
    scale, shift = torch.randn(2, 4, dtype=torch.float64)
    with torch.no_grad():
        result = submanifold_conv2d(maps, weight, path=path, scale_and_shift=(scale, shift))  # type: ignore[arg-type]
        plain = submanifold_conv2d(maps, weight, path="naive")
    torch.testing.assert_close(result.features, (plain.features * scale + shift).relu())
    with pytest.raises(ValueError, match="without gradients"):
        submanifold_conv2d(maps, weight, path=path, scale_and_shift=(scale, shift))  # type: ignore[arg-type]
