import pytest
import torch

from mme2e.ops.sparse_conv2d import select_rows
from mme2e.ops.sparse_conv2d.select_rows import take_rows

PATHS = pytest.mark.parametrize("path", ["compiled", "plain"])


@pytest.fixture(autouse=True)
def only_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    path = request.node.callspec.params["path"]
    if path == "plain":
        monkeypatch.setattr(select_rows, "can_compile", lambda *_: False)
    elif not select_rows.can_compile(select_rows._SOURCE, torch.device("cpu"), torch.float64):
        pytest.skip("no C compiler")


@PATHS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3, 64])
@pytest.mark.parametrize(
    ("rows", "kept"),
    [(0, []), (1, []), (1, [0]), (7, [0, 6]), (7, [2, 3, 5]), (7, list(range(7)))],
    ids=["no rows", "none of one", "one", "ends", "inner", "all"],
)
def test_rows_and_gradients_are_those_of_indexing(
    path: str, dtype: torch.dtype, channels: int, rows: int, kept: list[int]
) -> None:
    features = torch.randn(rows, channels, dtype=dtype)
    gates = torch.randn(len(kept), dtype=dtype)
    places = torch.tensor(kept, dtype=torch.int64)
    upstream = torch.randn(len(kept), channels, dtype=dtype)
    for gated in (False, True):
        leaves = [each.clone().requires_grad_() for each in (features, gates)]
        taken = take_rows(leaves[0], places, leaves[1] if gated else None)
        wanted = [each.clone().requires_grad_() for each in (features, gates)]
        expected = wanted[0][places] * (wanted[1].unsqueeze(1) if gated else 1)
        torch.testing.assert_close(taken, expected)
        taken.backward(upstream)
        expected.backward(upstream)
        torch.testing.assert_close(leaves[0].grad, wanted[0].grad)
        torch.testing.assert_close(leaves[1].grad, wanted[1].grad)


@PATHS
def test_gradients_are_those_of_finite_differences(path: str) -> None:
    features = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    gates = torch.randn(3, dtype=torch.float64, requires_grad=True)
    kept = torch.tensor([0, 2, 5])
    assert torch.autograd.gradcheck(lambda x, g: take_rows(x, kept, g), (features, gates))


@PATHS
def test_strided_input_is_taken_as_it_reads(path: str) -> None:
    features = torch.randn(5, 6).t()
    kept = torch.tensor([[1, 9], [4, 9]])[:, 0]
    gates = torch.randn(2, 2)[:, 0]
    torch.testing.assert_close(take_rows(features, kept, gates), features[[1, 4]] * gates.unsqueeze(1))


@PATHS
def test_nan_stays_where_it_is(path: str) -> None:
    features = torch.tensor([[1.0, torch.nan], [2.0, 3.0], [torch.nan, 5.0]], requires_grad=True)
    taken = take_rows(features, torch.tensor([0, 1]), torch.tensor([2.0, 2.0], requires_grad=True))
    assert taken.isnan().tolist() == [[False, True], [False, False]]
    taken.nansum().backward()
    assert not features.grad.isnan().any()  # type: ignore[union-attr]  # the row that was not taken gets 0
