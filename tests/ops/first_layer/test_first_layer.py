"""The first layer in one pass against its definition."""

import copy
import platform
import shutil

import pytest
import torch
from torch import Tensor, nn

from mme2e.ops import compiler
from mme2e.ops.first_layer import can_fuse, first_layer
from mme2e.ops.first_layer.naive import first_layer_naive

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def make_layer(
    before: int, after: int, size: int, dtype: torch.dtype = torch.float64, *, bias: bool = True
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    torch.manual_seed(0)
    conv = nn.Conv2d(before, after, size, padding=size // 2, bias=bias).to(dtype)
    norm = nn.BatchNorm2d(after).to(dtype)
    for values in (norm.weight, norm.bias, norm.running_mean):  # weights of both signs
        nn.init.normal_(values)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return conv, norm


SHAPES = [  # maps, channels before and after, height, width, size of the kernel
    (2, 3, 5, 6, 4, 5),
    (3, 1, 64, 8, 8, 5),
    (1, 2, 70, 5, 7, 3),
    (1, 1, 1, 2, 2, 5),
    (4, 1, 16, 2, 2, 1),
    (2, 3, 65, 19, 35, 5),
    (1, 4, 130, 3, 2, 7),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_is_the_definition(shape: tuple[int, ...], dtype: torch.dtype, bias: bool) -> None:
    count, before, after, height, width, size = shape
    layer = make_layer(before, after, size, dtype, bias=bias)
    other = copy.deepcopy(layer)
    maps = 2 * torch.randn(count, before, height, width, dtype=dtype) + 1
    assert can_fuse(maps, *layer)
    result, truth = first_layer(maps, *layer), first_layer_naive(maps, *other)
    upstream = torch.randn(truth.shape, dtype=dtype)
    result.backward(upstream)
    truth.backward(upstream)
    rough = {"rtol": 1e-3, "atol": 1e-3} if dtype == torch.float32 else {}
    torch.testing.assert_close(result, truth, **rough)
    assert result.is_contiguous(memory_format=torch.channels_last)
    for mine, wanted in zip(layer, other, strict=True):
        for (name, parameter), same in zip(mine.named_parameters(), wanted.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, same.grad, **rough, msg=lambda m, n=name: f"{n}: {m}")
        for buffer, same in zip(mine.buffers(), wanted.buffers(), strict=True):
            torch.testing.assert_close(buffer, same, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_is_the_definition_in_evaluation(shape: tuple[int, ...]) -> None:
    count, before, after, height, width, size = shape
    conv, norm = make_layer(before, after, size)
    maps = torch.randn(count, before, height, width, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(first_layer(maps, conv, norm.eval()), first_layer_naive(maps, conv, norm))


def test_gradients_in_float64() -> None:
    conv, norm = make_layer(2, 3, 3)
    maps = torch.randn(2, 2, 5, 4, dtype=torch.float64)

    def compute(weight: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        given = copy.deepcopy((conv, norm))
        for module, name, value in (
            (given[0], "weight", weight),
            (given[1], "weight", gamma),
            (given[1], "bias", beta),
        ):
            delattr(module, name)
            setattr(module, name, value)
        return first_layer(maps, *given)

    parameters = [each.detach().clone().requires_grad_() for each in (conv.weight, norm.weight, norm.bias)]
    assert torch.autograd.gradcheck(compute, parameters)


def test_the_least_of_a_layer_and_of_maps() -> None:
    layer = make_layer(1, 4, 5)
    assert first_layer(torch.zeros(2, 1, 1, 3, dtype=torch.float64), *layer).shape == (2, 4, 0, 1)
    with pytest.raises(ValueError, match="more than one value a channel"):
        first_layer(torch.zeros(1, 1, 1, 1, dtype=torch.float64), *layer)
    layer[1].eval()
    with torch.no_grad():
        assert first_layer(torch.zeros(0, 1, 6, 4, dtype=torch.float64), *layer).shape == (0, 4, 3, 2)


def test_maps_that_are_all_alike_become_the_shift() -> None:
    conv, norm = make_layer(1, 3, 1, torch.float32)
    result = first_layer(torch.full((2, 1, 4, 4), 1000.0), conv, norm)
    torch.testing.assert_close(result, norm.bias.detach().relu().view(1, 3, 1, 1).expand_as(result), rtol=0, atol=0.02)


@pytest.mark.parametrize("training", [True, False])
def test_nan_is_not_lost(training: bool) -> None:
    conv, norm = make_layer(1, 3, 5)
    maps = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    maps[1, 0, 7, 7] = torch.nan
    with torch.no_grad():
        result = first_layer(maps, conv, norm.train(training))
    assert result[1, :, 3, 3].isnan().all()
    assert result[0].isnan().any() == training  # the averages are NaN then


def test_same_bits_with_any_number_of_threads() -> None:
    maps = torch.randn(5, 3, 22, 18)
    threads, results = torch.get_num_threads(), []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        conv, norm = make_layer(3, 20, 5, torch.float32)
        result = first_layer(maps, conv, norm)
        result.square().sum().backward()
        results.append((result.detach(), conv.weight.grad))
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="not this family of processors")
@pytest.mark.parametrize("processor", ["haswell", "x86-64"])
def test_processors_with_shorter_vectors(processor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if processor == "haswell" and not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        pytest.skip("this processor is older")
    real = compiler.library
    monkeypatch.setattr(compiler, "library", lambda source, dtype: real(source, dtype, (f"-march={processor}",)))
    layer, maps = make_layer(3, 70, 5, torch.float32), torch.randn(2, 3, 9, 11)
    other = copy.deepcopy(layer)
    result, truth = first_layer(maps, *layer), first_layer_naive(maps, *other)
    torch.testing.assert_close(result, truth, rtol=1e-3, atol=1e-3)
    result.square().sum().backward()
    truth.square().sum().backward()
    torch.testing.assert_close(layer[0].weight.grad, other[0].weight.grad, rtol=1e-3, atol=1e-2)


def test_what_is_left_to_pytorch() -> None:
    conv, norm = make_layer(1, 2, 5, torch.float32)
    maps = torch.zeros(1, 1, 4, 4)
    assert can_fuse(maps, conv, norm)
    assert not can_fuse(maps.clone().requires_grad_(), conv, norm)
    assert not can_fuse(maps.double(), conv, norm)
    assert not can_fuse(maps, nn.Conv2d(1, 2, 5), norm)  # without padding
    assert not can_fuse(maps, nn.Conv2d(1, 2, 4, padding=2), norm)
    assert not can_fuse(maps, nn.Conv2d(1, 2, 5, padding=2, stride=2), norm)
    assert not can_fuse(maps, conv, nn.BatchNorm2d(2, momentum=None))
    assert not can_fuse(maps, conv, norm.eval())  # its gradients in evaluation
    with torch.no_grad():
        assert can_fuse(maps, conv, norm)
