"""Tokens of a text are its own, whatever other threads ask for."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from mme2e.data.tokens import token_ids
from mme2e.text import train_tokenizer


@pytest.mark.parametrize("of_transformers", [True, False])
def test_threads_with_different_lengths_do_not_cut_each_others_texts(of_transformers: bool) -> None:
    tokenizer: Any = train_tokenizer(["it was a lovely day"], vocab_size=40)
    if of_transformers:  # it keeps the length that it was last called with
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend)
    text, begun = "it was a lovely day " * 100, Barrier(8)

    def lengths(longest: int) -> set[int]:
        begun.wait()
        return {len(token_ids(tokenizer, text, max_length=longest)) for _ in range(50)}

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lengths, range(10, 90, 10))) == [{longest} for longest in range(10, 90, 10)]
