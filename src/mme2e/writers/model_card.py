"""The few forms of Markdown that a model card has, as blocks that a template writes."""

import re
from typing import Any

from mme2e.text_files import printable

_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"\s*[-*+]\s+(.*)")
_RULE = re.compile(r"[\s|:-]+")


def markdown_blocks(text: str) -> list[tuple[str, Any]]:
    """The few forms of Markdown that a model card has, as blocks that the template writes.

    Returns:
        ("heading", text), ("paragraph", text), ("list", items), ("table", rows of cells), ("code", text).
    """
    blocks: list[tuple[str, Any]] = []
    open_block = ""  # what the next line may go on with
    for line in _without_front_matter(printable(text)).splitlines():
        if line.lstrip().startswith("```"):
            open_block = "" if open_block == "code" else "code"
            if open_block:
                blocks.append(("code", ""))
        elif open_block == "code":
            blocks[-1] = ("code", f"{blocks[-1][1]}{line}\n")
        elif not line.strip():
            open_block = ""
        elif heading := _HEADING.fullmatch(line):
            blocks.append(("heading", _plain(heading[2])))
            open_block = ""
        elif line.lstrip().startswith("|"):
            if open_block != "table":
                blocks.append(("table", []))
            open_block = "table"
            if not _RULE.fullmatch(line):
                blocks[-1][1].append([_plain(cell) for cell in line.strip().strip("|").split("|")])
        elif item := _ITEM.fullmatch(line):
            if open_block != "list":
                blocks.append(("list", []))
            open_block = "list"
            blocks[-1][1].append(_plain(item[1]))
        elif open_block == "list":
            blocks[-1][1][-1] += " " + _plain(line)
        elif open_block == "paragraph":
            blocks[-1] = ("paragraph", f"{blocks[-1][1]} {_plain(line)}")
        else:
            blocks.append(("paragraph", _plain(line)))
            open_block = "paragraph"
    return blocks


def _without_front_matter(text: str) -> str:
    head, mark, rest = text.removeprefix("---\n").partition("\n---\n")
    return rest if text.startswith("---\n") and mark and head else text


def _plain(text: str) -> str:
    return re.sub(r"\[([^\]]*)\]\(([^)]*)\)", r"\1 (\2)", text.strip()).replace("**", "").replace("`", "")
