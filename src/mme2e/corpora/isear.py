"""Reader of ISEAR (Scherer & Wallbott 1994): people of 37 countries say when they felt each of seven emotions.

The table goes round in several forms: the whole database with `|` between the cells (columns ID, EMOT or Field1, MYKEY,
SIT and many more), and a table of emotion and text only, with or without headings.
"""

import re
from pathlib import Path

from mme2e.corpora.collection import Collection
from mme2e.corpora.file_finder import is_leftover
from mme2e.corpora.raw_folder import existing_folder
from mme2e.corpora.row_groups import RowGroups
from mme2e.corpora.table import Table, parse_table
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.errors import UserError
from mme2e.text_files import read_text, tidy_name

LABEL_NAMES = ("joy", "fear", "anger", "sadness", "disgust", "shame", "guilt")
"""In the order of the numbers in EMOT, from 1."""

EMOTION_COLUMNS = ("field1", "emotion", "label", "sentiment", "emot")
TEXT_COLUMNS = ("sit", "text", "content", "sentence")
SPEAKER_COLUMN, ID_COLUMN = "id", "mykey"
DELIMITERS = "|,;\t"

_LINE_BREAK = re.compile(r"\s*á\s*")  # the database has this letter in place of a line break, English has it not
_NO_ANSWER = re.compile(
    r"(the )?(no (response|reponse|answer|description)|none|nothing|blank|"
    r"((does not|doesnt|do not|not) )(apply|applicable)( to (me|myself))?|"
    r"(i )?((do not|dont|can ?not|cant) )(know|remember|recall|think of)( (anything|any|one|it|this|that))?"
    r"( (just )?now)?|"
    r"(i )?(have )?never (experienced|felt)( (it|this|that|the|such))?( an?)?( (emotion|feeling))?|"
    r"same as (in )?(above|before|joy|fear|anger|sadness|disgust|shame|guilt))"
)


def read_isear(raw: Path) -> RawCorpus:
    """Reads ISEAR's table.

    An utterance is an answer. Its speaker, who is its recording as well, is the person of column ID; in a table without
    it rows are put together (see `row_groups`). No split is published. What is no answer ("[ No response.]",
    "Does not apply.", "[ Same as in anger.]") is left out.

    Args:
        raw: The table, or a folder with it as isear.csv or as its only table.

    Raises:
        UserError: There is no such file or folder, no or several tables in it, a column is missing, or no row can be
            used.
    """
    path = raw if raw.is_file() else _table_in(existing_folder(raw))
    table = _with_headings(path)
    headings = {heading.lower(): heading for heading in reversed(table.headings)}
    emotion, text = (
        next((headings[name] for name in names if name in headings), None) for names in (EMOTION_COLUMNS, TEXT_COLUMNS)
    )
    if emotion is None or text is None:
        expected = " and ".join(f"one of {', '.join(names)}" for names in (EMOTION_COLUMNS, TEXT_COLUMNS))
        raise UserError(f"{path} has the columns {', '.join(filter(None, table.headings))}; expected are {expected}")
    found = Collection()
    groups = RowGroups()
    speaks, keyed = headings.get(SPEAKER_COLUMN), headings.get(ID_COLUMN)
    for row in table.rows:
        place = f"{path.name}:{row.line}"
        try:
            label, answer = _label(row.cells.get(emotion, "")), _answer(row.cells.get(text, ""))
        except ValueError as error:
            found.skip(place, error)
            continue
        person = tidy_name(row.cells[speaks]) if keyed and speaks and row.cells.get(speaks) else None
        recording = f"person{person}" if person else groups.next("rows")
        key = tidy_name(row.cells.get(keyed, "")) if keyed else ""
        utterance = Utterance(
            id=key or f"isear_{row.line}",
            recording=recording,
            speaker=recording,
            start_s=0.0,
            end_s=None,
            text=answer,
            labels=(label,),
        )
        found.add(utterance, place)
    if table.broken is not None:
        found.skip(f"{path.name}:{table.broken[0]}", f"{table.broken[1]}; what follows is not read")
    return found.corpus("isear", LABEL_NAMES, empty=f"{path} has no usable row")


def _table_in(folder: Path) -> Path:
    tables = sorted(path for path in folder.glob("*.[cC][sS][vV]") if path.is_file() and not is_leftover(path))
    named = [path for path in tables if path.stem.lower() == "isear"] or tables
    if len(named) != 1:
        what = f"{len(named)} tables *.csv" if named else "no table *.csv"
        raise UserError(f"{folder} has {what}; expected is isear.csv, or the table itself in place of its folder")
    return named[0]


def _with_headings(path: Path) -> Table:
    """The table; where its first line is an answer already, headings are put above it."""
    text = read_text(path)
    known = (*EMOTION_COLUMNS, *TEXT_COLUMNS, SPEAKER_COLUMN, ID_COLUMN, *LABEL_NAMES)
    table = parse_table(text, known, delimiters=DELIMITERS)
    places = [place for place, heading in enumerate(table.headings) if heading.lower() in LABEL_NAMES]
    if not places:
        return table
    names = [f"column{place}" for place in range(max(len(table.headings), places[0] + 2))]
    names[places[0] : places[0] + 2] = ["emotion", "text"]
    return parse_table(f"{table.delimiter.join(names)}\n{text}", known, delimiters=table.delimiter, lines_above=1)


def _label(cell: str) -> str:
    name = cell.strip().lower()
    if name.isdecimal() and 1 <= int(name) <= len(LABEL_NAMES):
        return LABEL_NAMES[int(name) - 1]
    if name not in LABEL_NAMES:
        raise ValueError(f"emotion '{cell[:40]}'; there are {', '.join(LABEL_NAMES)}")
    return name


def _answer(cell: str) -> str:
    answer = " ".join(_LINE_BREAK.sub(" ", cell).split())
    letters = " ".join("".join(letter for letter in answer.lower() if letter.isalpha() or letter == " ").split())
    if not letters or _NO_ANSWER.fullmatch(letters):
        raise ValueError(f"no answer: '{answer}'")
    return answer
