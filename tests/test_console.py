"""Text of users comes to the screen as it is."""

import io
import logging

import pytest
from rich.text import Text

from mme2e import console
from mme2e.report import Table

HOSTILE = "[/x] [red]red[/red] :smile: [link=http://a]b[/link]"


def printed(*parts, **options) -> str:
    file = io.StringIO()
    console.show(*parts, console=console.screen(file=file, width=200, **options))
    return file.getvalue()


def test_lines_and_tables_show_markup_as_text() -> None:
    table = Table(title=f"title {HOSTILE}", heads=[f"head {HOSTILE}", "n"], rows=[[f"cell {HOSTILE}", "1"]])
    text = printed(f"line {HOSTILE}", table, Table(title="", rows=[(f"name {HOSTILE}", f"value {HOSTILE}")]))
    for where in ("line", "title", "head", "cell", "name", "value"):
        assert f"{where} {HOSTILE}" in " ".join(text.split())


def test_control_characters_and_halves_of_characters_are_written_out() -> None:
    assert printed("a\x1b[31mb\x07\rc\udcffd\ne") == "a\\x1b[31mb\\x07\\rc\\udcffd\ne\n"
    # Nor do they come from a cell, on a terminal with colours.
    assert "\\x1b[31m" in printed(Table(title="t", rows=[("a\x1b[31m", "")]), force_terminal=True)


def test_a_line_is_never_broken() -> None:
    assert printed("word " * 100) == "word " * 100 + "\n"


def test_rows_of_a_summary_are_set_off() -> None:
    table = Table(title="t", heads=["", "n"], rows=[["a", "1"], ["b", "2"], ["all", "3"]], summary=["all"])
    lines = [line.split() for line in printed(table).splitlines()]
    place = lines.index(["all", "3"])
    assert lines[place - 2] == ["b", "2"]


def test_progress_shows_markup_as_text() -> None:
    file = io.StringIO()
    screen = console.screen(file=file, width=200, force_terminal=True)
    with console.progress("of {task.fields[status]}", console=screen) as bar:
        bar.add_task(f"doing {HOSTILE}", total=1, completed=1, status=HOSTILE)
    shown = Text.from_ansi(file.getvalue()).plain
    assert f"doing {HOSTILE}" in shown
    assert f"of {HOSTILE}" in shown


def test_nothing_is_shown_elsewhere_than_on_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(console.tracked([1, 2], 2, "title")) == [1, 2]
    with console.waiting(f"for {HOSTILE}"):
        pass
    assert capsys.readouterr() == ("", "")


def test_warnings_are_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("mme2e")
    before = list(logger.handlers)
    try:
        console.log_to_screen()
        console.log_to_screen()
        logging.getLogger("mme2e.text").warning("%s has\nno weights", f"\x1b{HOSTILE}")
        assert capsys.readouterr().err == f"mme2e: warning: \\x1b{HOSTILE} has no weights\n"
    finally:
        logger.handlers = before
