import json

import pytest

from mme2e.errors import UserError
from mme2e.transcripts import read as read_module
from mme2e.transcripts.cues import Cue, TimedWord, Transcript, Turn
from mme2e.transcripts.given import given_transcript
from mme2e.transcripts.read import read_transcript_file
from mme2e.transcripts.turns import read_turns

WHISPER = {
    "text": " Hello there.",
    "segments": [
        {
            "id": 0,
            "start": 0.5,
            "end": 1.5,
            "text": " Hello there.",
            "words": [
                {"word": " Hello", "start": 0.5, "end": 0.9, "probability": 0.9},
                {"word": " there.", "start": 0.9, "end": 1.5, "probability": 0.9},
            ],
        },
        {"start": 2, "end": 3, "text": "Yes", "speaker": "SPEAKER_01", "words": [{"word": "Yes"}]},
        {"start": 3, "end": None, "text": "lost"},
        {"start": 3, "end": 4, "text": "  "},
    ],
}


def read_json(tmp_path, content, name="a.json"):
    (tmp_path / name).write_text(
        content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), "utf-8"
    )
    return read_transcript_file(tmp_path / name)


@pytest.mark.parametrize("name", ["a.json", "a.txt"])
def test_whisper(tmp_path, name):
    transcript = read_json(tmp_path, WHISPER, name)
    words = (TimedWord(text="Hello", start_s=0.5, end_s=0.9), TimedWord(text="there.", start_s=0.9, end_s=1.5))
    assert transcript.cues == (
        Cue(start_s=0.5, end_s=1.5, text="Hello there.", words=words),
        Cue(start_s=2.0, end_s=3.0, text="Yes", speaker="SPEAKER_01"),
    )
    assert transcript.remarks == ("segment 3: it has no times: left out",)


def test_whisper_cpp(tmp_path):
    transcript = read_json(tmp_path, {"transcription": [{"offsets": {"from": 0, "to": 1500}, "text": " Hi"}]})
    assert transcript.cues == (Cue(start_s=0.0, end_s=1.5, text="Hi"),)


def test_fun_asr(tmp_path):
    sentence = {
        "text": "你好\uff0cworld.",
        "start": 100,
        "end": 900,
        "timestamp": [[100, 200], [200, 400], [500, 900]],
        "spk": 0,
    }
    content = [
        {"key": "a", "text": "你好\uff0cworld.", "timestamp": sentence["timestamp"], "sentence_info": [sentence]}
    ]
    words = tuple(
        TimedWord(text=text, start_s=start_s, end_s=end_s)
        for text, start_s, end_s in (("你", 0.1, 0.2), ("好\uff0c", 0.2, 0.4), ("world.", 0.5, 0.9))
    )
    expected = Cue(start_s=0.1, end_s=0.9, text="你好\uff0cworld.", speaker="speaker 0", words=words)
    assert read_json(tmp_path, content).cues == (expected,)
    del content[0]["sentence_info"]
    assert read_json(tmp_path, content[0]).cues == (Cue(start_s=0.1, end_s=0.9, text="你好\uff0cworld.", words=words),)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": 1}, "it has neither Whisper's 'segments' nor"),
        ([], "it has neither Whisper's 'segments' nor"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"segments": [', "Expecting value"),
        ({"schema_version": 1, "segments": [], "label_names": []}, "it is an answer of mme2e, not a transcript"),
    ],
)
def test_other_json_is_refused(tmp_path, content, reason):
    with pytest.raises(UserError) as error:
        read_json(tmp_path, content)
    assert str(error.value).startswith(f"{tmp_path / 'a.json'} is not a JSON file of Whisper or FunASR: {reason}")


def test_numbers_that_json_should_not_have(tmp_path):
    times = ["0, 'end': 1e999", "true, 'end': 1", "1, 'end': " + "9" * 400]
    segments = ", ".join(f"{{'start': {each}, 'text': 'a'}}" for each in times).replace("'", '"')
    transcript = read_json(tmp_path, f'{{"segments": [{segments}, 3]}}')
    assert transcript.cues == ()
    assert len(transcript.remarks) == 4


def test_plain_text_is_one_cue_without_times(tmp_path):
    (tmp_path / "a.txt").write_bytes(" I don\u2019t\ncare \n".encode("cp1252"))
    transcript = read_transcript_file(tmp_path / "a.txt")
    assert transcript == Transcript(cues=(Cue(start_s=None, end_s=None, text="I don\u2019t\ncare"),), source="a.txt")
    assert not transcript.timed


def test_what_is_given_is_a_file_of_any_format_or_the_text(tmp_path):
    (tmp_path / "a.srt").write_text("00:00:01,000 --> 00:00:02,000\nHello\n")
    assert given_transcript(str(tmp_path / "a.srt")).cues == (Cue(start_s=1.0, end_s=2.0, text="Hello"),)
    assert given_transcript("Hello").cues == (Cue(start_s=None, end_s=None, text="Hello"),)
    assert given_transcript(" ").cues == ()
    with pytest.raises(UserError, match=r"there is no file gone\.srt"):
        given_transcript("gone.srt")


def test_files_that_are_none_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"gone\.srt cannot be read: No such file"):
        read_transcript_file(tmp_path / "gone.srt")
    with pytest.raises(UserError, match="is no file; expected is a transcript"):
        read_transcript_file(tmp_path)
    monkeypatch.setattr(read_module, "LARGEST_FILE_MB", 1)
    (tmp_path / "a.txt").write_bytes(b"a" * (1 << 21))
    with pytest.raises(UserError, match=r"a\.txt has 2 MB; a transcript has at most 1 MB"):
        read_transcript_file(tmp_path / "a.txt")


RTTM = """;; a comment
SPKR-INFO talk 1 <NA> <NA> <NA> unknown anna <NA> <NA>
SPEAKER talk 1 2.5 1.5 <NA> <NA> ben <NA> <NA>
SPEAKER talk 1 0.0 2.0 <NA> <NA> anna <NA> <NA>
"""


def test_turns(tmp_path):
    (tmp_path / "a.rttm").write_text(RTTM)
    turns = (Turn(start_s=0.0, end_s=2.0, speaker="anna"), Turn(start_s=2.5, end_s=4.0, speaker="ben"))
    assert read_turns(tmp_path / "a.rttm") == turns
    (tmp_path / "a.rttm").write_text(RTTM + "SPEAKER other 1 0.0 2.0 <NA> <NA> carl <NA> <NA>\n")
    assert read_turns(tmp_path / "a.rttm", recording="talk") == turns
    with pytest.raises(UserError, match=r"has turns of 2 recordings \(other, talk\); none of them is 'x'"):
        read_turns(tmp_path / "a.rttm", recording="x")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("just words", "'just words' is no line of RTTM"),
        ("SPEAKER talk 1 2.5", "it has 4 fields; RTTM has 8 to 10"),
        ("SPEAKER talk 1 x 1.5 <NA> <NA> ben <NA> <NA>", "could not convert"),
        ("SPEAKER talk 1 -1 1.5 <NA> <NA> ben <NA> <NA>", "must not be negative"),
    ],
)
def test_damaged_turns_are_named(tmp_path, line, reason):
    (tmp_path / "a.rttm").write_text(RTTM + line)
    with pytest.raises(UserError) as error:
        read_turns(tmp_path / "a.rttm")
    assert str(error.value).startswith(f"{tmp_path / 'a.rttm'}, line 5: ")
    assert reason in str(error.value)
