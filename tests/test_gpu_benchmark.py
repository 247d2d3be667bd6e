"""The program that measures on GPUs, without one: what it says there, and its logic on the CPU at toy sizes."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("gpu_benchmark", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_without_cuda_it_says_so_and_writes_nothing(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path / "results")]) == 0
    assert capsys.readouterr().out == "torch finds no CUDA device here: nothing is measured\n"
    assert not (tmp_path / "results").exists()


def test_all_of_it_on_the_cpu(gpu: ModuleType, tmp_path: Path) -> None:
    assert gpu.main(["--device", "cpu", "--tiny", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["environment"]["torch"] == torch.__version__
    tables = list(result["tables"].values())
    convolution, against_cpu, steps, *timings, tests = tables
    assert [row["precision"] for row in convolution] == ["fp32", "bf16", "fp16"]
    assert convolution[0]["gather error"] < 1e-5
    assert all(row["dense ms"] > 0 and row["naive ms"] > 0 for row in convolution)
    assert [row["error of logits"] for row in against_cpu] == [0, 0]  # this is the CPU
    assert against_cpu[1]["share of the same sites"] == 1
    assert {(row["model"], row["precision"], row["deterministic"]) for row in steps} == {
        (model, precision, deterministic)
        for model in ("fe2e", "mesm")
        for precision in ("fp32", "bf16", "fp16")
        for deterministic in (False, True)
    }
    assert all(row["loss after"] < row["loss before"] for row in steps)
    assert len(timings) == 4
    for table in timings:
        assert [row["model"] for row in table] == ["FE2E", "MESM p = 0.8", "MESM p = 0.5", "MESM p = 0.3"]
        assert table[0]["step of FE2E"] == table[0]["forward of FE2E"] == 1
        assert all(row["step ms"] > 0 and row["forward memory MB"] is None for row in table)
    assert " passed" in tests[0]["result"]
    written = (tmp_path / "gpu.md").read_text()
    assert "failure" not in written
    assert "| MESM p = 0.3 |" in written
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_fails_is_reported_and_the_rest_is_done(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    for name in ("convolution", "training_step"):
        monkeypatch.setattr(gpu, name, lambda *_: {"fine": 1.5})
    monkeypatch.setattr(gpu, "agreement", lambda *_: {"failure": "error 1 is more than 0"})
    monkeypatch.setattr(gpu, "timings", no_memory)
    monkeypatch.setattr(gpu, "run_tests", lambda *_: {"result": "1 passed"})
    assert gpu.main(["--device", "cpu", "--tiny", "--out", str(tmp_path)]) == 1
    written = (tmp_path / "gpu.md").read_text()
    assert "| all | OutOfMemoryError: CUDA out of memory. |" in written
    assert "| fe2e | error 1 is more than 0 |" in written
    assert "1 passed" in written
    assert "6 failed" in written


def test_what_there_is_no_time_for_is_named(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu, "BUDGET_S", 0.0)
    assert gpu.main(["--device", "cpu", "--tiny", "--out", str(tmp_path)]) == 0
    assert "22 rows, 0 failed, 22 skipped for lack of time" in (tmp_path / "gpu.md").read_text()


def test_tests_that_fail_or_take_too_long(gpu: ModuleType, tmp_path: Path) -> None:
    bad = tmp_path / "test_bad.py"
    bad.write_text("def test_bad():\n    assert False\n")
    sizes = gpu.Sizes(tests=("-n0", str(bad)))
    assert "1 failed" in gpu.run_tests(gpu.Clock(60), sizes)["failure"]
    assert gpu.run_tests(gpu.Clock(0.01), sizes)["failure"] == "not done after 0 s"
