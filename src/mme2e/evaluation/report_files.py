"""The files of a report: all of them are made before the first is written, and each appears whole or not at all."""

import io
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from mme2e.atomic import replacing
from mme2e.errors import UserError


def png(figure: Figure) -> bytes:
    """A figure as the content of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def write_report(out: Path, stem: str, contents: Mapping[str, str | bytes], what: str) -> None:
    """Writes the files of a report.

    Args:
        out: Folder, made when it does not exist.
        stem: Their common name.
        contents: By the ending of the file's name; text is written as UTF-8.
        what: What it is a report of, for errors: "audit", "benchmark", ...

    Raises:
        UserError: The folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for ending, content in contents.items():
            with replacing(out / f"{stem}.{ending}") as temporary:
                temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write the {what} into {out}: {reason}; --out takes another folder") from error
