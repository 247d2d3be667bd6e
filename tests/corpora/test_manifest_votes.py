"""Votes of annotators and face crops in a manifest."""

import json
from pathlib import Path

import pytest
from PIL import Image

from mme2e.corpora.manifest import read_manifest
from mme2e.errors import UserError


def write(folder: Path, content: str, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def reasons(corpus) -> list[tuple[str, str]]:
    return [(skipped.item, skipped.reason) for skipped in corpus.skipped]


class TestVotes:
    def test_they_are_read_beside_labels(self, tmp_path):
        corpus = read_manifest(
            write(tmp_path, 'text,labels,V_sad,votes_happy,v_bored\na,sad,3,1.5,\nb,happy,"0,5",7,0\n')
        )
        first, second = corpus.utterances
        assert (first.labels, first.votes) == (("sad",), (("happy", 1.5), ("sad", 3.0)))
        assert (second.labels, second.votes) == (("happy",), (("happy", 7.0), ("sad", 0.5)))
        assert corpus.label_names == ("happy", "sad")  # nobody voted for bored
        assert not corpus.multi_label
        assert corpus.skipped == ()

    def test_a_label_that_only_votes_know_is_a_label(self, tmp_path):
        corpus = read_manifest(write(tmp_path, "text,labels,v_a,v_z\none,a,3,0\ntwo,a,3,1\n"))
        assert corpus.label_names == ("a", "z")
        assert not corpus.multi_label

    def test_without_labels_most_votes_decide_and_of_several_the_first(self, tmp_path):
        corpus = read_manifest(write(tmp_path, "text,v_sad,v_happy,v_angry\na,1,4,0\nb,2,2,1\nc,1,1,1\n"))
        assert [u.labels for u in corpus.utterances] == [("happy",), ("happy",), ("angry",)]
        assert not corpus.multi_label

    def test_an_empty_label_is_that_of_most_votes(self, tmp_path):
        corpus = read_manifest(write(tmp_path, "text,labels,v_sad,v_happy\na,,1,4\nb,sad|happy,1,4\n"))
        assert [u.labels for u in corpus.utterances] == [("happy",), ("happy", "sad")]

    def test_json_lines_carry_them_too(self, tmp_path):
        rows = [{"text": "a", "label": "x", "v_x": 2, "v_y": 0.5}, {"text": "b", "label": "y", "v_x": None}]
        corpus = read_manifest(write(tmp_path, "\n".join(map(json.dumps, rows)), "own.jsonl"))
        assert [u.votes for u in corpus.utterances] == [(("x", 2.0), ("y", 0.5)), ()]
        assert reasons(corpus) == [("own.jsonl", "1 rows have no votes, the first in line 2: used without")]

    def test_rows_without_votes_are_used_and_reported(self, tmp_path):
        corpus = read_manifest(write(tmp_path, "text,labels,v_x,v_y\na,x,1,0\nb,y,0,0\nc,x,,nan\n"))
        assert [u.votes for u in corpus.utterances] == [(("x", 1.0),), (), ()]
        assert [u.labels for u in corpus.utterances] == [("x",), ("y",), ("x",)]
        assert ("own.csv", "2 rows have no votes, the first in line 3: used without") in reasons(corpus)

    @pytest.mark.parametrize("cell", ["-1", "many", "inf", "1e999", "-0.5"])
    def test_what_is_no_number_of_votes_costs_the_row(self, tmp_path, cell):
        corpus = read_manifest(write(tmp_path, f"text,labels,v_x\na,x,1\nb,x,{cell}\n"))
        assert len(corpus.utterances) == 1
        assert reasons(corpus) == [("own.csv:3", f"v_x is '{cell}'; expected is a finite number from 0")]

    def test_spellings_are_those_of_the_labels(self, tmp_path):
        corpus = read_manifest(write(tmp_path, "text,labels,v_HAPPY,v_sad\na,happy,2,1\nb,happy,3,0\n"))
        assert corpus.label_names == ("happy", "sad")
        assert corpus.utterances[0].votes == (("happy", 2.0), ("sad", 1.0))
        assert reasons(corpus) == [("own.csv", "labels happy (2), HAPPY (1) differ in case only: all are 'happy'")]

    @pytest.mark.parametrize("heading", ["v_x,v_X", "v_x,votes_x", "v_x,v_x"])
    def test_two_columns_for_a_label_are_refused(self, tmp_path, heading):
        with pytest.raises(UserError, match="two columns of v_"):
            read_manifest(write(tmp_path, f"text,labels,{heading}\na,x,1,1\n"))

    def test_a_column_without_a_label_is_not_used(self, tmp_path):
        assert reasons(read_manifest(write(tmp_path, "text,labels,v_\na,x,1\n"))) == [
            ("own.csv", "column 'v_' is not used")
        ]


class TestFaceCrops:
    @pytest.fixture
    def folder(self, tmp_path):
        Image.new("L", (48, 48)).save(tmp_path / "a.png")
        (tmp_path / "a.mp4").touch()
        return tmp_path

    @pytest.mark.parametrize(
        ("cell", "expected"),
        [
            ("yes", True),
            ("True", True),
            ("1", True),
            ("1.0", True),
            ("no", False),
            ("FALSE", False),
            ("0", False),
            ("", False),
        ],
    )
    def test_yes_and_no(self, folder, cell, expected):
        corpus = read_manifest(write(folder, f"image,labels,face_crop\na.png,x,{cell}\n"))
        assert [u.face_crop for u in corpus.utterances] == [expected]

    def test_json_has_booleans(self, folder):
        row = {"images": "a.png", "labels": "x", "face_crop": True}
        assert read_manifest(write(folder, json.dumps(row), "own.jsonl")).utterances[0].face_crop

    @pytest.mark.parametrize(
        ("row", "told"),
        [
            (",a.png,x,maybe", "face_crop is 'maybe'; expected is one of yes, true, 1, no, false, 0"),
            ("a.mp4,,x,yes", "face_crop is 'yes' beside a video; expected are images"),
        ],
    )
    def test_mistakes(self, folder, row, told):
        corpus = read_manifest(write(folder, f"video,image,labels,face_crop\n,a.png,x,yes\n{row}\n"))
        assert reasons(corpus)[0] == ("own.csv:3", told)
        assert len(corpus.utterances) == 1


def test_open_face_votes(shared, tmp_path):
    """The table alone: its images come as an archive."""
    path = tmp_path / "ferplus.csv"
    text = shared("open/ferplus.csv").read_text()
    path.write_text(text.replace("image,label,", "text,label,", 1))
    corpus = read_manifest(path)
    assert len(corpus.utterances) == 29892
    assert {"neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "NF", "unknown"} == set(
        corpus.label_names
    )
    assert not corpus.multi_label
    assert all(sum(dict(u.votes).values()) in range(5, 11) for u in corpus.utterances)
