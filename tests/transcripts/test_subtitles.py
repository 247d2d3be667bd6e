import pysubs2
import pytest

from mme2e.errors import UserError
from mme2e.transcripts.cues import Cue
from mme2e.transcripts.read import read_transcript_file

SRT = """1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>,
my friend &amp; I

2
00:00:03.000 --> 00:00:04.000 X1:10 X2:20
{\\an8}I <3 you
"""
VTT = """WEBVTT - a title

NOTE nobody reads
this

STYLE
::cue { color: red }

first
00:01.000 --> 00:02.000 align:start
<v.loud Anna Lee>Hello <00:01.500><c>there</c></v>

00:00:03.000 --> 00:00:05.000
<v Anna Lee>Yes.
<v Ben>Oh no
"""


def read(tmp_path, name, content, encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return read_transcript_file(path)


def texts(transcript):
    return [cue.text for cue in transcript.cues]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["a.srt", "a.SRT", "a.txt"])
def test_srt_in_any_encoding(tmp_path, encoding, newline, name):
    transcript = read(tmp_path, name, SRT.replace("Hello", "café").replace("\n", newline), encoding)
    assert transcript.cues == (
        Cue(start_s=1.0, end_s=2.5, text="café there, my friend & I"),
        Cue(start_s=3.0, end_s=4.0, text="I <3 you"),
    )
    assert (transcript.source, transcript.remarks, transcript.timed) == (name, (), True)


def test_blank_lines_and_missing_ones_and_numbers_that_are_words(tmp_path):
    content = (
        "1\n00:00:01,000 --> 00:00:02,000\nOne\n\ntwo\n2\n0:0:3,0-->0:0:4,0\n1984\n\n3\n00:00:05,0 --> 00:00:06,0\n"
    )
    assert texts(read(tmp_path, "a.srt", content)) == ["One two", "1984"]


def test_vtt_with_voices(tmp_path):
    cues = read(tmp_path, "a.vtt", VTT).cues
    assert [(cue.speaker, cue.text) for cue in cues] == [
        ("Anna Lee", "Hello there"),
        ("Anna Lee", "Yes."),
        ("Ben", "Oh no"),
    ]
    assert (cues[0].start_s, cues[0].end_s) == (1.0, 2.0)
    assert cues[1].end_s == cues[2].start_s == pytest.approx(3 + 2 * 4 / 9)
    assert cues[2].end_s == 5.0


def test_names_before_a_colon_are_speakers_where_most_have_one(tmp_path):
    lines = ["Anna: Well: yes.", "and so on", "Dr. Ben: No"]
    blocks = [f"00:00:0{number},0 --> 00:00:0{number},9\n{line}\n" for number, line in enumerate(lines)]
    cues = read(tmp_path, "a.srt", "\n".join(blocks)).cues
    assert [(cue.speaker, cue.text) for cue in cues] == [
        ("Anna", "Well: yes."),
        ("Anna", "and so on"),
        ("Dr. Ben", "No"),
    ]
    cues = read(tmp_path, "a.srt", "\n".join(blocks[:2])).cues
    assert [(cue.speaker, cue.text) for cue in cues] == [("", "Anna: Well: yes."), ("", "and so on")]


def test_times_that_cannot_be_are_left_out_and_named(tmp_path):
    times = ["00:00:05,0 --> 00:00:06,0", "-00:00:01,0 --> 00:00:02,0", "00:00:04,0 --> 00:00:03,0", "soon --> later",
             "00:00:01,0 --> 00:00:05,5"]  # fmt: skip
    transcript = read(tmp_path, "a.srt", "\n\n".join(f"{time}\n{number}!" for number, time in enumerate(times)))
    assert texts(transcript) == ["4!", "0!"]
    assert transcript.remarks == (
        "subtitle 4 (line 10): 'soon --> later' are no times: left out",
        "subtitle 2 (line 4) and 1 more: negative times, or an end that is not behind the start: left out",
        "subtitle 5 (line 13): begins before the one that it follows: sorted by time",
        "subtitle 1 (line 1): overlaps the one before",
    )


@pytest.mark.parametrize("suffix", ["srt", "vtt", "ass", "ssa"])
def test_what_pysubs2_writes_is_read(tmp_path, suffix):
    subtitles = pysubs2.SSAFile()
    subtitles.append(pysubs2.SSAEvent(start=1000, end=2500, text="Hello {\\i1}there{\\i0},\\Nyou", name="Anna"))
    subtitles.append(pysubs2.SSAEvent(start=2000, end=3000, text="nobody reads", type="Comment"))
    subtitles.append(pysubs2.SSAEvent(start=3_600_000, end=3_601_000, text="an hour"))
    subtitles.save(str(tmp_path / f"a.{suffix}"))
    transcript = read_transcript_file(tmp_path / f"a.{suffix}")
    speaker = "Anna" if suffix in ("ass", "ssa") else ""
    assert transcript.cues == (
        Cue(start_s=1.0, end_s=2.5, text="Hello there, you", speaker=speaker),
        Cue(start_s=3600.0, end_s=3601.0, text="an hour"),
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.srt", "only words", "is not a SubRip file: it has no line with times"),
        ("a.vtt", "WEBVTT\n\nonly words", "is not a WebVTT file: it has no line with times"),
        ("a.ass", "only words", "is not an ASS file: it has no [Events]"),
        ("a.srt", b"\x00\x01\x02" * 100, "is not a text file in UTF-8"),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path, name, content, reason):
    with pytest.raises(UserError) as error:
        read(tmp_path, name, content)
    assert str(error.value).startswith(f"{tmp_path / name} {reason}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.ass", "a.eaf", "a.TextGrid", "a.json", "a.txt"])
@pytest.mark.parametrize("content", ["", " \r\n", "\ufeff"])
def test_an_empty_file_is_an_empty_transcript(tmp_path, name, content):
    transcript = read(tmp_path, name, content)
    assert (transcript.cues, transcript.remarks, transcript.timed) == ((), ("it is empty",), False)
