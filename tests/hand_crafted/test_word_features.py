import numpy as np
import pytest

from mme2e.errors import UserError
from mme2e.hand_crafted.glove import GloveWords, read_glove
from mme2e.hand_crafted.hashed_words import HashedWords, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I can't believe it!", ["i", "ca", "n't", "believe", "it", "!"]),
        ("It\u2019s you, isn\u2019t it?", ["it", "'s", "you", "is", "n't", "it", "?"]),
        ("[LAUGHTER] 'so' -- Größe 7", ["laughter", "so", "größe", "7"]),
        ("", []),
        ("...", []),
    ],
)
def test_words_are_split_as_glove_splits_them(text, words):
    assert words_of(text) == words


def test_hashed_words_are_alike_when_they_share_their_stem():
    words = HashedWords(300)
    happy, happier, gloom = (words.vector(word) for word in ("happiness", "happier", "gloom"))
    assert np.linalg.norm(happy) == pytest.approx(1)
    assert happy @ happier > 0.25 > abs(happy @ gloom)
    assert HashedWords(300).vector("happiness").tolist() == happy.tolist()


def test_hashed_words_do_not_depend_on_the_process():
    columns = np.flatnonzero(HashedWords(300).vector("no"))
    assert columns.tolist() == [43, 126, 203]  # "<no>" whole, "<no", "no>"; hash() would be salted anew each time


def test_an_utterance_without_words_has_no_text():
    assert HashedWords(5).extract({"text": None}) is None
    assert HashedWords(5).extract({"text": " ... "}) is None
    assert HashedWords(5).extract({"text": "One word"}).shape == (2, 5)


def test_glove_keeps_the_words_that_are_needed(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2 3\nhappy 0.5 -1 2e-1\n. . . 9 9 9\nunused a b c\n", encoding="utf-8")
    glove = GloveWords(path, {"happy", "the", "zebra"})
    assert glove.info.size == 3
    assert glove.info.settings["known_words"] == "2 of 3"
    matrix = glove.extract({"text": "The happy zebra"})
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, [[1, 2, 3], [0.5, -1, 0.2], [0, 0, 0]], rtol=1e-6)
    assert glove.extract({"text": None}) is None


def test_the_first_line_of_word2vec_is_passed_over(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("2 3\nhappy 1 2 3\nsad 4 5 6\n")
    size, vectors = read_glove(path, {"sad"})
    assert size == 3
    assert vectors["sad"].tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"happy\n", "line 1: a word and its numbers are expected, not 'happy'"),
        (b"a 1 2 3\nhappy 1 2\n", "line 2: a word and 3 numbers are expected, not 'happy 1 2'"),
        (b"happy 1 2 x\n", "line 1: numbers are expected after the word"),
        (b"a 1 2 3\nb 1 2 3\n", "has none of the corpus' 1 words, like 'happy'"),
        (b"PK\x03\x04\xff\x00\n", "line 1"),
    ],
)
def test_broken_glove_files(tmp_path, content, message):
    path = tmp_path / "glove.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_glove(path, {"happy"})


def test_a_missing_glove_file(tmp_path):
    with pytest.raises(UserError, match="cannot read word vectors"):
        read_glove(tmp_path / "nothing.txt", {"happy"})
