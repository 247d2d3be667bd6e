"""`search`: the settings of training that score best on validation."""

from pathlib import Path
from typing import TYPE_CHECKING

from mme2e.config.search import SearchSettings

if TYPE_CHECKING:
    from mme2e.tuning.result import SearchResult


def search(
    file: str | Path | SearchSettings,
    *,
    data: str | Path,
    out: str | Path,
    trials: int = 20,
    timeout_s: float | None = None,
) -> "SearchResult":
    """Searches for the settings of training that score best on validation; the test split is closed to it.

    Can be interrupted at any moment and called again: trials that are done are kept, the one that was cut off is
    repeated. Requires Optuna (extra `search`).

    Args:
        file: YAML with base, space, objective, seed and pruner; docs/search.md describes them.
        data: Prepared corpus.
        out: Folder for best.yaml (for 'mme2e train --config'), trials.csv, search.md, plots, study.db (Optuna's) and
            the best run; new, empty, or of an earlier call of the same search.
        trials: How many there shall be, those of earlier calls included.
        timeout_s: No trial begins after so many seconds.

    Raises:
        UserError: Optuna is missing, the settings and the corpus do not fit, `out` holds something else, or no trial
            could be completed.
        KeyboardInterrupt: After everything that is done was written.
    """
    from mme2e.command_line import read_settings
    from mme2e.tuning.run import run_search

    settings = file if isinstance(file, SearchSettings) else read_settings(Path(file), SearchSettings)
    return run_search(settings, data=Path(data), out=Path(out), trials=trials, timeout_s=timeout_s)
