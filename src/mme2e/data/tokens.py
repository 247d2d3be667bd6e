"""From a transcript to token ids, in any thread."""

import threading
from typing import Any

_TOKENIZING = threading.Lock()


def token_ids(tokenizer: Any, text: str, *, max_length: int) -> list[int]:
    """The tokens of a text, with the special ones.

    A tokenizer of transformers keeps the truncation that it was last called with and sets it anew in each call, so that
    two threads would cut each other's texts: they take turns.

    Args:
        tokenizer: Of `mme2e.text`.
        text: The text.
        max_length: Most tokens; those behind are left out.
    """
    with _TOKENIZING:
        return tokenizer(text, truncation=True, max_length=max_length)["input_ids"]


def count_tokens(tokenizer: Any, text: str) -> int:
    """How many tokens a text has before any are cut, with the special ones."""
    with _TOKENIZING:
        return len(tokenizer(text, truncation=False, verbose=False)["input_ids"])
