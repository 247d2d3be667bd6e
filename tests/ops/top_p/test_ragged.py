"""Ragged softmax and top-p against their definitions."""

import math

import pytest
import torch

from mme2e.errors import UserError
from mme2e.ops.top_p import frame_of_site, ragged_softmax, top_p_mask
from mme2e.ops.top_p.naive import ragged_softmax_naive, top_p_naive

COUNTS = [[1], [5], [0], [], [3, 0, 1, 7], [0, 0, 4], [576] * 3]


def offsets_of(counts: list[int]) -> torch.Tensor:
    return torch.tensor([0, *counts]).cumsum(0)


@pytest.mark.parametrize("counts", COUNTS)
def test_softmax_is_the_definition(counts: list[int]) -> None:
    offsets = offsets_of(counts)
    scores = torch.randn(sum(counts), generator=torch.Generator().manual_seed(0)) * 30
    torch.testing.assert_close(ragged_softmax(scores, offsets), ragged_softmax_naive(scores, offsets))


def test_softmax_has_the_right_gradient() -> None:
    offsets = offsets_of([3, 0, 1, 4])
    scores = torch.randn(8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda each: ragged_softmax(each, offsets), scores)


@pytest.mark.parametrize("p", [1e-6, 0.1, 0.5, 0.8, 0.999, 1.0])
@pytest.mark.parametrize("counts", COUNTS)
def test_top_p_is_the_definition(counts: list[int], p: float) -> None:
    offsets = offsets_of(counts)
    scores = torch.randn(sum(counts), generator=torch.Generator().manual_seed(1)) * 2
    weights = ragged_softmax_naive(scores, offsets)
    assert torch.equal(top_p_mask(weights, offsets, p), top_p_naive(weights, offsets, p))


def test_kept_sites_hold_p_and_one_fewer_would_not() -> None:
    weights = torch.tensor([0.4, 0.1, 0.3, 0.2])
    offsets = offsets_of([4])
    assert top_p_mask(weights, offsets, 0.5).tolist() == [True, False, True, False]
    assert top_p_mask(weights, offsets, 0.3).tolist() == [True, False, False, False]
    assert top_p_mask(weights, offsets, 0.95).tolist() == [True, True, True, True]


def test_ties_go_by_order_of_sites() -> None:
    weights = torch.full((8,), 0.125)
    assert top_p_mask(weights, offsets_of([8]), 0.5).tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_sums_are_exact_in_every_precision(dtype: torch.dtype, p: float) -> None:
    """Many small weights behind a large one: half precision would not notice them, float32 would round."""
    weights = torch.tensor([0.5, *[0.5 / 4096] * 4096], dtype=dtype)
    kept = top_p_mask(weights, offsets_of([4097]), p)
    assert int(kept.sum()) == (1 if p <= 0.5 else 1 + math.ceil((p - 0.5) * 8192))


def test_every_frame_keeps_a_site_and_an_empty_one_none() -> None:
    offsets = offsets_of([2, 0, 1])
    kept = top_p_mask(torch.tensor([0.5, 0.5, 1.0]), offsets, 1e-9)
    assert torch.bincount(frame_of_site(offsets, 3)[kept], minlength=3).tolist() == [1, 0, 1]


def test_rounding_never_drops_a_site_at_p_1() -> None:
    weights = torch.full((1000,), 1 / 1000) * 1.001  # adds up to more than 1
    assert top_p_mask(weights, offsets_of([1000]), 1.0).all()


def test_rounding_below_p_keeps_all() -> None:
    # Adds up to less than p: the reference runs past the end of its list here.
    assert top_p_mask(torch.full((10,), 0.09), offsets_of([10]), 0.95).all()


@pytest.mark.parametrize("p", [0.0, -0.5, 1.0001, float("nan")])
def test_p_outside_its_range_is_refused(p: float) -> None:
    with pytest.raises(UserError, match="top_p must be in"):
        top_p_mask(torch.ones(1), offsets_of([1]), p)


def test_a_frame_with_nan_keeps_all_so_that_nan_is_not_lost() -> None:
    weights = torch.tensor([0.7, float("nan"), 0.3, 0.9, 0.1])
    assert top_p_mask(weights, torch.tensor([0, 3, 5]), 0.5).tolist() == [True, True, True, True, False]
