"""The Triton path: its cases in Triton's interpreter and on CUDA, its compilation, its choice, its messages."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from mme2e.errors import UserError
from mme2e.ops.sparse_conv2d import Sites, SparseMaps, build_neighbours, conv, submanifold_conv2d
from mme2e.ops.sparse_conv2d import triton_conv as module

CASES = Path(__file__).with_name("triton_cases.py")

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


def run_cases(**environment: str) -> None:
    """Runs the cases in a process of their own: where Triton runs is settled when it is imported."""
    inherited = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", str(CASES)]
    outcome = subprocess.run(command, env=inherited | environment, capture_output=True, text=True, timeout=600)
    assert outcome.returncode == 0, outcome.stdout[-4000:] + outcome.stderr[-2000:]


@needs_triton
@pytest.mark.slow
def test_cases_in_the_interpreter() -> None:
    run_cases(TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_cases_on_cuda() -> None:
    run_cases()


@needs_triton
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("dtype", "precision"), [("fp32", "ieee"), ("fp32", "tf32"), ("bf16", "ieee")])
def test_kernels_compile_for_gpus(
    capability: int, dtype: str, precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from mme2e.ops.sparse_conv2d import triton_kernels as kernels

    channels = {"in_channels": 64, "out_channels": 128}
    torch_dtype = torch.float32 if dtype == "fp32" else torch.bfloat16
    pointers = dict.fromkeys(["features", "weight", "output", "gradient"], f"*{dtype}")
    types = pointers | {"neighbours": "*i32", "partial_sums": "*fp32"}
    for kernel, tiles in [
        (kernels._convolve, kernels.convolution_tiles(torch_dtype, **channels)),
        (kernels._weight_gradient, kernels.gradient_tiles(torch_dtype, **channels)),
    ]:
        blocks = {name: getattr(tiles, name) for name in ("block_sites", "block_out", "block_in")}
        constants = channels | blocks | {"precision": precision, "widen": False}
        signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in kernel.arg_names}
        compiled = triton.compile(
            ASTSource(kernel, signature, {(kernel.arg_names.index(name),): value for name, value in constants.items()}),
            target=GPUTarget("cuda", capability, 32),
            options={"num_warps": tiles.num_warps, "num_stages": tiles.num_stages},
        )
        assert compiled.asm["cubin"]
        assert compiled.metadata.shared <= 64 * 1024
        assert ("mma" in compiled.asm["ptx"]) == (precision == "tf32" or dtype == "bf16")  # on tensor cores


@needs_triton
def test_float32_products_follow_the_setting_of_torch() -> None:
    from mme2e.ops.sparse_conv2d.triton_kernels import float32_precision

    assert float32_precision() == "ieee"
    torch.set_float32_matmul_precision("high")
    try:
        assert float32_precision() == "tf32"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_neighbours_of_a_known_mask() -> None:
    # The whole upper row and the lower left corner of one frame, then the first site of the next.
    table = build_neighbours(torch.tensor([0, 1, 2, 4]), (2, 2, 2))
    assert table.dtype == torch.int32
    assert table.tolist() == [
        [-1, -1, -1, -1, 0, 1, -1, 2, -1],
        [-1, -1, -1, 0, 1, -1, 2, -1, -1],
        [-1, 0, 1, -1, 2, -1, -1, -1, -1],
        [-1, -1, -1, -1, 3, -1, -1, -1, -1],
    ]


def test_neighbours_are_found_once() -> None:
    sites = Sites(torch.tensor([0, 1]), (1, 2, 2))
    assert sites.neighbours is sites.neighbours


def maps_of(density: float, dtype: torch.dtype = torch.float32) -> SparseMaps:
    mask = torch.arange(100).view(1, 10, 10) < 100 * density
    return SparseMaps.from_dense(torch.ones(1, 2, 10, 10, dtype=dtype), mask)


def test_choice_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv, "triton_is_installed", lambda: True)
    assert conv.cuda_path(maps_of(1.0)) == "dense"
    assert conv.cuda_path(maps_of(0.5)) == "triton"
    assert conv.cuda_path(maps_of(0.0)) == "triton"
    assert conv.cuda_path(maps_of(0.5, torch.float64)) == "gather"
    monkeypatch.setattr(conv, "triton_is_installed", lambda: False)
    assert conv.cuda_path(maps_of(0.5)) == "gather"


def test_missing_triton_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "triton_is_installed", lambda: False)
    with pytest.raises(UserError, match=r"not installed: pip install 'mme2e\[triton\]'"):
        submanifold_conv2d(maps_of(0.5), torch.ones(9, 3, 2), path="triton")


@needs_triton
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter runs on the CPU")
def test_cpu_without_the_interpreter_is_refused() -> None:
    with pytest.raises(UserError, match="features are on cpu: path 'triton' needs a CUDA device"):
        submanifold_conv2d(maps_of(0.5), torch.ones(9, 3, 2), path="triton")
