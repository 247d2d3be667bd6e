"""What people see: tables and lines of results on standard output, progress and log lines on standard error.

Text of users (names of files, transcripts, labels, ids) comes out as it is: never as markup, emoji codes or control
sequences of the terminal.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable
from rich.text import Text

from mme2e.report import Part, Table, as_it_is


class _Screen(Console):
    """A console that shows text as it is."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(as_it_is(text), **options)


def screen(**options: Any) -> Console:
    """A console on standard output, or with `stderr=True` on standard error; options of `rich.console.Console`."""
    return _Screen(markup=False, emoji=False, highlight=False, **options)


def show(*parts: Part, console: Console | None = None) -> None:
    """Prints lines, each on one line however long, and tables.

    Args:
        parts: In order.
        console: Where; standard output when None.
    """
    console = console or screen()
    for part in parts:
        if isinstance(part, str):
            console.print(part, soft_wrap=True)
        else:
            console.print(_rich_table(part))


def _rich_table(table: Table) -> RichTable:
    if not table.heads:
        plain = RichTable(title=table.title, show_header=False, title_justify="left")
        for row in table.rows:
            plain.add_row(*row)
        return plain
    rich = RichTable(title=table.title, title_justify="left", box=SIMPLE, collapse_padding=True)
    for index, head in enumerate(table.heads):
        rich.add_column(head, justify="right" if index else "left", no_wrap=not index, overflow="fold")
    following_names = [*(row[0] for row in table.rows[1:]), None]
    for row, following in zip(table.rows, following_names, strict=False):
        ends = following in table.summary and row[0] not in table.summary
        rich.add_row(*row, style="bold" if row[0] == "average" else None, end_section=ends)
    return rich


def progress(
    *columns: str | ProgressColumn, console: Console | None = None, only_on_terminals: bool = False, **options: Any
) -> Progress:
    """A progress bar on standard error.

    Args:
        columns: Those after the bar and the count; a string may name fields of the task, as `{task.fields[status]}`.
        console: Where; standard error when None.
        only_on_terminals: Whether it shows nothing elsewhere, and nothing on a terminal once it is done.
        options: Of `rich.progress.Progress`.
    """
    console = console or screen(stderr=True)
    if only_on_terminals:
        options = {"transient": True, "disable": not console.is_terminal, **options}
    return Progress(
        words("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *(words(column) if isinstance(column, str) else column for column in columns),
        TimeRemainingColumn(),
        console=console,
        **options,
    )


def words(template: str) -> TextColumn:
    """A column of a progress bar whose text is never markup."""
    return TextColumn(template, markup=False)


def tracked(items: Iterable[Any], total: int, description: str) -> Iterator[Any]:
    """The items, with a progress bar on a terminal."""
    with progress(only_on_terminals=True) as shown:
        yield from shown.track(items, total=total, description=description)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Shows on a terminal what is waited for."""
    with screen(stderr=True).status(Text(as_it_is(text))):
        yield


class _ScreenHandler(logging.Handler):
    """Writes log lines to what standard error is now, so above a progress bar that is running."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = " ".join(as_it_is(self.format(record)).split())
            print(f"mme2e: {record.levelname.lower()}: {line}", file=sys.stderr)  # noqa: T201
        except Exception:  # as every handler of logging does: it prints the fault, and work goes on
            self.handleError(record)


def log_to_screen() -> None:
    """Sends the warnings of this package to standard error, a line each."""
    logger = logging.getLogger("mme2e")
    if not any(isinstance(handler, _ScreenHandler) for handler in logger.handlers):
        logger.addHandler(_ScreenHandler())
