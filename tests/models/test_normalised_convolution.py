import pytest
import torch
from torch import nn

from mme2e.models.normalised_convolution import convolve_and_normalise


def pair(after: int = 6) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, after, 3, padding=1).double(), nn.BatchNorm2d(after).double()
    for values in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(values)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return conv, norm


@pytest.mark.parametrize("size", [1, 8])  # with fewer results than weights, and with more
def test_in_evaluation_the_normalisation_goes_into_the_weights(size: int) -> None:
    conv, norm = pair()
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(convolve_and_normalise(x, conv, norm.eval()), norm(conv(x)))


def test_with_gradients_evaluation_is_plain() -> None:
    conv, norm = pair()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    convolve_and_normalise(x, conv, norm.eval()).sum().backward()
    assert norm.weight.grad is not None
    assert conv.bias.grad.abs().max() > 0


def test_a_normalisation_of_another_kind_is_left_alone() -> None:
    class Doubling(nn.BatchNorm2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    conv, _ = pair()
    norm = Doubling(6).double().eval()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(convolve_and_normalise(x, conv, norm), norm(conv(x)))
