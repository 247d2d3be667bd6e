import json
from pathlib import Path

import pytest

from mme2e.corpora.manifest import read_manifest
from mme2e.corpora.readers import read_corpus
from mme2e.errors import UserError
from mme2e.media.region import Region


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "a.wav", "one/b.mp4", "two/b.mp4", *(f"stills/s{i}.jpg" for i in (1, 2, 10))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, content: str, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def reasons(corpus) -> dict[str, str]:
    return {skipped.item: skipped.reason for skipped in corpus.skipped}


def test_every_column(folder):
    path = write(
        folder,
        "video,audio,start_s,end_s,text,labels,speaker,split,id,recording,region,audio_channel\n"
        'a.mp4,a.wav,1.5,3,"yes, ""indeed""",happy|proud,Ann,dev,u1,talk,"10, 20,30,40",1\n',
    )
    corpus = read_corpus("manifest", path)
    (found,) = corpus.utterances
    assert (found.id, found.recording, found.speaker, found.split) == ("u1", "talk", "Ann", "valid")
    assert (found.video, found.audio) == (folder / "a.mp4", folder / "a.wav")
    assert (found.start_s, found.end_s, found.text) == (1.5, 3.0, 'yes, "indeed"')
    assert (found.labels, found.region) == (("happy", "proud"), Region(x_px=10, y_px=20, width_px=30, height_px=40))
    assert found.audio_channel == 1
    assert (corpus.name, corpus.label_names, corpus.multi_label) == ("manifest:own", ("happy", "proud"), True)
    assert corpus.skipped == ()


def test_json_lines_tell_the_same(folder):
    rows = [
        {"video": "a.mp4", "start_s": 1.5, "end_s": 3, "labels": ["proud", "happy"], "region": [10, 20, 30, 40]},
        {"text": "words", "labels": "sad", "video": None, "id": 7},
        {"images": ["stills/s1.jpg", "stills/s10.jpg"], "images_per_s": 25, "labels": [], "start_s": 0},
    ]
    path = write(folder, "\n".join(json.dumps(row) for row in rows) + "\n\n", "own.jsonl")
    corpus = read_manifest(path)
    first, second, third = corpus.utterances
    assert (first.labels, first.start_s, first.end_s) == (("happy", "proud"), 1.5, 3.0)
    assert first.region == Region(x_px=10, y_px=20, width_px=30, height_px=40)
    assert first.audio == first.video
    assert (second.id, second.text, second.video, second.labels) == ("7", "words", None, ("sad",))
    assert (third.images_per_s, third.labels, third.recording) == (25.0, (), "stills")
    assert [image.name for image in third.images] == ["s1.jpg", "s10.jpg"]
    assert corpus.label_names == ("happy", "proud", "sad")


def test_what_is_not_given_comes_from_the_file(folder):
    path = write(folder, "video,text,labels\na.mp4,,x\none/b.mp4,,x\none/b.mp4,,y\ntwo/b.mp4,,y\n,words,y\n")
    corpus = read_manifest(path)
    assert [(u.id, u.recording) for u in corpus.utterances] == [
        ("a", "a"),
        ("one/b_1", "one/b"),
        ("one/b_2", "one/b"),
        ("two/b", "two/b"),
        ("own_6", "own_6"),
    ]
    assert all(u.speaker == u.recording and u.split is None for u in corpus.utterances)
    assert all((u.start_s, u.end_s) == (0.0, None) for u in corpus.utterances)
    assert (corpus.multi_label, corpus.label_names) == (False, ("x", "y"))


