"""What the functions of the verbs return: results that can be printed, made of lines and tables."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a report.

    Attributes:
        title: Above it.
        heads: Of the columns; without them the first cell of each row is its name.
        rows: As many cells as heads; the first is a name, the others are numbers.
        summary: Names of rows that are set off from those before them.
    """

    title: str
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]]
    summary: Sequence[str] = ()


Part = str | Table
"""A line, or a table."""


class Result:
    """What the function of a verb returns."""

    @property
    def complete(self) -> bool:
        """Whether all input could be used and every check passed; the command's exit status is 1 where not."""
        return True

    def report(self) -> Iterable[Part]:
        """What the command prints of it."""
        raise NotImplementedError


def as_it_is(text: str) -> str:
    r"""Text without what a terminal would obey or could not show: ESC becomes \x1b, a lone surrogate \udcff."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) != "Cc" else repr(letter)[1:-1] for letter in text
    )
