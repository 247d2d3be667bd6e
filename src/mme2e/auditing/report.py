"""An audit as tables and files."""

from collections.abc import Callable, Iterator
from pathlib import Path

from mme2e.auditing.plot import plot_audit
from mme2e.auditing.result import Audit, SplitAudit
from mme2e.evaluation.report_files import write_report
from mme2e.evaluation.tables import UNDEFINED, Grid, markdown_list, markdown_table
from mme2e.records import to_json
from mme2e.report import Part, Table
from mme2e.scores.overlap import Overlap
from mme2e.scores.published import SOURCE

SHOWN_REASONS = 12
"""On the terminal; the files have all of them."""

_NO_EMOTION = "no emotion"
_UTTERANCES = "utterances"


def audit_parts(audit: Audit) -> Iterator[Part]:
    """The tables of an audit and its findings, for the screen."""
    for title, (heads, rows) in _tables(audit).items():
        yield Table(title=title, heads=heads, rows=rows, summary=[_UTTERANCES])
    lines = [f"{group.count} x {group.reason} (first: {group.example})" for group in audit.skipped]
    if len(lines) > SHOWN_REASONS:
        lines = [*lines[:SHOWN_REASONS], f"{len(lines) - SHOWN_REASONS} more reasons are in the report"]
    if lines:
        yield "left out, or kept without a modality:"
    yield from (f"  {line}" for line in lines)
    yield from _about(audit)


def write_audit(audit: Audit, out: Path) -> None:
    """Writes audit.json, audit.md and audit.png.

    Args:
        audit: What to write.
        out: Folder, made when it does not exist.

    Raises:
        UserError: The folder cannot be written.
    """
    contents: dict[str, str | bytes] = {"json": to_json(audit), "md": to_markdown(audit), "png": plot_audit(audit)}
    write_report(out, "audit", contents, "audit")


def to_markdown(audit: Audit) -> str:
    """The tables of an audit and its findings."""
    tables = _tables(audit)
    if audit.skipped:
        rows = [[group.reason, str(group.count), group.example] for group in audit.skipped]
        tables["Left out, or kept without a modality"] = (["reason", "items", "first"], rows)
    blocks = [f"# Audit of {audit.corpus.split(' ')[0]}", markdown_list(_about(audit))]
    for title, (heads, rows) in tables.items():
        blocks += [f"## {title}", markdown_table(heads, rows)]
    return "\n\n".join(blocks) + "\n"


def _about(audit: Audit) -> list[str]:
    return [f"split: {audit.split_protocol}", *audit.findings]


def _tables(audit: Audit) -> dict[str, Grid]:
    """Tables by title."""
    tables = {
        f"Utterances of {audit.corpus.split(' ')[0]} by emotion": _emotions(audit),
        "What they contain": _contents(audit),
        "What splits share (in brackets: share of the utterances concerned)": _shared(audit),
    }
    if audit.multi_label:
        tables["Utterances with both emotions"] = _co_occurrence(audit)
    return tables


def _emotions(audit: Audit) -> Grid:
    parts = (*audit.splits, audit.all)
    rows = [
        [name, *(_count_and_share(part.positives[index], part.utterances) for part in parts)]
        for index, name in enumerate(audit.label_names)
    ]
    if audit.all.unlabelled:
        rows.append([_NO_EMOTION, *(_count_and_share(part.unlabelled, part.utterances) for part in parts)])
    rows.append([_UTTERANCES, *(str(part.utterances) for part in parts)])
    if audit.published:
        published = {**audit.published, "all": sum(audit.published.values())}
        rows.append([SOURCE, *(str(published.get(part.name, UNDEFINED)) for part in parts)])
    return ["emotion", *(part.name for part in parts)], rows


def _contents(audit: Audit) -> Grid:
    parts = (*audit.splits, audit.all)

    def seconds(field: str) -> Callable[[SplitAudit], str]:
        return lambda part: UNDEFINED if part.durations is None else f"{getattr(part.durations, field):.2f}"

    lines: dict[str, Callable[[SplitAudit], str]] = {
        "recordings": lambda part: str(part.recordings),
        "speakers": lambda part: str(part.speakers),
        "hours": lambda part: UNDEFINED if part.durations is None else f"{part.durations.total_s / 3600:.3f}",
        "seconds, mean": seconds("mean_s"),
        "seconds, median": seconds("median_s"),
        "seconds, shortest": seconds("shortest_s"),
        "seconds, longest": seconds("longest_s"),
        "words": lambda part: str(part.words),
        "words, mean": lambda part: f"{part.words / part.utterances:.1f}" if part.utterances else UNDEFINED,
        "frames": lambda part: str(part.frames),
        "frames with a face": lambda part: UNDEFINED if part.face_share is None else f"{part.face_share:.1%}",
        "without text": lambda part: _count_and_share(part.no_text, part.utterances),
        "without audio": lambda part: _count_and_share(part.no_audio, part.utterances),
        "without a face": lambda part: _count_and_share(part.no_face, part.utterances),
    }
    return ["", *(part.name for part in parts)], [[head, *map(count, parts)] for head, count in lines.items()]


def _shared(audit: Audit) -> Grid:
    rows = [
        [f"of {found.split}, in {found.against}", *map(_overlap, (found.recordings, found.speakers, found.texts))]
        for found in audit.leakages
    ]
    return ["", "recordings", "speakers", "texts"], rows


def _overlap(overlap: Overlap) -> str:
    share = UNDEFINED if overlap.share is None else f"{overlap.share:.1%}"
    return f"{overlap.shared} of {overlap.of} ({share})"


def _co_occurrence(audit: Audit) -> Grid:
    counts = audit.all.co_occurrence
    rows = [[name, *map(str, row)] for name, row in zip(audit.label_names, counts, strict=True)]
    return ["", *audit.label_names], rows


def _count_and_share(count: int, of: int) -> str:
    return f"{count} ({count / of:.0%})" if of else UNDEFINED
