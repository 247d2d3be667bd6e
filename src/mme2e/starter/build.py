"""`build_starter`: the small model that comes with the package, from open collections."""

from dataclasses import dataclass
from pathlib import Path

from mme2e.report import Part, Result, Table


@dataclass(frozen=True, kw_only=True)
class BuildStep:
    """One step of a build.

    Attributes:
        name: What was done.
        seconds: It took.
        done_before: Whether an earlier call had done it.
    """

    name: str
    seconds: float
    done_before: bool


@dataclass(frozen=True, kw_only=True)
class BuildSummary(Result):
    """What `build_starter` did.

    Attributes:
        folder: With everything.
        model: Run folder of the packed model; None where the build ended earlier.
        steps: In their order.
        lacking: What the model lacks because a collection was missing or could not be read as a whole.
    """

    folder: Path
    model: Path | None
    steps: tuple[BuildStep, ...]
    lacking: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every collection was there."""
        return not self.lacking

    def report(self) -> list[Part]:
        """For the screen."""
        rows = [(step.name, "before" if step.done_before else f"{step.seconds:.0f}") for step in self.steps]
        ending = "not packed yet" if self.model is None else f"the model is in {self.model}"
        return [Table(title=f"starter {self.folder}", heads=["step", "seconds"], rows=rows), *self.lacking, ending]


def build_starter(
    file: str | Path, *, data: str | Path, out: str | Path, encoder: str | Path, until: str | None = None
) -> BuildSummary:
    """Makes the small model that comes with the package, from open collections: prepares, composes, trains, packs.

    Can be interrupted at any moment and called again: what was done is kept, a training goes on after its last epoch.
    A collection that is missing is left out and named. docs/starter.md says where the collections are.

    Args:
        file: Recipe, in YAML; settings of the trainings are beside it.
        data: Folder with the collections.
        out: Folder for everything that is made; new, empty, or of an earlier call of the same recipe.
        encoder: Folder of the large text encoder, which is cut down.
        until: Last step to do: prepare, encoder, a training, or pack, which is the last one when not given.

    Raises:
        UserError: The recipe or its settings cannot be read, a branch has no collection left, data and recipe do not
            fit, or `out` is in work or was made otherwise.
        KeyboardInterrupt: With what was done kept.
    """
    from mme2e.starter.building import run_build

    return run_build(Path(file), data=Path(data), out=Path(out), encoder=Path(encoder), until=until)
