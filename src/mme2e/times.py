"""Numbers and times as people, spreadsheets and subtitle tools write them."""

import math
import re

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:[.,]\d*)?)")


def seconds_of(written: str) -> float:
    """Seconds of a time.

    Args:
        written: Seconds, `mm:ss` or `hh:mm:ss`, each with or without a fraction, behind a point or a comma.

    Raises:
        ValueError: It is none of these.
    """
    match = _CLOCK.fullmatch(written.strip())
    if match is None:
        return number_of(written)
    hours, minutes, seconds = int(match[1] or 0), int(match[2]), number_of(match[3])
    if seconds >= 60 or (match[1] and minutes >= 60):
        raise ValueError(f"'{written}' is no time of day or length: minutes and seconds end at 59")
    return 3600 * hours + 60 * minutes + seconds


def number_of(written: str) -> float:
    """A finite number, with a point or a comma before its fraction.

    Raises:
        ValueError: It is none.
    """
    number = float(written.replace(",", ".", 1))
    if not math.isfinite(number):
        raise ValueError(f"'{written}' is no finite number")
    return number