def test_without_a_column_for_sound_it_is_the_video_s(folder):
    own = read_manifest(write(folder, "video,labels\na.mp4,x\n")).utterances[0]
    assert own.audio == own.video == folder / "a.mp4"
    missing = read_manifest(write(folder, "video,audio,labels\na.mp4,,x\n")).utterances[0]
    assert missing.audio is None


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("stills/s*.jpg", ["s1", "s2", "s10"]),
        ("{folder}/stills/s[12].jpg", ["s1", "s2"]),
        ("stills/s10.jpg|stills/s2.jpg", ["s10", "s2"]),
        ('["stills/s10.jpg", "stills/s2.jpg"]', ["s10", "s2"]),
        ("stills/../stills/s2.jpg", ["s2"]),
        ("stills/s2.jpg|stills/gone.jpg", ["s2", "gone"]),
    ],
)
def test_images_are_a_list_or_a_glob(folder, cell, names):
    cell = cell.replace("{folder}", str(folder)).replace('"', '""')
    corpus = read_manifest(write(folder, f'images,labels\n"{cell}",x\n'))
    (found,) = corpus.utterances
    assert found.images == tuple(folder / "stills" / f"{name}.jpg" for name in names)
    assert found.recording == ("stills" if len(names) > 1 else "s2")


def test_the_other_headings_mean_the_same(folder):
    path = write(
        folder,
        "\ufeffImage,LABEL,person,dialogue,spoken,split\n"
        "stills/s1.jpg,happy,p1,7,Hi,train\nstills/s2.jpg,sad,p2,7,Ho,valid\nstills/s10.jpg,sad,p2,,Ho,valid\n",
    )
    corpus = read_manifest(path)
    assert [(u.speaker, u.recording) for u in corpus.utterances] == [
        ("p1", "train_dialogue7"),
        ("p2", "valid_dialogue7"),
        ("p2", "s10"),
    ]
    assert reasons(corpus) == {"own.csv": "column 'spoken' is not used"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(folder, delimiter):
    path = write(folder, "text;labels;speaker\n1, 2, 3;x;Ann\n".replace(";", delimiter))
    assert [(u.text, u.speaker) for u in read_manifest(path).utterances] == [("1, 2, 3", "Ann")]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("gone.mp4,,,,,x,,,", "video gone.mp4 is no file, or does not exist"),
        ("one,,,,,x,,,", "video one is no file"),
        ("b" * 300 + ",,,,,x,,,", "is no file"),
        (",stills/t*.jpg,,,,x,,,", "no file matches images stills/t*.jpg"),
        (",u.jpg|v.jpg,,,,x,,,", "do not exist"),
        (",,,,,x,,,", "no video, no images, no audio and no text"),
        ("a.mp4,,3,2,,x,,,", "ends at 2 s, not after its start at 3 s"),
        ("a.mp4,,2,2,,x,,,", "ends at 2 s, not after its start at 2 s"),
        ("a.mp4,,-1,2,,x,,,", "start_s is '-1'; expected is a number of seconds from 0, mm:ss or hh:mm:ss"),
        ("a.mp4,,0:61,2,,x,,,", "start_s is '0:61'"),
        ("a.mp4,,1:60:00,2,,x,,,", "start_s is '1:60:00'"),
        ("a.mp4,,0:01,1,,x,,,", "ends at 1 s, not after its start at 1 s"),
        ("a.mp4,,,inf,,x,,,", "end_s is 'inf'"),
        ('a.mp4,,,"1.234,5",,x,,,', "end_s is '1.234,5'"),
        ("a.mp4,,,,,x,holdout,,", "split 'holdout'; there are train, valid"),
        ("a.mp4,,,,,x,,,good", "second row with the id 'good', after line 2"),
        ("a.mp4,,,,,x,,0,", "images_per_s is 0"),
        ("a.mp4,,,,yes, no,x,,,", "10 cells, where the first line has 9 (unquoted ','?)"),
        ("a.mp4", "1 cells, where the first line has 9"),
    ],
)
def test_a_row_with_a_mistake_is_skipped_with_its_line(folder, row, told):
    heading = "video,images,start_s,end_s,text,labels,split,images_per_s,id"
    corpus = read_manifest(write(folder, f'{heading}\na.mp4,,,,"two\nlines",x,,,good\n\n{row}\n'))
    assert [u.id for u in corpus.utterances] == ["good"]
    assert told in reasons(corpus)["own.csv:5"]


