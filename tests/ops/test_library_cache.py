"""Which compiled libraries are loaded, and from where; and that there is an answer where none can be kept."""

import _ctypes
import ctypes
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mme2e.ops import library_cache
from mme2e.ops.library_cache import cache_folder, load

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
NAME = "answer.so"


class Builder:
    """Makes a library whose `answer` is a number; counts how often."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.answer = 42
        self.built: list[Path] = []

    def __call__(self, path: Path) -> None:
        self.source.write_text(f"long answer(void) {{ return {self.answer}; }}\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(path), str(self.source)], check=True)
        self.built.append(path)


def answer(build: Builder) -> int:
    """What the library that is loaded answers; it is closed again, for a second one of that name is not opened."""
    library = load(NAME, build)
    try:
        return library.answer()
    finally:
        _ctypes.dlclose(library._handle)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Builder]:
    """What builds, with a cache and a folder for temporary files of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    library_cache._warn_once.cache_clear()
    yield Builder(tmp_path / "answer.c")
    library_cache._warn_once.cache_clear()


def assert_private(build: Builder, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    """Loading works, of a library built apart; nothing of it stays; one warning tells the reason."""
    with caplog.at_level(logging.WARNING):
        assert answer(build) == build.answer
        assert answer(build) == build.answer
    temporary = Path(tempfile.gettempdir())
    assert build.built
    assert all(path.is_relative_to(temporary) for path in build.built[-2:])
    assert not list(temporary.iterdir())
    assert len(caplog.records) == 1
    assert reason in caplog.text
    assert "every process compiles its kernels anew" in caplog.text


def test_is_built_once_and_kept_for_the_user_alone(build: Builder) -> None:
    for _ in range(2):
        assert answer(build) == 42
    assert len(build.built) == 1
    (kept,) = cache_folder().iterdir()
    assert kept.name == NAME
    for path in (kept, cache_folder()):
        assert path.stat().st_mode & 0o077 == 0


def test_four_processes_with_an_empty_cache(build: Builder) -> None:
    build.source.write_text("long answer(void) { return 42; }\n")
    program = (
        "import subprocess, sys\nfrom mme2e.ops.library_cache import load\nsys.stdin.read()\n"
        "def build(path):\n"
        f"    subprocess.run(['cc', '-shared', '-fPIC', '-o', str(path), {str(build.source)!r}], check=True)\n"
        f"print(load({NAME!r}, build).answer())"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    begun = [subprocess.Popen([sys.executable, "-c", program], **pipes) for _ in range(4)]
    for process in begun:  # all are there, or nearly
        process.stdin.close()
        process.stdin = None
    for process in begun:
        assert process.communicate(timeout=120) == ("42\n", "")
        assert process.returncode == 0
    assert [path.name for path in cache_folder().iterdir()] == [NAME]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.9999])
def test_a_file_that_was_cut_short_is_built_again(build: Builder, share: float) -> None:
    answer(build)
    kept = cache_folder() / NAME
    content = kept.read_bytes()
    kept.write_bytes(content[: int(share * len(content))])
    build.answer = 43
    assert answer(build) == 43
    assert len(build.built) == 2


def test_a_changed_file_is_built_again(build: Builder) -> None:
    answer(build)
    kept = cache_folder() / NAME
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    build.answer = 43
    assert answer(build) == 43


def test_a_file_that_others_may_write_to_is_built_again(build: Builder) -> None:
    answer(build)
    kept = cache_folder() / NAME
    content = kept.read_bytes()
    kept.write_bytes(content)
    kept.chmod(0o720)
    build.answer = 43
    assert answer(build) == 43
    assert kept.stat().st_mode & 0o022 == 0


def test_a_link_is_not_followed(build: Builder, tmp_path: Path) -> None:
    answer(build)
    kept = cache_folder() / NAME
    kept.rename(tmp_path / "elsewhere.so")
    kept.symlink_to(tmp_path / "elsewhere.so")
    build.answer = 43
    assert answer(build) == 43
    assert not kept.is_symlink()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_trusted(
    build: Builder, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    answer(build)
    cache_folder().chmod(mode)
    build.answer = 43
    assert_private(build, caplog, "can be written to by other users")


def test_a_folder_of_another_owner_is_not_trusted(
    build: Builder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(build)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    build.answer = 43
    assert_private(build, caplog, "belongs to another user")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no folder that even root cannot write to")
def test_a_home_that_cannot_be_written_to(
    build: Builder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/proc/self")
    assert_private(build, caplog, "cannot make /proc/self/.cache/mme2e")


def test_a_cache_that_can_only_be_read(
    build: Builder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(build)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root could write
    assert answer(build) == 42  # what is there, is loaded
    assert len(build.built) == 1
    (cache_folder() / NAME).write_bytes(b"")
    assert_private(build, caplog, "cannot be written to")


def test_a_file_where_the_cache_should_be(build: Builder, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    assert_private(build, caplog, "cannot make")


def test_a_user_without_a_home(
    build: Builder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert_private(build, caplog, "no home folder")


def test_where_the_cache_is(build: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache" / "mme2e"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for ignored in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder() == tmp_path / "home" / ".cache" / "mme2e"


def test_a_cache_that_nothing_can_be_executed_from(
    build: Builder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ctypes.CDLL

    def not_from_the_cache(path: str) -> ctypes.CDLL:
        if Path(path).is_relative_to(cache_folder()):
            raise OSError(f"{path}: failed to map segment from shared object")
        return real(path)

    monkeypatch.setattr(ctypes, "CDLL", not_from_the_cache)
    assert_private(build, caplog, "can be loaded from")


def test_where_no_folder_can_be_used(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(path: str) -> ctypes.CDLL:
        raise OSError(f"{path}: failed to map segment from shared object")

    monkeypatch.setattr(ctypes, "CDLL", nowhere)
    with pytest.raises(
        OSError, match=r"mme2e \(failed to map segment from shared object\); a private folder"
    ) as raised:
        answer(build)
    assert NAME not in str(raised.value)
