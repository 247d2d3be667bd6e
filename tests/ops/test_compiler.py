"""Compiling kernels: where they are kept, and what happens without a compiler."""

import logging
import shutil
from pathlib import Path

import pytest
import torch

from mme2e.ops import compiler
from mme2e.ops.compiler import CompilationError, can_compile, library

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "twice.c"
    path.write_text("long twice(REAL *x) { x[0] *= 2; return sizeof(REAL); }\n")
    return path


@needs_compiler
def test_is_compiled_once_for_each_content_and_type(source: Path) -> None:
    numbers = torch.tensor([1.5])
    assert compiler.call(source, "twice", torch.float32, (numbers,)) == 4
    assert compiler.call(source, "twice", torch.float64, (torch.ones(1, dtype=torch.float64),)) == 8
    assert numbers.item() == 3
    kept = sorted(compiler.cache_folder().iterdir())
    assert len(kept) == 2
    library.cache_clear()
    library(source, torch.float32)
    assert sorted(compiler.cache_folder().iterdir()) == kept
    library.cache_clear()
    source.write_text("long twice(REAL *x) { return 0; }\n")
    library(source, torch.float32)
    assert len(list(compiler.cache_folder().iterdir())) == 3


@needs_compiler
def test_a_mistake_in_the_source_is_told(source: Path) -> None:
    source.write_text("nonsense\n")
    with pytest.raises(CompilationError, match=r"cc failed: .*error"):
        library(source, torch.float32)
    assert not list(compiler.cache_folder().iterdir())


def test_without_a_compiler(source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(CompilationError, match=r"no C compiler 'no-such-compiler -m64' to compile twice\.c with"):
        library(source, torch.float32)
    with caplog.at_level(logging.WARNING):
        assert not can_compile(source, CPU, torch.float32)
        assert not can_compile(source, CPU, torch.float32)
    assert len(caplog.records) == 1  # told once
    assert "slower paths are taken" in caplog.text


def test_only_for_floats_on_cpus(source: Path) -> None:
    assert not can_compile(source, torch.device("meta"), torch.float32)
    assert not can_compile(source, CPU, torch.bfloat16)


def test_a_cache_that_cannot_be_made(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CompilationError, match=r"cannot make .* for compiled kernels"):
        compiler.cache_folder()
