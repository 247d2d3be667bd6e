"""What the command prints of a result."""

import io

from mme2e.console import screen, show
from mme2e.report import Result


def shown(result: Result, width: int = 150) -> str:
    """As on a terminal of so many columns."""
    file = io.StringIO()
    show(*result.report(), console=screen(file=file, width=width))
    return file.getvalue()
