"""The files of an answer, and the table of many."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mme2e.atomic import replacing
from mme2e.errors import UserError
from mme2e.inference.timeline import Timeline
from mme2e.prediction.recordings import MARK
from mme2e.writers.table import FORMATS, require_format, write_timeline

REPORT_FORMATS = ("html",)
ALL_FORMATS = (*(suffix.removeprefix(".") for suffix in FORMATS), *REPORT_FORMATS)
SUMMARY = "summary"


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Formats in lower case, without a point.

    Raises:
        UserError: One is unknown.
    """
    by_name = {known.lower(): known for known in ALL_FORMATS}
    found = []
    for each in formats:
        name = by_name.get(each.lower().removeprefix("."))
        if name is None:
            raise UserError(f"unknown format '{each}'; choose from {', '.join(ALL_FORMATS)}")
        found.append(name)
    return tuple(dict.fromkeys(found))


def write_outputs(timeline: Timeline, folder: Path, name: str, formats: Sequence[str], recording: Path) -> list[Path]:
    """Writes an answer in several formats.

    Args:
        timeline: It.
        folder: Where to.
        name: Of the files, without suffix.
        formats: Of `ALL_FORMATS`.
        recording: For the report, which plays it when it lies beside.

    Raises:
        UserError: A file cannot be written.
    """
    files = [folder / f"{name}{MARK}.{each}" for each in formats]
    for file in files:
        write_output(timeline, file, recording)
    return files


def write_output(timeline: Timeline, file: Path, recording: Path) -> None:
    """Writes an answer in the format of a file's suffix.

    Raises:
        UserError: The suffix is unknown, or the file cannot be written.
    """
    if file.suffix.lower() == ".html":
        from mme2e.writers.html import write_report

        write_report(timeline, file, video=recording)
    else:
        write_timeline(timeline, file)


def check_output(file: Path) -> None:
    """Refuses a name that no answer can be written to, before work is done for it.

    Raises:
        UserError: Its suffix is unknown, or its folder does not exist.
    """
    if file.suffix.lower() != ".html":
        require_format(file)
    if not file.parent.is_dir():
        raise UserError(f"{file} cannot be written: there is no folder {file.parent}")


def write_summary(rows: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """A row for each recording, as CSV and Parquet.

    Raises:
        OSError: The folder is full or cannot be written.
    """
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    files = [folder / f"{SUMMARY}.csv", folder / f"{SUMMARY}.parquet"]
    with replacing(files[0]) as temporary:
        frame.to_csv(temporary, index=False)
    with replacing(files[1]) as temporary:
        frame.to_parquet(temporary, index=False)
    return files
