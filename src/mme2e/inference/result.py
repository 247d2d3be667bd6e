"""What a prediction says, and what it rests on."""

from dataclasses import dataclass
from pathlib import Path

from mme2e.atomic import write_text
from mme2e.errors import UserError
from mme2e.records import plain, to_json
from mme2e.report import Part, Result, Table
from mme2e.text_files import printable


@dataclass(frozen=True, kw_only=True)
class Emotion:
    """One emotion of a prediction.

    Attributes:
        name: Label name of the run.
        probability: Sigmoid of the logit, or softmax over emotions for runs trained with cross-entropy; 0..1.
        threshold: The emotion counts as present above it; None where the most probable one is taken.
        present: The decision.
    """

    name: str
    probability: float
    threshold: float | None
    present: bool


@dataclass(frozen=True, kw_only=True)
class EmotionResult(Result):
    """The emotions of one stretch of one file.

    Attributes:
        source: File name.
        model: Which model answered, for people.
        start_s: Start of the stretch, seconds.
        end_s: End of the stretch, seconds.
        emotions: In the order of the run's label names.
        uncertain: Whether the model abstained: its most probable emotion is not probable enough, and none is decided.
        frames: Sampled video frames.
        frames_with_face: Sampled frames in which a face was seen.
        used: Modalities that the answer rests on: "text", "acoustic", "visual".
        missing: Modality -> why it could not be used.
        notes: Anything else that a reader of the numbers should know.
        seconds: Stage -> wall-clock seconds.
    """

    source: str
    model: str = ""
    start_s: float
    end_s: float
    emotions: tuple[Emotion, ...]
    uncertain: bool = False
    frames: int
    frames_with_face: int
    used: tuple[str, ...]
    missing: dict[str, str]
    notes: tuple[str, ...]
    seconds: dict[str, float]

    def __post_init__(self) -> None:
        # A file's name need not be UTF-8, and is in all of these.
        object.__setattr__(self, "source", printable(self.source))
        object.__setattr__(self, "missing", {name: printable(reason) for name, reason in self.missing.items()})
        object.__setattr__(self, "notes", tuple(map(printable, self.notes)))

    @property
    def top(self) -> Emotion:
        """The most probable emotion."""
        return max(self.emotions, key=lambda emotion: emotion.probability)

    @property
    def decided(self) -> tuple[str, ...]:
        """Names of the emotions that were decided to be present; may be empty."""
        return tuple(emotion.name for emotion in self.emotions if emotion.present)

    def to_dict(self) -> dict[str, object]:
        """Plain containers, ready for JSON."""
        return {**plain(self), "decided": list(self.decided), "top": self.top.name}

    def write_json(self, path: Path) -> None:
        """Writes the result atomically.

        Raises:
            UserError: The file cannot be written.
        """
        check_writable(path)
        try:
            write_text(path, to_json(self.to_dict()))
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error

    def report(self) -> list[Part]:
        """For the screen."""
        rows = [
            [
                emotion.name,
                f"{emotion.probability:.2f}",
                "" if emotion.threshold is None else f"{emotion.threshold:.2f}",
                "present" if emotion.present else "",
            ]
            for emotion in sorted(self.emotions, key=lambda each: -each.probability)
        ]
        return [
            Table(
                title=f"{self.source}  {self.start_s:.1f} s to {self.end_s:.1f} s",
                heads=["emotion", "probability", "threshold", "decision"],
                rows=rows,
            ),
            *(["uncertain: no emotion is probable enough for a decision"] if self.uncertain else []),
            f"rests on {', '.join(self.used)}; a face in {self.frames_with_face} of {self.frames} frames",
            *(f"without {modality}: {reason}" for modality, reason in self.missing.items()),
            *(f"note: {note}" for note in self.notes),
            *([f"model: {self.model}"] if self.model else []),
            "seconds: " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in self.seconds.items()),
        ]


def check_writable(path: Path) -> None:
    """Refuses a file name that cannot become a file, before work is done for it.

    Raises:
        UserError: It is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: the result requires the name of a file")
    if not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: there is no folder {path.parent}")
