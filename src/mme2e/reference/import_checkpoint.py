"""`import-checkpoint`: a checkpoint of the reference implementation to a run folder."""

from dataclasses import dataclass
from pathlib import Path

from mme2e.report import Result


@dataclass(frozen=True, kw_only=True)
class ImportedRun(Result):
    """A run folder that was made of a checkpoint.

    Attributes:
        folder: Where it is.
    """

    folder: Path

    def report(self) -> list[str]:
        """For the screen."""
        return [f"{self.folder}: ready; load it with mme2e.load('{self.folder}')"]


def import_checkpoint(
    checkpoint: str | Path,
    run: str | Path,
    *,
    text_model: str | None = None,
    modalities: str = "tav",
    num_heads: int = 4,
    top_p: float = 0.8,
    label_names: str | tuple[str, ...] | None = None,
) -> ImportedRun:
    """Converts a checkpoint of the reference implementation into a run folder.

    Sizes are read from the shapes of the weights; the options are what shapes do not show.

    Args:
        checkpoint: Torch file with a state dict under the reference's names.
        run: Run folder to create.
        text_model: Hugging Face name or folder with config.json of the text encoder, which may hold its tokenizer too.
            Not needed for the published ALBERT v2 base, large and xlarge, nor without text.
        modalities: Modalities that the checkpoint was trained with: some of t, a, v.
        num_heads: Attention heads of the sequence encoders of the end-to-end models.
        top_p: Threshold of the sparse model, which is recognised by its weights; the others do not use it.
        label_names: Emotions in the order of the logits, as ang,exc,fru,hap,neu,sad; emotion_0, emotion_1, ... when not
            given.

    Raises:
        UserError: The file cannot be read, is of a model that cannot be converted, or holds a key that is unknown,
            missing or of another shape than the others require; or another process works on the run folder, or it
            cannot be written.
    """
    from mme2e.reference.checkpoint import convert_checkpoint

    convert_checkpoint(
        Path(checkpoint),
        Path(run),
        text_model=text_model,
        modalities=modalities,
        num_heads=num_heads,
        top_p=top_p,
        label_names=tuple(label_names.split(",")) if isinstance(label_names, str) else label_names,
    )
    return ImportedRun(folder=Path(run))
