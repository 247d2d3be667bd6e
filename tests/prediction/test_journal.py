"""What a folder of answers knows of itself after any interruption."""

import os

import pytest

from mme2e.inference.request import Progress
from mme2e.prediction.journal import DONE_FILE, Done, PartialJournal, add_done, fingerprint, read_done

FIRST = Progress(reached_s=1.0, segments=({"start_s": 0.0},), faces={"1": [[0.5, 1, 2, 3, 4]]}, people={"1": {"n": 1}})
SECOND = Progress(reached_s=2.0, segments=({"start_s": 1.0},), faces={"1": [[1.5, 1, 2, 3, 4]], "2": []})


def journal(folder, key="key"):
    return PartialJournal(folder, "talk", key)


def test_what_was_found_adds_up(tmp_path):
    ours = journal(tmp_path)
    assert ours.read() is None
    ours.add(FIRST)
    ours.add(SECOND)
    found = journal(tmp_path).read()
    assert found is not None
    assert found.reached_s == 2.0
    assert [segment["start_s"] for segment in found.segments] == [0.0, 1.0]
    assert [time_s for time_s, *_ in found.faces["1"]] == [0.5, 1.5]
    ours.remove()
    assert list(tmp_path.iterdir()) == []
    ours.remove()


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_was_cut_is_left_out_and_the_next_is_whole(tmp_path, cut):
    ours = journal(tmp_path)
    ours.read()
    ours.add(FIRST)
    ours.add(SECOND)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-cut])
    again = journal(tmp_path)
    found = again.read()
    assert found is not None
    if cut > 1:
        assert found.reached_s == 1.0
        again.add(SECOND)
    found = journal(tmp_path).read()
    assert found is not None
    assert found.reached_s == 2.0


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"[]\n", b"3\n", b'{"key": "key"}\n', b'{"key": "ke'])
def test_a_file_of_nothing_is_begun_again(tmp_path, content):
    (tmp_path / ".talk.partial.jsonl").write_bytes(content)
    ours = journal(tmp_path)
    assert ours.read() is None
    ours.add(FIRST)
    assert journal(tmp_path).read() == FIRST or journal(tmp_path).read().reached_s == 1.0


def test_of_another_recording_or_other_settings_nothing_is_taken(tmp_path):
    ours = journal(tmp_path)
    ours.read()
    ours.add(FIRST)
    assert journal(tmp_path, "other").read() is None
    assert journal(tmp_path).read() is None


def done(name, key="key", row=None):
    return Done(name=name, key=key, row=row or {"segments": 1}, files=(f"{name}.mme2e.json",))


def test_recordings_of_which_answers_vanished_are_not_done(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.mme2e.json").write_text("{}")
        add_done(tmp_path, done(name))
    assert set(read_done(tmp_path)) == {"a", "b"}
    (tmp_path / "a.mme2e.json").unlink()
    assert set(read_done(tmp_path)) == {"b"}


def test_the_last_line_of_a_recording_counts(tmp_path):
    (tmp_path / "a.mme2e.json").write_text("{}")
    add_done(tmp_path, done("a", "old"))
    add_done(tmp_path, done("a", "new"))
    assert read_done(tmp_path)["a"].key == "new"


def test_a_line_of_what_is_done_that_was_cut(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.mme2e.json").write_text("{}")
        add_done(tmp_path, done(name))
    file = tmp_path / DONE_FILE
    file.write_bytes(file.read_bytes()[:-5])
    assert set(read_done(tmp_path)) == {"a"}
    add_done(tmp_path, done("b"))
    assert set(read_done(tmp_path)) == {"a", "b"}


def test_a_fingerprint_changes_with_the_file_and_with_what_is_asked(tmp_path):
    file = tmp_path / "a.mp4"
    file.write_bytes(b"one")
    os.utime(file, (1, 1))
    first = fingerprint([file], [1])
    assert fingerprint([file], [1]) == first
    assert fingerprint([file], [2]) != first
    beside, elsewhere = tmp_path / "a.srt", tmp_path / "other" / "a.mp4"
    beside.write_bytes(b"words")
    assert fingerprint([file, beside], [1]) != first
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"one")
    os.utime(elsewhere, (1, 1))
    assert fingerprint([elsewhere], [1]) != first
    os.utime(file, (1, 2))
    assert fingerprint([file], [1]) != first
    os.utime(file, (1, 1))
    file.write_bytes(b"other")
    os.utime(file, (1, 1))
    assert fingerprint([file], [1]) != first
