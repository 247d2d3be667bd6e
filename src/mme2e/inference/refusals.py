"""What is refused before a model is loaded: by its record alone, without torch."""

from pathlib import Path

from mme2e.errors import UserError
from mme2e.inference.result import check_writable
from mme2e.runs.info import RunInfo

PICTURE_FORMATS = (".png", ".svg", ".pdf")


def check_picture(path: Path) -> None:
    """Refuses a file name that cannot become a picture, before work is done for it.

    Raises:
        UserError: It ends in something else than .png, .svg or .pdf, it is a folder, or its folder does not exist.
    """
    check_writable(path)
    if path.suffix.lower() not in PICTURE_FORMATS:
        raise UserError(f"{path} is not the name of a picture: it must end in {', '.join(PICTURE_FORMATS)}")


def check_selects(model: str) -> None:
    """Refuses a model that selects no sites.

    Args:
        model: Its kind.

    Raises:
        UserError: It is no MESM.
    """
    if model != "mesm":
        raise UserError(f"{model} computes all sites: only a run of mesm selects some to show")


def require_recordings(info: RunInfo) -> None:
    """Refuses a model that reads no recordings.

    Raises:
        UserError: The model reads hand-crafted features.
    """
    if info.model.hand_crafted:
        raise UserError(
            f"{info.model.name} reads hand-crafted features, not recordings: make them with 'mme2e features' and "
            "score them with 'mme2e evaluate', or predict with a run of fe2e or mesm"
        )
