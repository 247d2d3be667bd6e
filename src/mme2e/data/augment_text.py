"""Augmentation of text: what speech recognisers leave out, and words that the tokenizer does not know.

Everything that is off changes not one bit, and draws no random number.
"""

import unicodedata

import numpy as np

from mme2e.config import AugmentSettings
from mme2e.data.augment import happens


def augment_text(text: str, settings: AugmentSettings, unknown: str | None, rng: np.random.Generator) -> str:
    """Changes the text of an utterance; a text with words keeps at least one.

    Args:
        text: As written.
        settings: All of `text`, and `word_dropout`, are used.
        unknown: The tokenizer's unknown token, which comes in last and is never changed; None: no word dropout.
        rng: Decides everything.

    Returns:
        The text; where words were left out or replaced, with one space between words.
    """
    if happens(settings.text.lower_case, rng):
        text = text.lower()
    if happens(settings.text.no_punctuation, rng):
        text = without_punctuation(text)
    if settings.text.word_deletion > 0:
        text = _delete_words(text, settings.text.word_deletion, rng)
    if settings.word_dropout > 0 and unknown is not None:
        text = _drop_words(text, settings.word_dropout, unknown, rng)
    return text


def without_punctuation(text: str) -> str:
    """Text without the marks that Unicode calls punctuation, and with one space between words.

    A mark between two letters or digits stays where it is part of the word ("don't", "3.5", "well-known"), so that no
    words are joined; a text that is nothing but marks stays as it is.
    """
    kept = [
        " " if _is_mark(letter) and not _within_word(text, position) else letter for position, letter in enumerate(text)
    ]
    words = "".join(kept).split()
    return " ".join(words) if words else text


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("P")


def _within_word(text: str, position: int) -> bool:
    """Whether the mark at a position joins two letters, or two digits."""
    before, after = text[position - 1 : position], text[position + 1 : position + 2]
    joins_digits = text[position] in ".,:" and before.isdigit() and after.isdigit()
    return joins_digits or (text[position] in "'\u2019-" and before.isalnum() and after.isalnum())


def _delete_words(text: str, probability: float, rng: np.random.Generator) -> str:
    words = text.split()
    if len(words) < 2:
        return text
    draws = rng.random(len(words))
    kept = draws >= probability
    kept[draws.argmax()] = True  # where all would go, each is as likely to stay as the others
    return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)


def _drop_words(text: str, probability: float, unknown: str, rng: np.random.Generator) -> str:
    words = text.split()
    drop = rng.random(len(words)) < probability
    return " ".join(unknown if dropped else word for word, dropped in zip(words, drop, strict=True))
