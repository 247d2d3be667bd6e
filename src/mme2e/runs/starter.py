"""The model that comes with the package, under the name `starter`."""

from pathlib import Path

from mme2e.errors import UserError
from mme2e.runs.info import CONFIG_FILE

STARTER = "starter"
"""Name of the model that is shipped, wherever a run folder is expected; a folder of that name is `./starter`."""

STARTER_FOLDER = Path(__file__).parent.parent / "starter" / "model"


def find_run(run: str | Path) -> Path:
    """The folder of a run.

    Args:
        run: A run folder, or `starter`.

    Raises:
        UserError: The starter is asked for, and this installation does not contain it.
    """
    if str(run) != STARTER:
        return Path(run)
    if not (STARTER_FOLDER / CONFIG_FILE).is_file():
        raise UserError(
            f"this installation of mme2e has no starter model in {STARTER_FOLDER}: install the package again, or give "
            "a run folder"
        )
    return STARTER_FOLDER
