import pytest
from praatio import textgrid

from mme2e.errors import UserError
from mme2e.transcripts.cues import Cue, TimedWord
from mme2e.transcripts.read import read_transcript_file

ENTRIES = [(0.5, 1.5, 'She said "yes"'), (2.0, 3.0, "I \u2013 know")]


def write_text_grid(path, tiers, form="long_textgrid"):
    grid = textgrid.Textgrid()
    for name, entries in tiers:
        grid.addTier(textgrid.IntervalTier(name, entries, 0, 4))
    grid.save(str(path), format=form, includeBlankSpaces=True)
    return path


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("name", ["a.TextGrid", "a.txt"])
def test_what_praatio_writes_is_read(tmp_path, form, encoding, name):
    path = write_text_grid(tmp_path / name, [("Anna", ENTRIES), ("Ben", [(1.0, 2.5, "no")])], form)
    path.write_bytes(path.read_text("utf-8").replace("\n", "\r\n").encode(encoding))
    transcript = read_transcript_file(path)
    assert transcript.cues == (
        Cue(start_s=0.5, end_s=1.5, text='She said "yes"', speaker="Anna"),
        Cue(start_s=1.0, end_s=2.5, text="no", speaker="Ben"),
        Cue(start_s=2.0, end_s=3.0, text="I \u2013 know", speaker="Anna"),
    )
    assert transcript.remarks == ()


def test_words_of_a_forced_aligner(tmp_path):
    words = [(0.5, 0.7, "she"), (0.7, 1.0, "said"), (1.0, 1.5, "yes"), (1.5, 2.0, "sil")]
    tiers = [("Anna - words", words), ("Anna - phones", [(0.5, 0.6, "SH")])]
    transcript = read_transcript_file(write_text_grid(tmp_path / "a.TextGrid", tiers))
    assert [(cue.text, cue.speaker, len(cue.words)) for cue in transcript.cues] == [
        ("she", "Anna", 1), ("said", "Anna", 1), ("yes", "Anna", 1)]  # fmt: skip
    assert transcript.remarks == ("tier 'Anna - phones' has no words: left out",)
    tiers.insert(0, ("Anna", ENTRIES[:1]))
    (cue,) = read_transcript_file(write_text_grid(tmp_path / "a.TextGrid", tiers)).cues
    assert cue.text == 'She said "yes"'
    assert cue.words[2] == TimedWord(text='"yes"', start_s=1.0, end_s=1.5)


def test_a_text_grid_that_ends_early_or_claims_too_much(tmp_path):
    path = write_text_grid(tmp_path / "a.TextGrid", [("Anna", ENTRIES)])
    text = path.read_text("utf-8")
    path.write_text(text.replace("intervals: size = 5", "intervals: size = 999999999999"), "utf-8")
    transcript = read_transcript_file(path)
    assert len(transcript.cues) == 2
    assert transcript.remarks == ("it ends early: some of its intervals are missing",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("only words", 'it does not begin with "ooTextFile" and "TextGrid"'),
        ('"ooTextFile"\n"TextGrid"\n0\nx "y"', "'y' stands where a number is expected"),
        ('"ooTextFile"\n"TextGrid"\n0 1 <exists> 1 "Odd" "x" 0 1 0', "'Odd' is no kind of tier"),
        ('"ooTextFile"\n"TextGrid"\n0 1 <exists> 1e999', "'1e999' stands where a number is expected"),
    ],
)
def test_what_is_no_text_grid(tmp_path, content, reason):
    (tmp_path / "a.TextGrid").write_text(content)
    with pytest.raises(UserError) as error:
        read_transcript_file(tmp_path / "a.TextGrid")
    assert str(error.value) == f"{tmp_path / 'a.TextGrid'} is not a TextGrid: {reason}"


EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="ts2"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="1500"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="2000"/>
</TIME_ORDER>
<TIER TIER_ID="anna-text" PARTICIPANT="Anna" LINGUISTIC_TYPE_REF="text">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>caf\u00e9 &amp; tea</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>please</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="anna-gloss" PARTICIPANT="Anna" PARENT_REF="anna-text" LINGUISTIC_TYPE_REF="gloss">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1"><ANNOTATION_VALUE>GLOSS</ANNOTATION_VALUE>
</REF_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="ben-ref" PARTICIPANT="Ben" LINGUISTIC_TYPE_REF="text">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
<ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="ben-text" PARTICIPANT="Ben" PARENT_REF="ben-ref" LINGUISTIC_TYPE_REF="sub">
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a5" ANNOTATION_REF="a4"><ANNOTATION_VALUE>no</ANNOTATION_VALUE>
</REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a6" ANNOTATION_REF="a4" PREVIOUS_ANNOTATION="a5">
<ANNOTATION_VALUE>way</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a7" ANNOTATION_REF="a8"><ANNOTATION_VALUE>round</ANNOTATION_VALUE>
</REF_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a8" ANNOTATION_REF="a7"><ANNOTATION_VALUE></ANNOTATION_VALUE>
</REF_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_elan(tmp_path, encoding):
    (tmp_path / "a.eaf").write_bytes(EAF.encode(encoding))
    transcript = read_transcript_file(tmp_path / "a.eaf")
    assert transcript.cues == (
        Cue(start_s=0.5, end_s=1.0, text="café & tea", speaker="Anna"),
        Cue(start_s=1.0, end_s=1.5, text="please", speaker="Anna"),
        Cue(start_s=1.5, end_s=2.0, text="no way", speaker="Ben"),
    )
    assert transcript.remarks == ("annotation 'a7' of tier 'ben-text' has no times: left out",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("only words", "it is damaged: syntax error: line 1, column 0"),
        ("<html/>", "its first element is <html>, expected is <ANNOTATION_DOCUMENT>"),
        (EAF.replace('"500"', '"soon"'), "the time 'soon' of slot 'ts1' is no number of milliseconds"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><ANNOTATION_DOCUMENT/>', "it has a DOCTYPE or entities, which no EAF needs"),
    ],
)
def test_what_is_no_eaf(tmp_path, content, reason):
    (tmp_path / "a.eaf").write_text(content, "utf-8")
    with pytest.raises(UserError) as error:
        read_transcript_file(tmp_path / "a.eaf")
    assert str(error.value) == f"{tmp_path / 'a.eaf'} is not an ELAN file: {reason}"
