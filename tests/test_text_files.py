import unicodedata

import pytest

from mme2e.errors import UserError
from mme2e.text_files import composed, decode_text, line_not_utf_8, numbered_lines, printable, read_text, tidy_name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_text_in_any_encoding(encoding):
    text = "She said \u2013 \u201cI don\u2019t\u201d.\nGrüße\r\n"
    assert decode_text(text.encode(encoding)) == text


def test_bytes_of_windows_taken_for_latin_1_are_mended():
    assert decode_text("You\u0092re late".encode()) == "You\u2019re late"
    assert decode_text(b"don\x92t \x81 caf\xe9") == "don\u2019t  café"


def test_each_line_has_its_encoding():
    assert decode_text("Käse\n".encode() + b"K\xe4se\n") == "Käse\nKäse\n"


def test_a_stray_zero_byte_is_no_film():
    assert decode_text("Käse".encode() * 20 + b"\0\n") == "Käse" * 20 + "\0\n"


def test_the_first_line_in_another_encoding():
    assert line_not_utf_8("a\nKäse\n".encode() + b"K\xe4se\n") == 3
    assert line_not_utf_8("Käse".encode("utf-16")) is None
    assert line_not_utf_8("Käse".encode("utf-8-sig")) is None


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\2\x80", bytes(range(256)), b"\xff\xfe\x00", b"\0" * 20]
)
def test_what_is_no_text_is_refused(tmp_path, content):
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(UserError, match=r"words\.txt is not a text file in UTF-8, UTF-16 or Windows-1252"):
        read_text(tmp_path / "words.txt")


def test_lines_keep_their_numbers(tmp_path):
    (tmp_path / "words.txt").write_bytes(b"\xef\xbb\xbfone\r\n\r\n  \nfour")
    assert list(numbered_lines(tmp_path / "words.txt")) == [(1, "one"), (4, "four")]
    with pytest.raises(UserError, match="cannot be read"):
        read_text(tmp_path)


def test_what_cannot_be_written_is_escaped():
    assert printable("Käse \U0001f600") == "Käse \U0001f600"
    assert printable("caf\udce9.wav") == r"caf\xe9.wav"
    assert printable("half \ud83d") == r"half \ud83d"
    assert printable("caf\udce9 \ud83d") == r"caf\udce9 \ud83d"


def test_names_of_files_are_compared_composed():
    assert composed(unicodedata.normalize("NFD", "müde.wav")) == composed("müde.wav") == "müde.wav"
    assert composed("m\udcfcde.wav") == "müde.wav"
    assert composed("\ud83d.wav") == r"\ud83d.wav"


def test_names_that_look_the_same_are_the_same():
    assert tidy_name("  Zo\u0065\u0308 \u00a0 of\tX\u200b ") == "Zoë of X"
    assert tidy_name("\u200b\ufeff ") == ""
