"""The reasons for which preparation left things out, without what differs from one item to the next."""

import re
from collections.abc import Sequence

from mme2e.auditing.result import SkippedGroup

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
LEFT_OUT = "left out: "

_WANTED_FORM = re.compile(r"^(not '[^']*').*")  # what follows is the line that was found
_QUOTED = re.compile(r"'[^']*'")
_FILE_OR_NUMBER = re.compile(r"[^\s,;:]*[\d/][^\s,;:]*|[^\s,;:]+\.(?:avi|mp4|wav|flac|txt|csv|jpg|png)\b")


def group_reasons(skipped: Sequence[dict[str, str]]) -> tuple[SkippedGroup, ...]:
    """Counts what was left out, or kept without a modality, by reason: the most frequent one first.

    An item with several reasons ("; " between them) counts in each of them.

    Args:
        skipped: As in `CorpusInfo`: "item" and "reason".
    """
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    for entry in skipped:
        for reason in _parts(entry["reason"]):
            counts[reason] = counts.get(reason, 0) + 1
            examples.setdefault(reason, entry["item"])
    ordered = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return tuple(SkippedGroup(reason=reason, count=counts[reason], example=examples[reason]) for reason in ordered)


def _parts(reason: str) -> list[str]:
    if _WANTED_FORM.match(reason):
        return [_WANTED_FORM.sub(rf"\1: {ELLIPSIS}", reason)]
    outcome = LEFT_OUT if reason.startswith(LEFT_OUT) else ""
    return [outcome + _general(part) for part in reason.removeprefix(LEFT_OUT).split("; ")]


def _general(reason: str) -> str:
    return _FILE_OR_NUMBER.sub(ELLIPSIS, _QUOTED.sub(ELLIPSIS, reason))
