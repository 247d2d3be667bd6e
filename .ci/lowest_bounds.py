"""Prints a constraint `name==bound` for each lower bound of pyproject.toml; torch stays that of constraints.txt."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENT = re.compile(r"(?P<name>[\w-]+)(?:\[[^\]]*\])?>=(?P<bound>[\w.]+)")


def main() -> None:
    """Reads the run-time dependencies and the tests' own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        found = REQUIREMENT.fullmatch(requirement)
        if found is None:
            raise SystemExit(f"pyproject.toml: '{requirement}' has no lower bound of the form name>=version")
        if found["name"] != "torch":
            sys.stdout.write(f"{found['name']}=={found['bound']}\n")
    pinned = re.search(r"^torch==.*$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    sys.stdout.write(f"{pinned[0]}\n")


if __name__ == "__main__":
    main()
