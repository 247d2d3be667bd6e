"""The fused normalisation against its definition."""

import copy
import shutil

import pytest
import torch
from torch import Tensor, nn

from mme2e.ops.batch_norm import batch_norm_relu, can_normalise
from mme2e.ops.batch_norm.naive import batch_norm_relu_naive

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def make_norm(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> nn.BatchNorm1d | nn.BatchNorm2d:
    torch.manual_seed(0)
    norm = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1]).to(dtype)
    for values in (norm.weight, norm.bias, norm.running_mean):  # weights of both signs
        nn.init.normal_(values)
    return norm


ROWS = [(2, 1), (7, 3), (40, 17), (300, 70), (5000, 8)]
MAPS = [(1, 1, 1, 2), (3, 5, 4, 6), (1, 16, 2, 2), (2, 70, 5, 7), (1, 3, 3, 2), (9, 33, 2, 9)]


@pytest.mark.parametrize(("shape", "pool"), [(shape, False) for shape in ROWS + MAPS] + [(s, True) for s in MAPS[1:]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_is_the_definition(shape: tuple[int, ...], pool: bool, dtype: torch.dtype) -> None:
    norm = make_norm(shape, dtype)
    other = copy.deepcopy(norm)
    x = (3 * torch.randn(shape, dtype=dtype) + 5).requires_grad_()
    same = x.detach().clone().requires_grad_()
    result, truth = batch_norm_relu(x, norm, pool=pool), batch_norm_relu_naive(same, other, pool=pool)
    upstream = torch.randn(truth.shape, dtype=dtype)
    result.backward(upstream)
    truth.backward(upstream)
    torch.testing.assert_close(result, truth, rtol=1e-4, atol=1e-5)
    for mine, wanted in zip((x, norm.weight, norm.bias), (same, other.weight, other.bias), strict=True):
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=1e-3, atol=1e-4)
    for mine, wanted in zip(norm.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(mine, wanted)


@pytest.mark.parametrize(("shape", "pool"), [((6, 3), False), ((2, 3, 3, 5), False), ((2, 3, 3, 5), True)])
def test_gradients_in_float64(shape: tuple[int, ...], pool: bool) -> None:
    norm = make_norm(shape)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def compute(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        given = copy.deepcopy(norm)
        del given.weight, given.bias
        given.weight, given.bias = weight, bias  # type: ignore[assignment]
        return batch_norm_relu(x, given, pool=pool)

    weight, bias = (each.detach().clone().requires_grad_() for each in (norm.weight, norm.bias))
    assert torch.autograd.gradcheck(compute, (x, weight, bias))


def test_far_from_zero() -> None:
    norm = make_norm((4000, 3), torch.float32)
    x = torch.randn(4000, 3) + 3000
    result = batch_norm_relu(x, norm)
    torch.testing.assert_close(
        result, batch_norm_relu_naive(x.double(), make_norm((4000, 3)), pool=False).float(), rtol=0, atol=2e-3
    )


def test_a_bias_that_was_left_out_moves_the_average_and_has_a_gradient_of_zero() -> None:
    norm = make_norm((50, 3))
    other = copy.deepcopy(norm)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(50, 3, dtype=torch.float64)
    result = batch_norm_relu(x, norm, bias=bias)
    torch.testing.assert_close(result, batch_norm_relu_naive(x, other, bias=bias.detach()))
    result.sum().backward()
    assert bias.grad.tolist() == [0, 0, 0]
    torch.testing.assert_close(norm.running_mean, other.running_mean)


@pytest.mark.parametrize("pool", [False, True])
def test_nan_is_not_lost(pool: bool) -> None:
    x = torch.randn(2, 3, 4, 4)
    x[1, 2, 3, 3] = torch.nan
    result = batch_norm_relu(x, make_norm(x.shape, torch.float32), pool=pool)
    assert result[:, 2].isnan().all()
    assert not result[:, :2].isnan().any()


def test_of_equal_inputs_the_first_gets_the_gradient() -> None:
    x = torch.zeros(1, 1, 2, 4)
    x[..., :2] = 1
    x.requires_grad_()
    norm = nn.BatchNorm2d(1)
    batch_norm_relu(x, norm, pool=True)[..., 0].sum().backward()
    same = x.detach().clone().requires_grad_()
    batch_norm_relu_naive(same, norm, pool=True)[..., 0].sum().backward()
    torch.testing.assert_close(x.grad, same.grad, rtol=0, atol=1e-4)


def test_same_bits_with_any_number_of_threads() -> None:
    x = torch.randn(3, 20, 31, 30)
    results = []
    threads = torch.get_num_threads()
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        given = x.clone().requires_grad_()
        result = batch_norm_relu(given, make_norm(x.shape, torch.float32), pool=True)
        result.square().sum().backward()
        results.append((result.detach(), given.grad))
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (1, 3, 1, 1)])
def test_one_value_has_no_variance(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="more than one value a channel"):
        batch_norm_relu(torch.zeros(shape), make_norm(shape, torch.float32))


def test_what_is_left_to_pytorch() -> None:
    x = torch.zeros(4, 3)

    class Doubling(nn.BatchNorm1d):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    assert can_normalise(x, nn.BatchNorm1d(3))
    for norm in (
        Doubling(3),
        nn.SyncBatchNorm(3),
        nn.BatchNorm1d(3, affine=False),
        nn.BatchNorm1d(3, track_running_stats=False),
        nn.BatchNorm1d(3, momentum=None),
        nn.BatchNorm1d(3).double(),
    ):
        assert not can_normalise(x, norm)
    with torch.autocast("cpu", torch.bfloat16):
        assert not can_normalise(x, nn.BatchNorm1d(3))
    assert not can_normalise(x.bfloat16(), nn.BatchNorm1d(3).bfloat16())
