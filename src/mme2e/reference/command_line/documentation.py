"""The table of docs/reference_command_line.md, from the options themselves."""

from mme2e.reference.command_line.options import OPTIONS, Option


def table() -> str:
    """A row an option, in Markdown."""
    rows = ["| option | without it | here | sets | the reference |", "|---|---|---|---|---|"]
    rows += [_row(row) for row in OPTIONS]
    return "\n".join(rows) + "\n"


def _row(row: Option) -> str:
    values = " \\| ".join(map(str, row.choices))
    spelled = " ".join(f"`{flag}`" for flag in row.flags) + (f" {values}" if values else "")
    sets = " ".join(f"`{name}`" for name in row.sets)
    return f"| {spelled} | {row.default_text} | {row.does} | {sets} | {row.did} |"
