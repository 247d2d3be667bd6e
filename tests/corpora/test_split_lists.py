import json
from pathlib import Path

import pytest

from mme2e.corpora.split_lists import read_split_lists
from mme2e.errors import UserError

SPLIT_OF = {"-a_1": "train", "b": "valid", "c": "test", "d": "test"}


def write_folder(folder: Path, **ids: str) -> Path:
    for split, text in ids.items():
        (folder / f"{split}_split.txt").write_text(text)
    return folder


def test_a_folder_of_lists(tmp_path: Path):
    lists = read_split_lists(write_folder(tmp_path, train="-a_1\r\n\r\n", valid=" b \n", test="c\nd"))
    assert lists.split_of == SPLIT_OF
    assert lists.name == tmp_path.name
    assert lists.counts == {"train": 1, "valid": 1, "test": 2}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", "id,note,split\n-a_1,x,train\nb,,val\nc,,Test\nd,,test\n"),
        ("s.json", json.dumps(SPLIT_OF)),
        ("s.json", json.dumps({"train": ["-a_1"], "dev": ["b"], "test": ["c", "d"]})),
    ],
)
def test_one_file(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    assert read_split_lists(tmp_path / name).split_of == SPLIT_OF


def test_the_phrase_says_whether_these_are_the_published_lists(tmp_path: Path):
    lists = read_split_lists(write_folder(tmp_path, train="a", valid="b", test="c"))
    assert lists.protocol("own") == f"lists ({tmp_path.name}: 1/1/1)"
    assert lists.protocol("iemocap") == f"lists ({tmp_path.name}: 1/1/1; published are 5162/737/1481)"


def test_a_missing_or_empty_list_is_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"has no train_split.txt; --splits expects"):
        read_split_lists(tmp_path)
    with pytest.raises(UserError, match=r"valid_split.txt is empty"):
        read_split_lists(write_folder(tmp_path, train="a", valid="\n", test="b"))


def test_an_id_in_two_lists_is_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"'u1' is in train and in test"):
        read_split_lists(write_folder(tmp_path, train="u1", valid="u2", test="u1"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "id\nx\n", "no column split"),
        ("s.csv", "a,b\nx,y\n", "no column id and no column split"),
        ("s.csv", "id,split\n", "names no utterance"),
        ("s.csv", "id,split\nx\n", "row 1 lacks"),
        ("s.csv", "id,split\nx,holdout\n", "'x' is in split 'holdout'; expected are train, valid, test"),
        ("s.json", "{", "is not JSON"),
        ("s.json", "[1]", "neither {id: split}"),
        ("s.json", '{"a": "train", "b": ["c"]}', "neither {id: split}"),
        ("s.json", "{}", "names no utterance"),
        ("s.txt", "x", "neither a folder nor"),
    ],
)
def test_a_wrong_file_is_a_user_error(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        read_split_lists(tmp_path / name)


def test_no_file_is_a_user_error(tmp_path: Path):
    with pytest.raises(UserError, match="does not exist"):
        read_split_lists(tmp_path / "none.csv")