@pytest.mark.parametrize(
    ("columns", "cells", "told"),
    [
        ("text,region,labels", 'words,"1,2,3",x', "region is '1,2,3'; expected are x,y,width,height"),
        ("text,region,labels", 'words,"1,2,0,4",x', "region is"),
        ("text,audio_channel,labels", "words,0.5,x", "audio_channel is '0.5'; expected is a whole number"),
        ("text,audio_channel,labels", "words,left,x", "audio_channel is 'left'; expected is a whole number"),
    ],
)
def test_when_no_row_is_left_the_first_reason_is_told(folder, columns, cells, told):
    with pytest.raises(UserError, match=r"none of its 1 rows can be used.*own\.csv:2") as raised:
        read_manifest(write(folder, f"{columns}\n{cells}\n"))
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "has no column labels; it has nothing"),
        ("video,text\na.mp4,hm\n", "has no column labels; it has video, text"),
        ("labels,speaker\nx,Ann\n", "has none of the columns video, images, audio, text; it has labels, speaker"),
        ("text,label,labels\nhm,x,y\n", "two columns of labels"),
        ("text,text,labels\nhm,ho,y\n", "two columns of text"),
        ("text,labels\n", "none of its 0 rows"),
        ("text,labels\nhm,\n", "none of its 1 usable rows has a label"),
        ('text,labels\n"hm,x\n', "own.csv:2 is broken CSV"),
    ],
)
def test_a_file_that_is_no_manifest_is_one_line(folder, content, told):
    with pytest.raises(UserError) as raised:
        read_manifest(write(folder, content))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read_are_one_line(folder):
    with pytest.raises(UserError, match="cannot be read"):
        read_manifest(folder)
    with pytest.raises(UserError, match="cannot be read"):
        read_manifest(folder / "nowhere.csv")
    (folder / "film.csv").write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0" * 9)
    with pytest.raises(UserError, match=r"film\.csv is not a table in CSV or JSON lines"):
        read_manifest(folder / "film.csv")


def test_broken_json_lines_are_skipped(folder):
    lines = ['{"text": "a", "labels": "x"}', "{", "[1]", '{"text": {"de": "b"}, "labels": "x"}', '{"labels": true}']
    corpus = read_manifest(write(folder, "\n".join(lines), "own.jsonl"))
    assert [u.id for u in corpus.utterances] == ["own_1"]
    told = reasons(corpus)
    assert told["own.jsonl:2"].startswith("broken JSON")
    assert told["own.jsonl:3"] == "not a JSON object"
    assert told["own.jsonl:4"].startswith("text is {")
    assert told["own.jsonl:5"].startswith("labels is true")


def test_rows_without_label_make_it_multi_label_and_that_is_told(folder):
    corpus = read_manifest(write(folder, "text,labels\na,x\nb,\nc,y\n"))
    assert corpus.multi_label
    assert [u.labels for u in corpus.utterances] == [("x",), (), ("y",)]
    assert reasons(corpus)["own.csv"] == "1 rows have no label, the first in line 3: taken as multi-label"
    assert read_manifest(write(folder, "text,labels\na,x\nb,\nc,y|x\n")).skipped == ()


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [("speech.csv", 1080, "audio"), ("faces.csv", 2877, "images"), ("text.csv", 11098, "text")],
)
def test_open_human_data(shared, name, count, first):
    corpus = read_manifest(shared(f"open/{name}"))
    assert len(corpus.utterances) == count
    assert corpus.label_names == ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    assert not corpus.multi_label
    assert {u.split for u in corpus.utterances} == {"train", "valid"}
    assert all(getattr(u, first) for u in corpus.utterances)
    split_of = {}
    for utterance in corpus.utterances:
        assert split_of.setdefault(utterance.recording, utterance.split) == utterance.split
