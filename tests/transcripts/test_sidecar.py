import json

import pytest

from mme2e.transcripts.sidecar import find_sidecar

WHISPER = json.dumps({"segments": [{"start": 0, "end": 1, "text": "Hi"}]})


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["talk.txt", "talk.vtt", "talk.srt"], "talk.srt"),
        (["talk.en.srt", "talk.de.srt"], "talk.de.srt"),
        (["talk.en.srt", "talk.srt"], "talk.srt"),
        (["talk.en.SRT", "talk.vtt"], "talk.en.SRT"),
        (["talk.pt-BR.vtt", "talk.TextGrid"], "talk.pt-BR.vtt"),
        (["talk.json"], "talk.json"),
        (["talk.mme2e.srt", "talk.mme2e.json"], None),
        (["talk2.srt", "talks.txt", "talk.notes.txt", "tal.srt"], None),
        ([], None),
    ],
)
def test_which_file_is_taken(tmp_path, names, expected):
    (tmp_path / "talk.mp4").touch()
    for name in names:
        (tmp_path / name).write_text(WHISPER)
    found = find_sidecar(tmp_path / "talk.mp4")
    assert (found and found.name) == expected


def test_other_json_and_folders_are_passed_over(tmp_path):
    recording = tmp_path / "talk.mp4"
    (tmp_path / "talk.srt").mkdir()
    (tmp_path / "talk.json").write_text(json.dumps({"schema_version": 1, "segments": [], "label_names": []}))
    assert find_sidecar(recording) is None
    (tmp_path / "talk.json").write_text('{"title": "a talk"}')
    assert find_sidecar(recording) is None
    assert find_sidecar(tmp_path / "gone" / "talk.mp4") is None


def test_letters_may_be_composed_or_not(tmp_path):
    (tmp_path / "cafe\u0301.srt").touch()
    assert find_sidecar(tmp_path / "caf\u00e9.mp4") == tmp_path / "cafe\u0301.srt"
