"""Files that appear whole or not at all, whoever writes them at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from mme2e.atomic import replacing, temporary_beside, write_text


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "before")
    with replacing(path) as temporary:
        temporary.write_text("after", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "before"
    assert path.read_text(encoding="utf-8") == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_file_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "before")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_every_call_and_thread_has_a_name_of_its_own(tmp_path: Path) -> None:
    names = {temporary_beside(tmp_path / "file.txt") for _ in range(100)}
    assert len(names) == 100
    assert {name.parent for name in names} == {tmp_path}


def test_the_name_is_found_among_leftovers_and_never_too_long(tmp_path: Path) -> None:
    for name in ("a", "n" * 255, "é" * 127, "語" * 85):
        (tmp_path / name).touch()
        temporary = temporary_beside(tmp_path / name)
        temporary.touch()
        assert list(tmp_path.glob(".*.tmp")) == [temporary]
        temporary.unlink()


def test_threads_that_write_one_file_leave_a_whole_one(tmp_path: Path) -> None:
    path, begun = tmp_path / "file.txt", Barrier(4)

    def write(letter: str) -> None:
        begun.wait()
        for _ in range(50):
            write_text(path, letter * 1000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    assert path.read_text(encoding="utf-8") in {letter * 1000 for letter in "abcd"}
    assert list(tmp_path.iterdir()) == [path]
