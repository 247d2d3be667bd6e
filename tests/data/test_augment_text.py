import numpy as np
import pytest

from mme2e.config import AugmentSettings, TextAugmentSettings
from mme2e.data.augment_text import augment_text, without_punctuation


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def changed(text, rng, unknown="[UNK]", word_dropout=0.0, **values):
    settings = AugmentSettings(text=TextAugmentSettings(**values), word_dropout=word_dropout)
    return augment_text(text, settings, unknown, rng)


def test_off_changes_nothing_and_draws_nothing(rng):
    before = rng.bit_generator.state
    assert changed(" Well,  I SAID so!\n", rng) == " Well,  I SAID so!\n"
    assert rng.bit_generator.state == before


def test_words_become_unknown(rng):
    assert changed("a b c", rng, word_dropout=1.0) == "[UNK] [UNK] [UNK]"
    assert changed("", rng, word_dropout=1.0) == ""
    assert changed("a b c", rng, unknown=None, word_dropout=1.0) == "a b c"
    words = changed(" ".join(["word"] * 4000), rng, word_dropout=0.25).split()
    assert 0.2 < words.count("[UNK]") / len(words) < 0.3


def test_word_dropout_alone_draws_one_number_a_word():
    drop = np.random.default_rng(3).random(9) < 0.4
    expected = ["[UNK]" if dropped else "w" for dropped in drop]
    assert changed("w w w w w w w w w", np.random.default_rng(3), word_dropout=0.4).split() == expected


def test_lower_case_is_not_undone_and_does_not_reach_the_unknown_token(rng):
    assert changed("I AM Él!", rng, lower_case=1.0) == "i am él!"
    assert changed("I AM", rng, lower_case=1.0, no_punctuation=1.0, word_dropout=1.0) == "[UNK] [UNK]"


def test_probabilities_are_of_a_whole_text(rng):
    texts = [changed("Oh! No?", rng, lower_case=0.5, no_punctuation=0.25) for _ in range(2000)]
    assert set(texts) == {"Oh! No?", "oh! no?", "Oh No", "oh no"}
    assert 0.45 < np.mean([text == text.lower() for text in texts]) < 0.55
    assert 0.2 < np.mean(["!" not in text for text in texts]) < 0.3


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Well, I don't know... (really?)", "Well I don't know really"),
        ("It\u2019s 3.5 miles at 10:30.", "It\u2019s 3.5 miles at 10:30"),
        ("'Quoted' well-known, end-", "Quoted well-known end"),
        ("one,two—three", "one two three"),
        ("¿Qué? 「はい」。", "Qué はい"),
        ("so happy 😀!", "so happy 😀"),
        ("$5 + 2", "$5 + 2"),
        ("", ""),
        ("'", "'"),
        ("?! ...", "?! ..."),
    ],
)
def test_punctuation_goes_and_words_stay(text, spoken, rng):
    assert without_punctuation(text) == spoken
    assert changed(text, rng, no_punctuation=1.0) == spoken


def test_words_are_left_out_but_never_all(rng):
    kept = changed(" ".join(str(i) for i in range(4000)), rng, word_deletion=0.3).split()
    assert 0.65 < len(kept) / 4000 < 0.75
    assert kept == sorted(kept, key=int)
    survivors = {changed("a b c", rng, word_deletion=1.0) for _ in range(100)}
    assert survivors == {"a", "b", "c"}
    assert changed("one", rng, word_deletion=1.0) == "one"
    assert changed("", rng, word_deletion=1.0) == ""
