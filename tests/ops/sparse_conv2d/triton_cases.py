"""What the Triton path must do; `test_triton_conv.py` runs this file in a process where its kernels can run.

That is Triton's interpreter on the CPU (the variable must be set before anything imports Triton), and CUDA if present.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from mme2e.errors import UserError
from mme2e.ops.sparse_conv2d import SparseMaps, submanifold_conv2d
from mme2e.ops.sparse_conv2d.naive import submanifold_conv2d_naive
from mme2e.ops.sparse_conv2d.triton_kernels import INTERPRETED

DEVICE = "cpu" if INTERPRETED else "cuda"

# Products of 16-bit numbers are exact in the float32 sums: only the result is rounded (the interpreter truncates).
TOLERANCES = {
    torch.float32: {"rtol": 1e-4, "atol": 1e-4},
    torch.bfloat16: {"rtol": 2**-7, "atol": 1e-4},
    torch.float16: {"rtol": 2**-10, "atol": 1e-4},
}


def random_mask(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape))) < 0.6


def with_an_empty_frame() -> Tensor:
    """Just enough sites for several blocks of each kernel: more than 128."""
    mask = random_mask(3, 11, 11)
    mask[1] = False
    assert 128 < mask.sum() < 192
    return mask


def without_neighbours() -> Tensor:
    mask = torch.zeros(2, 20, 21, dtype=torch.bool)
    mask[:, ::2, ::2] = True
    return mask


def one_site() -> Tensor:
    mask = torch.zeros(2, 4, 5, dtype=torch.bool)
    mask[1, 3, 0] = True
    return mask


MASKS = {
    "some": random_mask(2, 5, 7),
    "empty frame": with_an_empty_frame(),
    "no neighbours": without_neighbours(),
    "all": torch.ones(2, 9, 8, dtype=torch.bool),
    "one site": one_site(),
    "one cell": torch.ones(1, 1, 1, dtype=torch.bool),
    "one column": random_mask(2, 30, 1),
    "none": torch.zeros(2, 3, 4, dtype=torch.bool),
    "no frames": torch.zeros(0, 3, 4, dtype=torch.bool),
}


@pytest.fixture(autouse=True)
def _fresh_memory_is_nan() -> Iterator[None]:
    """What a kernel forgets to write is seen."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def random_rows(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(DEVICE, dtype)


def random_maps(mask: Tensor, channels: int, dtype: torch.dtype = torch.float32) -> SparseMaps:
    frames, height, width = mask.shape
    return SparseMaps.from_dense(random_rows(frames, channels, height, width, dtype=dtype), mask.to(DEVICE))


def check(mask: Tensor, in_channels: int, out_channels: int, dtype: torch.dtype) -> None:
    """Result and both gradients against the definition in float64."""
    maps = random_maps(mask, in_channels, dtype)
    features = maps.features.requires_grad_()
    weight = random_rows(9, out_channels, in_channels, dtype=dtype).requires_grad_()
    result = submanifold_conv2d(maps, weight, path="triton").features
    upstream = random_rows(*result.shape, dtype=dtype)
    result.backward(upstream)

    exact = maps.with_features(features.detach()).to_dense().cpu().double().contiguous().requires_grad_()
    exact_weight = weight.detach().cpu().double().requires_grad_()
    truth = submanifold_conv2d_naive(exact, mask, exact_weight)
    truth.backward(maps.with_features(upstream).to_dense().cpu().double().contiguous())
    assert exact.grad is not None
    for ours, wanted in [
        (result, SparseMaps.from_dense(truth, mask).features),
        (features.grad, SparseMaps.from_dense(exact.grad, mask).features),
        (weight.grad, exact_weight.grad),
    ]:
        assert ours is not None
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.cpu().double(), wanted, **TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("mask", MASKS)
def test_every_mask(mask: str, dtype: torch.dtype) -> None:
    check(MASKS[mask], 3, 17, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("channels", [(1, 1), (1, 3), (5, 1), (16, 16), (17, 5), (64, 17), (16, 64), (70, 130)])
def test_odd_and_even_channels(channels: tuple[int, int], dtype: torch.dtype) -> None:
    check(MASKS["empty frame"], *channels, dtype)


def test_only_the_gradient_that_is_asked_for_is_computed() -> None:
    maps = random_maps(MASKS["some"], 2)
    weight = random_rows(9, 3, 2).requires_grad_()
    submanifold_conv2d(maps, weight, path="triton").features.sum().backward()
    assert weight.grad is not None
    assert maps.features.grad is None
    maps.features.requires_grad_()
    submanifold_conv2d(maps, weight.detach(), path="triton").features.sum().backward()
    assert maps.features.grad is not None


def test_strides_do_not_matter() -> None:
    maps = random_maps(MASKS["some"], 4)
    weight = random_rows(9, 4, 3).transpose(1, 2)
    apart = maps.features.repeat_interleave(2, dim=1)[:, ::2]
    result = submanifold_conv2d(maps.with_features(apart), weight, path="triton").features
    assert torch.equal(result, submanifold_conv2d(maps, weight.contiguous(), path="triton").features)


def test_nan_stays_where_it_is() -> None:
    maps = random_maps(MASKS["no neighbours"], 3)
    features = maps.features.clone()
    features[7] = torch.nan
    weight = random_rows(9, 4, 3).requires_grad_()
    result = submanifold_conv2d(maps.with_features(features), weight, path="triton").features
    assert result.isnan().any(dim=1).nonzero().tolist() == [[7]]
    submanifold_conv2d(maps, weight, path="triton").features.backward(torch.full_like(result, torch.nan))
    assert weight.grad is not None
    assert weight.grad.isnan().any(dim=(1, 2)).nonzero().tolist() == [[4]]  # the centre: no other pair is there


def test_the_same_numbers_every_time() -> None:
    maps = random_maps(MASKS["empty frame"], 5)
    gradients = []
    for _ in range(2):
        weight = random_rows(9, 6, 5).requires_grad_()
        submanifold_conv2d(maps, weight, path="triton").features.square().sum().backward()
        gradients.append(weight.grad)
    assert torch.equal(*gradients)


def test_a_second_derivative_is_refused() -> None:
    maps = random_maps(MASKS["some"], 2)
    weight = random_rows(9, 3, 2).requires_grad_()
    result = submanifold_conv2d(maps, weight, path="triton").features.square().sum()
    (gradient,) = torch.autograd.grad(result, weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_float64_is_refused() -> None:
    maps = random_maps(MASKS["some"], 2, torch.float64)
    with pytest.raises(UserError, match=r"features are torch\.float64: path 'triton' computes torch\.float32"):
        submanifold_conv2d(maps, random_rows(9, 3, 2, dtype=torch.float64), path="triton")
