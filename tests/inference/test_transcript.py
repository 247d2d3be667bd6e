import pytest

from mme2e.errors import UserError
from mme2e.inference.transcript import read_transcript


@pytest.mark.parametrize(
    "given", ["just words", "w" * 5000, "two\nlines/", "I am here 24/7.", "and / or", "He said: what?", "", "a.b"]
)
def test_words_are_words(given):
    assert read_transcript(given) == given
    assert read_transcript(None) is None


def test_bytes_that_are_not_utf_8_are_escaped():
    assert read_transcript("don\udc92t") == r"don\x92t"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_file_in_any_encoding(tmp_path, encoding):
    (tmp_path / "words.txt").write_bytes(" I don\u2019t \u2013 café\n".encode(encoding))
    assert read_transcript(str(tmp_path / "words.txt")) == "I don\u2019t \u2013 café"


@pytest.mark.parametrize(
    "given",
    ["words.txt", "my talk.SRT", "gone.vtt", "talks/words", "/gone/words", "./words", "{folder}/my words", "talks/"],
)
def test_what_looks_like_a_file_must_be_one(tmp_path, given):
    given = given.replace("{folder}", str(tmp_path))
    with pytest.raises(UserError) as raised:
        read_transcript(given)
    assert str(raised.value) == f"there is no file {given}; expected is a text file, or the text itself"
