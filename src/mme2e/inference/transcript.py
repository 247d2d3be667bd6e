"""The words of a recording, as they are given on the command line."""

from pathlib import Path

from mme2e.errors import UserError


def read_transcript(given: str | None) -> str | None:
    """The text itself, or the content of the file that it names.

    Raises:
        UserError: The file is not UTF-8 text.
    """
    # A long text is no file name: asking the file system about it would be an error of its own.
    if given is None or len(given) > 255 or "\n" in given or not Path(given).is_file():
        return given
    try:
        return Path(given).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise UserError(f"{given} is not a text file in UTF-8") from error
