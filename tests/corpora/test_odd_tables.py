"""Manifests as spreadsheets, data frames, other systems and people write them."""

import json
import random
import unicodedata
from pathlib import Path

import pytest

from mme2e.corpora.iemocap import read_iemocap
from mme2e.corpora.manifest import read_manifest
from mme2e.corpora.meld import read_meld
from mme2e.corpora.mosei import read_mosei
from mme2e.corpora.split_lists import read_split_lists
from mme2e.errors import UserError
from mme2e.media.region import Region


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").touch()
    return tmp_path


def read(folder: Path, content: str | bytes, name: str = "own.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_manifest(folder / name)


def reasons(corpus) -> list[str]:
    return [skipped.reason for skipped in corpus.skipped]


class TestMissing:
    """Cells as data frames write those without a value."""

    TABLE = (
        "text,labels,audio,start_s,end_s,speaker,split,region,audio_channel\n"
        "Hello,happy,nan,nan,nan,nan,NaN,nan,nan\n"
        "Go,sad,NaN,,,,,,\n"
        "nan,sad,a.wav,,,<NA>,None,null,N/A\n"
        "Hi,nan,a.wav,,,,,,\n"
        "Ho,NA,a.wav,,,,,,\n"
        "Nan tucket,Nana,,,,Nancy,,,\n"
    )

    def test_they_are_missing_in_every_column_and_told_once(self, folder):
        corpus = read(folder, self.TABLE)
        assert corpus.label_names == ("Nana", "happy", "sad")
        assert [u.labels for u in corpus.utterances] == [("happy",), ("sad",), ("sad",), (), (), ("Nana",)]
        assert [u.text for u in corpus.utterances] == ["Hello", "Go", None, "Hi", "Ho", "Nan tucket"]
        assert [u.audio and u.audio.name for u in corpus.utterances] == [None, None, *["a.wav"] * 3, None]
        assert all((u.start_s, u.end_s, u.split, u.region, u.audio_channel) == (0, None, None, None, None)
                   for u in corpus.utterances)  # fmt: skip
        assert corpus.utterances[0].speaker == corpus.utterances[0].recording
        told = [reason for reason in reasons(corpus) if "missing" in reason]
        assert told == ["15 cells like 'nan', 'NaN', '<NA>', the first in line 2: taken as missing"]

    def test_in_json_lines(self, folder):
        rows = (
            '{"text": NaN, "labels": "happy", "audio": "a.wav"}',
            '{"text": "x", "labels": NaN, "audio": "a.wav"}',
            '{"text": "y", "labels": ["sad", NaN], "start_s": NaN, "end_s": "nan"}',
            '{"text": "z", "labels": "sad", "start_s": Infinity}',
        )
        corpus = read(folder, "\n".join(rows), "own.jsonl")
        assert [u.text for u in corpus.utterances] == [None, "x", "y"]
        assert [u.labels for u in corpus.utterances] == [("happy",), (), ("sad",)]
        assert [s.reason for s in corpus.skipped if s.item == "own.jsonl:4"] == [
            "start_s is 'inf'; expected is a number of seconds from 0, mm:ss or hh:mm:ss"
        ]

    @pytest.mark.parametrize("name", ["nan_cells.csv", "jsonl_nan.jsonl"])
    def test_tables_whose_nan_became_an_emotion(self, shared, folder, name):
        corpus = read(folder, shared(f"inputs/tables/{name}").read_bytes(), name)
        assert corpus.label_names == (("happy", "sad") if name == "nan_cells.csv" else ("a", "b", "happy"))
        assert "nan" not in [u.text for u in corpus.utterances]


class TestLabels:
    def test_names_that_differ_in_case_only_are_one_and_told(self, folder):
        corpus = read(folder, "text,labels\nHello,Happy\nGo,happy\nNo, happy \nNow,HAPPY\nMe,sad\nHm,sad|SAD\n")
        assert corpus.label_names == ("happy", "sad")
        assert [u.labels for u in corpus.utterances] == [*[("happy",)] * 4, *[("sad",)] * 2]
        assert not corpus.multi_label
        assert reasons(corpus) == [
            "labels happy (2), Happy (1), HAPPY (1) differ in case only: all are 'happy'",
            "labels sad (2), SAD (1) differ in case only: all are 'sad'",
        ]

    @pytest.mark.parametrize(
        "other",
        [
            unicodedata.normalize("NFD", "fröhlich sein"),
            "fröh\u200blich sein",
            "\ufefffröhlich sein\u200d",
            "fröhlich\u00a0 sein",
            "\u2003fröhlich  sein\u00ad",
        ],
    )
    def test_names_that_look_the_same_are_the_same(self, folder, other):
        corpus = read(folder, f"text,labels\nHello,fröhlich sein\nGo,{other}\nHm,{other}|sad\n")
        assert corpus.label_names == ("fröhlich sein", "sad")
        assert reasons(corpus) == []

    def test_a_name_of_nothing_that_is_seen_is_none(self, folder):
        corpus = read(folder, "text,labels\nHello,\u200b\nGo,sad\n")
        assert [u.labels for u in corpus.utterances] == [(), ("sad",)]

    def test_ids_speakers_and_split_lists_likewise(self, folder):
        decomposed = unicodedata.normalize("NFD", "Zoë")
        corpus = read(folder, f"text,labels,speaker,id\nHello,x,Zoë,Zoë_1\nGo,x,{decomposed}\u200b,{decomposed}_2\n")
        assert {u.speaker for u in corpus.utterances} == {"Zoë"}
        (folder / "splits.json").write_text(json.dumps({"train": [f"{decomposed}_1"], "test": ["Zoë_2 "]}))
        assert read_split_lists(folder / "splits.json").split_of.keys() == {u.id for u in corpus.utterances}

    def test_a_published_table(self, shared, folder):
        corpus = read(folder, shared("inputs/tables/case_labels.csv").read_bytes())
        assert corpus.label_names == ("happy", "sad")


class TestSpreadsheets:
    def test_a_german_one(self, folder):
        content = '\ufefftext;labels;audio;start_s;end_s;region\r\n"Hallo; du";froh;a.wav;0,5;1,5;1,2,3,4\r\n'
        corpus = read(folder, f"{content}Geh;traurig;a.wav;1;2;\r\n;;;;;\r\n")
        first, second = corpus.utterances
        assert (first.text, first.start_s, first.end_s) == ("Hallo; du", 0.5, 1.5)
        assert first.region == Region(x_px=1, y_px=2, width_px=3, height_px=4)
        assert (second.text, second.start_s, second.end_s) == ("Geh", 1, 2)
        assert corpus.skipped == ()

    @pytest.mark.parametrize("line", ["sep=;\r\n", "SEP=;\n", '"sep=;"\r\n', "sep=;;\n"])
    def test_a_first_line_that_tells_the_delimiter(self, folder, line):
        corpus = read(folder, f"{line}text;labels\r\nHallo, Welt;froh\r\nGeh;traurig\r\nzu;viele;Zellen\n")
        assert [(u.text, u.labels) for u in corpus.utterances] == [("Hallo, Welt", ("froh",)), ("Geh", ("traurig",))]
        assert corpus.skipped[0].item == "own.csv:5"

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_unicode_in_any_form(self, folder, encoding):
        corpus = read(folder, "text\tlabels\r\nGrüße \u2013 你好\tfröhlich\r\n".encode(encoding))
        assert [(u.text, u.labels) for u in corpus.utterances] == [("Grüße \u2013 你好", ("fröhlich",))]
        assert corpus.skipped == ()

    def test_windows_1252_is_read_and_told(self, folder):
        corpus = read(folder, "text,labels\nok,x\nCafé \u2013 don\u2019t,y\n".encode("cp1252"))
        assert [u.text for u in corpus.utterances] == ["ok", "Café \u2013 don\u2019t"]
        assert reasons(corpus) == ["not all of it is UTF-8, first line 3: such lines are read as Windows-1252"]

    def test_lines_of_both_encodings_in_one_table(self, folder):
        corpus = read(folder, "text,labels\nCafé,x\n".encode() + "Käse,x\n".encode("cp1252"))
        assert [u.text for u in corpus.utterances] == ["Café", "Käse"]

    def test_the_delimiter_is_the_one_that_makes_columns(self, folder):
        content = '"my text, with, many, commas";labels;text\n;x;Hello\n'
        assert [u.text for u in read(folder, content).utterances] == ["Hello"]

    def test_quoted_newlines_keep_the_count_of_lines(self, folder):
        corpus = read(folder, 'text,labels\n"one\ntwo\r\nthree",x\nHi,y,z\n')
        assert corpus.utterances[0].text == "one\ntwo\r\nthree"
        assert corpus.skipped[0].item == "own.csv:5"

    def test_numbers_of_columns_with_empty_cells(self, folder):
        corpus = read(folder, "audio,labels,audio_channel,images_per_s\na.wav,x,1.0,\n")
        assert corpus.utterances[0].audio_channel == 1

    @pytest.mark.parametrize("name", ["excel_de.csv", "sep_line.csv"])
    def test_tables_that_were_refused(self, shared, folder, name):
        corpus = read(folder, shared(f"inputs/tables/{name}").read_bytes())
        assert [u.labels for u in corpus.utterances] == [("froh",), ("traurig",)]
        assert corpus.skipped == ()


class TestTimes:
    @pytest.mark.parametrize(
        ("written", "seconds"),
        [
            ("1:02", 62),
            ("01:02.5", 62.5),
            ("75:30", 4530),
            ("0:01:02.25", 62.25),
            ("01:02:03,5", 3723.5),
            ("1e1", 10),
            ("12.", 12),
        ],
    )
    def test_clock_times_beside_seconds(self, folder, written, seconds):
        corpus = read(folder, f'audio,labels,start_s\na.wav,x,"{written}"\n')
        assert corpus.utterances[0].start_s == seconds

    def test_in_the_transcripts_of_mosei(self, tmp_path):
        write_mosei(tmp_path, b"v___0___00:01.5___0:01:02___so\n")
        (found,) = read_mosei(tmp_path).utterances
        assert (found.start_s, found.end_s, found.labels) == (1.5, 62, ("fear",))

    def test_in_the_labels_of_iemocap(self, tmp_path):
        write_iemocap(tmp_path, b"")
        (found,) = read_iemocap(tmp_path).utterances
        assert (found.start_s, found.end_s) == (1, 2.5)


def test_half_a_character_is_escaped_and_told(folder):
    rows = [
        r'{"text": "Hi \ud83d", "labels": "x\ud83d", "id": "u\udce9", "speaker": "\ud83d\ude00", "k\ud800": 1}',
        r'{"text": "Ho", "labels": "y", "audio": "\ud800.wav"}',
    ]
    corpus = read(folder, "\n".join(rows), "own.jsonl")
    (found,) = corpus.utterances
    assert (found.text, found.labels, found.id, found.speaker) == (r"Hi \ud83d", (r"x\ud83d",), r"u\xe9", "\U0001f600")
    assert reasons(corpus) == [
        r"column 'k\ud800' is not used",
        r"3 cells like 'Hi \ud83d', 'x\ud83d', 'u\xe9', the first in line 1: not Unicode, written with escapes",
        r"audio \ud800.wav is no file, or does not exist",
    ]
    json.dumps([corpus.label_names, reasons(corpus)], ensure_ascii=False).encode()


class TestOldTranscripts:
    """The byte 0x92 is Windows' apostrophe in every reader."""

    def test_meld(self, tmp_path):
        heading = "Utterance;Speaker;Emotion;Dialogue_ID;Utterance_ID\n"
        (tmp_path / "train_sent_emo.csv").write_bytes(heading.encode() + b"It\x92s me;Zo\xeb;joy;0;0\n")
        (found,) = read_meld(tmp_path).utterances
        assert (found.text, found.speaker) == ("It\u2019s me", "Zoë")

    def test_mosei(self, tmp_path):
        write_mosei(tmp_path, b"v___0___0___2___don\x92t\n")
        assert read_mosei(tmp_path).utterances[0].text == "don\u2019t"

    def test_iemocap(self, tmp_path):
        write_iemocap(tmp_path, b"Ses01F_impro01_F000 [001.0-002.0]: don\x92t\n")
        assert read_iemocap(tmp_path).utterances[0].text == "don\u2019t"


class TestDamagedTextFiles:
    """A file that is no text costs what it contains, not the corpus."""

    def test_mosei(self, tmp_path):
        write_mosei(tmp_path, b"v___0___0___2___words\n")
        (tmp_path / "Transcript/Combined/w.txt").write_bytes(bytes(range(256)))
        (tmp_path / "Labels/m.csv").write_bytes(bytes(range(256)))
        corpus = read_mosei(tmp_path)
        assert [u.id for u in corpus.utterances] == ["v_0"]
        told = {s.item: s.reason for s in corpus.skipped}
        assert "w.txt is not a text file" in told["w.txt"]
        assert "m.csv is not a text file" in told["m.csv"]

    def test_iemocap(self, tmp_path):
        write_iemocap(tmp_path, bytes(range(256)))
        corpus = read_iemocap(tmp_path)
        assert [u.text for u in corpus.utterances] == [None]
        assert "is not a text file" in corpus.skipped[0].reason


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_mosei(root: Path, transcript: bytes) -> None:
    emotions = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
    heading = ";".join(("Input.VIDEO_ID", "Input.CLIP", *(f"Answer.{emotion}" for emotion in emotions)))
    write(root / "Videos/Full/Combined/v.mp4", b"")
    write(root / "Audio/WAV_16000/v.wav", b"")
    write(root / "Transcript/Combined/v.txt", transcript)
    write(root / "Labels/l.csv", f"{heading}\nv;0;0;0;0,5;0;0;0\n".encode())


def write_iemocap(root: Path, transcript: bytes) -> None:
    dialog = root / "Session1" / "dialog"
    write(dialog / "EmoEvaluation/Ses01F_impro01.txt", b"[1.0 - 0:02.5]\tSes01F_impro01_F000\tneu\t[]\n")
    write(dialog / "transcriptions/Ses01F_impro01.txt", transcript)
    write(dialog / "wav/Ses01F_impro01.wav", b"")


TABLES = {
    "own.csv": TestMissing.TABLE + 'a,"b\nc",a.wav,0:01,1:02.5,Zoë,dev,"1,2,3,4",1\n',
    "excel.csv": "sep=;\r\ntext;labels;audio;start_s\r\nHallo;froh;a.wav;0,5\r\n",
    "own.jsonl": '{"text": "Grüße", "labels": ["a", "b"], "start_s": 1.5, "audio": "a.wav", "id": 7}\n'
    '{"images": ["a.png", "*[.png"], "labels": "x", "region": [1, 2, 3, 4]}\n',
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_any_damage_gives_a_corpus_or_one_line(folder, name, encoding):
    whole, chance = TABLES[name].encode(encoding), random.Random(3)
    for i in range(60):
        damaged = bytearray(whole[: chance.randrange(len(whole))] if i % 2 else whole)
        for _ in range(chance.randrange(20)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            corpus = read(folder, bytes(damaged), name)
        except UserError as error:
            told = [str(error)]
        else:
            told = [*corpus.label_names, *reasons(corpus), *(u.id for u in corpus.utterances)]
        assert all("\n" not in line for line in told)
        "".join(told).encode()
