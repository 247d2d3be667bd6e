"""Text that others wrote: files in any encoding, and names that are not what Unicode expects."""

import codecs
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from mme2e.errors import UserError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_TEXT = bytes(code for code in range(0x20) if chr(code) not in "\t\n\v\f\r\x1a\x1b")
_MOST_CONTROLS = 0.05
"""A stray zero byte does not make a text a film."""

_WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
"""Windows' apostrophes and dashes where Latin-1 has control characters that no text contains."""


def decode_text(content: bytes) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32; a line that is not UTF-8 is taken as Windows-1252.

    Windows' apostrophes and dashes are also mended where they were taken for Latin-1 before.

    Raises:
        ValueError: It is no text.
    """
    encoding = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), _unmarked_utf_16(content))
    if encoding is not None:
        return content.decode(encoding)
    if len(content.translate(None, _NO_TEXT)) < (1 - _MOST_CONTROLS) * len(content):
        raise ValueError("it contains control characters, as no text does")
    lines = content.removeprefix(codecs.BOM_UTF8).split(b"\n")
    return "\n".join(map(_decode_line, lines)).translate(_WINDOWS)


def line_not_utf_8(content: bytes) -> int | None:
    """Number, from 1, of the first line that `decode_text` takes as Windows-1252; None where there is none."""
    if content.startswith(tuple(mark for mark, _ in _MARKS)) or _unmarked_utf_16(content):
        return None
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    return None


def _unmarked_utf_16(content: bytes) -> str | None:
    """UTF-16 without a mark, when the content looks like it: of most characters one byte is zero."""
    for zeros, others, encoding in ((1, 0, "utf-16-le"), (0, 1, "utf-16-be")):
        half = content[zeros::2]
        if half.count(0) * 2 > len(half) and 0 not in content[others::2]:
            return encoding
    return None


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def read_text(path: Path) -> str:
    """A text file, decoded by `decode_text`.

    Raises:
        UserError: The file cannot be read, or is no text.
    """
    try:
        return decode_text(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not a text file in UTF-8, UTF-16 or Windows-1252: {error}") from error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1 (see `read_text`).

    Raises:
        UserError: The file cannot be read, or is no text.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def printable(text: str) -> str:
    r"""The text with an escape for what cannot be written as UTF-8.

    That is a byte of a file's name that is not UTF-8 (`caf\xe9`), or half a character of damaged JSON (`\ud83d`).
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace").decode()
    return text


def composed(name: str) -> str:
    """A file's name with composed letters, to compare it: macOS decomposes them, old archives write Windows-1252."""
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("cp1252", "replace") if _is_of_file_system(name) else printable(name)
    return unicodedata.normalize("NFC", name)


def _is_of_file_system(name: str) -> bool:
    return not any(0xD800 <= ord(letter) < 0xDC80 or 0xDCFF < ord(letter) < 0xE000 for letter in name)


def tidy_name(name: str) -> str:
    """A name that people wrote (a label, an id, a heading), so that what looks the same is the same.

    Letters are composed, characters without width are removed, white space is a single space, and none at the ends.
    """
    if name.isascii():
        return " ".join(name.split())
    visible = "".join(letter for letter in printable(name) if unicodedata.category(letter) != "Cf")
    return " ".join(unicodedata.normalize("NFC", visible).split())
