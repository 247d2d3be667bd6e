"""`picture`: where a run of MESM looked in an utterance."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mme2e.inference.utterance_picture import UtterancePicture


def picture(
    run: str | Path, *, data: str | Path, utterance: str, out: str | Path, device: str = "auto"
) -> "UtterancePicture":
    """Draws which sites of an utterance's face crops and mel chunks a run of MESM kept.

    Args:
        run: Run folder.
        data: Prepared corpus.
        utterance: Id, in any split.
        out: PNG, SVG or PDF to write.
        device: auto, cpu, cuda, cuda:1, ...

    Raises:
        UserError: Run or corpus cannot be read, the run is none of MESM, there is no such utterance, it has none of
            the run's modalities, or the picture cannot be written.
    """
    from mme2e.inference.utterance_picture import draw_utterance

    return draw_utterance(Path(run), data=Path(data), utterance=utterance, out=Path(out), device=device)
