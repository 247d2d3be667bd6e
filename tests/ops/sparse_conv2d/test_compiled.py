"""The compiled convolution at sizes around its tiles, for other processors than this one, and its refusals."""

import platform
import shutil

import pytest
import torch

from mme2e.errors import UserError
from mme2e.ops import compiler
from mme2e.ops.sparse_conv2d import SparseMaps, submanifold_conv2d
from mme2e.ops.sparse_conv2d.compiled import SOURCE, convolve, weight_gradient
from mme2e.ops.sparse_conv2d.naive import submanifold_conv2d_naive

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def check(before: int, after: int, shape: tuple[int, int, int], dtype: torch.dtype = torch.float32) -> None:
    generator = torch.Generator().manual_seed(before + after)
    mask = torch.rand(shape, generator=generator) < 0.6
    dense = torch.randn(shape[0], before, *shape[1:], generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(9, after, before, generator=generator, dtype=dtype, requires_grad=True)
    maps = SparseMaps.from_dense(dense, mask)
    result = submanifold_conv2d(maps, weight, path="compiled")
    truth = submanifold_conv2d_naive(dense, mask, weight)
    torch.testing.assert_close(result.to_dense(), truth, rtol=1e-4, atol=1e-3)
    upstream = torch.randn(truth.shape, generator=generator, dtype=dtype)
    of_result = torch.autograd.grad((result.to_dense() * upstream).sum(), (dense, weight))
    of_truth = torch.autograd.grad((truth * upstream).sum(), (dense, weight))
    for mine, wanted in zip(of_result, of_truth, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("before", "after"), [(1, 1), (16, 64), (63, 65), (64, 132), (130, 133), (7, 200)])
def test_channels_around_the_tiles(before: int, after: int) -> None:
    check(before, after, (2, 9, 7))


def test_more_sites_than_a_block_and_a_stripe() -> None:
    check(5, 6, (6, 50, 41))


def test_float64() -> None:
    check(17, 9, (2, 9, 7), torch.float64)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="not this family of processors")
@pytest.mark.parametrize("processor", ["haswell", "x86-64"])
def test_processors_with_shorter_vectors(processor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if processor == "haswell" and not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        pytest.skip("this processor is older")
    library = compiler.library(SOURCE, torch.float32, (f"-march={processor}",))
    monkeypatch.setattr(compiler, "library", lambda *_: library)
    check(70, 37, (2, 9, 7))


def test_same_bits_with_any_number_of_threads() -> None:
    maps = SparseMaps.from_dense(torch.randn(6, 64, 50, 41))
    neighbours, gradient = maps.sites.neighbours, torch.randn(len(maps.sites), 20)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(
                (
                    convolve(maps.features, neighbours, torch.ones(9, 20, 64)),
                    weight_gradient(gradient, maps.features, neighbours),
                )
            )
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_nan_stays() -> None:
    maps = SparseMaps.from_dense(torch.full((1, 3, 2, 2), float("nan")))
    scale_and_shift = (torch.ones(5), torch.zeros(5))
    with torch.no_grad():
        result = submanifold_conv2d(maps, torch.ones(9, 5, 3), path="compiled", scale_and_shift=scale_and_shift)
    assert result.features.isnan().all()


def test_other_types_are_refused() -> None:
    maps = SparseMaps.from_dense(torch.ones(1, 3, 2, 2, dtype=torch.bfloat16))
    with pytest.raises(UserError, match="computes float32 and float64 on CPUs"):
        submanifold_conv2d(maps, torch.ones(9, 5, 3, dtype=torch.bfloat16), path="compiled")
    assert submanifold_conv2d(maps, torch.ones(9, 5, 3, dtype=torch.bfloat16)).features.dtype == torch.bfloat16
