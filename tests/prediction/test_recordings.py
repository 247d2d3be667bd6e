import os
from pathlib import Path

import pytest

from mme2e.errors import UserError
from mme2e.prediction.recordings import find_recordings


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def names(*given: str | Path) -> list[str]:
    return [each.name for each in find_recordings(given)]


def test_files_folders_and_patterns_each_once_in_order(tmp_path: Path):
    b, a = touch(tmp_path / "in" / "b.mp4"), touch(tmp_path / "in" / "deep" / "a.WAV")
    touch(tmp_path / "in" / "notes.txt")
    touch(tmp_path / "in" / "b.mme2e.mp4")
    touch(tmp_path / "in" / ".hidden.mp4")
    found = find_recordings([a, tmp_path / "in", str(tmp_path / "in" / "*.mp4")])
    assert [each.path for each in found] == [a, b]
    assert [each.name for each in found] == ["a", "b"]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path: Path):
    assert names(touch(tmp_path / "clip.dat")) == ["clip"]


def test_two_recordings_of_one_name_get_different_answers(tmp_path: Path):
    paths = [touch(tmp_path / place) for place in ("x/talk.mp4", "y/talk.mp4", "talk.wav", "Other.mp4")]
    assert names(*paths) == ["talk.mp4", "talk.mp4-2", "talk.wav", "Other"]


def test_a_name_that_fills_the_file_system_is_cut_and_stays_its_own(tmp_path: Path):
    first, second = (touch(tmp_path / f"{'ä' * 120}{digit}.mp4") for digit in "12")
    found = names(first, second)
    assert len(set(found)) == 2
    assert all(len(os.fsencode(name)) <= 210 for name in found)


def test_a_name_that_is_not_utf_8(tmp_path: Path):
    path = touch(tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    assert find_recordings([tmp_path])[0].path == path


def test_a_loop_of_links_ends(tmp_path: Path):
    touch(tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in", target_is_directory=True)
    assert names(tmp_path / "in") == ["a"]


@pytest.mark.parametrize("given", ["nowhere.mp4", "a\0b.mp4", "x" * 300 + ".mp4", "*.mp4"])
def test_what_does_not_exist_is_named(tmp_path: Path, given: str):
    with pytest.raises(UserError, match=r"there is no file|holds no recording|cannot be read|no name of a file"):
        find_recordings([str(tmp_path / given)])


def test_an_empty_folder_and_a_run_folder_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="holds no recording"):
        find_recordings([tmp_path])
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(UserError, match=rf"is a run folder, not a recording: .* --run {tmp_path}"):
        find_recordings([tmp_path])
