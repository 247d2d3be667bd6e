"""Compiling kernels: once a process, and what happens without a compiler."""

import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch

from mme2e.ops import compiler, library_cache
from mme2e.ops.compiler import CompilationError, can_compile, library

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A kernel, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "twice.c"
    path.write_text("long twice(REAL *x) { x[0] *= 2; return sizeof(REAL); }\n")
    compiler._warn_once.cache_clear()
    yield path
    compiler._warn_once.cache_clear()


def kept_files() -> list[Path]:
    return sorted(library_cache.cache_folder().iterdir())


@needs_compiler
def test_is_compiled_once_for_each_content_and_type(source: Path) -> None:
    numbers = torch.tensor([1.5])
    assert compiler.call(source, "twice", torch.float32, (numbers,)) == 4
    assert compiler.call(source, "twice", torch.float64, (torch.ones(1, dtype=torch.float64),)) == 8
    assert numbers.item() == 3
    kept = [(path, path.stat().st_mtime_ns) for path in kept_files()]
    assert len(kept) == 2
    compiler._library.cache_clear()
    library(source, torch.float32)
    assert [(path, path.stat().st_mtime_ns) for path in kept_files()] == kept
    compiler._library.cache_clear()
    source.write_text("long twice(REAL *x) { return 0; }\n")
    library(source, torch.float32)
    assert len(kept_files()) == 3


@needs_compiler
def test_four_threads_with_an_empty_cache(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Path] = []
    real = compiler._compile
    monkeypatch.setattr(compiler, "_compile", lambda *given: (commands.append(given[0]), real(*given)))
    begun = Barrier(4)

    def double(number: float) -> float:
        numbers = torch.tensor([number])
        begun.wait()
        assert can_compile(source, CPU, torch.float32)
        compiler.call(source, "twice", torch.float32, (numbers,))
        return numbers.item()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(double, [1.0, 2.0, 3.0, 4.0])) == [2, 4, 6, 8]
    assert len(commands) == 1
    assert len(kept_files()) == 1


@needs_compiler
def test_the_message_has_the_compilers_complaint(source: Path) -> None:
    source.write_text("nonsense\n")
    with pytest.raises(CompilationError, match=r"cc failed: .*error"):
        library(source, torch.float32)
    assert not kept_files()


def test_without_a_compiler(source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(CompilationError, match=r"there is no C compiler 'no-such-compiler -m64'"):
        library(source, torch.float32)
    other = source.with_name("other.c")
    other.write_text("long other(REAL *x) { return 0; }\n")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert not can_compile(source, CPU, torch.float32)
            assert not can_compile(other, CPU, torch.float64)
    assert len(caplog.records) == 1  # once for all kernels
    assert "slower paths are taken" in caplog.text


def test_only_for_floats_on_cpus(source: Path) -> None:
    assert not can_compile(source, torch.device("meta"), torch.float32)
    assert not can_compile(source, CPU, torch.bfloat16)


@needs_compiler
def test_a_library_that_cannot_be_loaded_means_slower_paths(
    source: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def junk(_: Path, __: object, path: Path) -> None:
        path.write_bytes(b"no library")

    monkeypatch.setattr(compiler, "_compile", junk)
    with caplog.at_level(logging.WARNING):
        assert not can_compile(source, CPU, torch.float32)
        assert not can_compile(source, CPU, torch.float64)
    assert len(caplog.records) == 1
    assert "no compiled kernel can be loaded from" in caplog.text
    assert "slower paths are taken" in caplog.text
