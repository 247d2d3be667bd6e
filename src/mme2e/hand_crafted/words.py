"""Words of a transcript, split as the Penn Treebank and GloVe split them."""

import re

_WORD = re.compile(r"\w+?(?=n't\b)|n't\b|'(?:s|m|d|re|ve|ll)\b|\w+|[!?]")


def words_of(text: str) -> list[str]:
    """Words in lower case; "don't" is do + n't. Of the signs only ! and ? are kept: they show emotion."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
