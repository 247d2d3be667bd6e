"""What people see of a preparation: a progress bar while it runs, a summary when it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mme2e import console
from mme2e.corpora.utterance import Skipped
from mme2e.data.schema import SPLITS
from mme2e.preparation.worker import Outcome
from mme2e.report import Part, Result, Table

SHOWN_REASONS = 5


@dataclass(frozen=True, kw_only=True)
class PrepareSummary(Result):
    """What `prepare_corpus` did.

    Attributes:
        folder: The prepared corpus.
        counts: Utterances in it, by split.
        listed: Ids in the split lists, by split; empty without lists.
        done: Utterances prepared by this call.
        already_done: Utterances that an earlier call had prepared.
        skipped: Everything left out, or kept without one of its modalities, with reasons; also what the corpus reader
            left out.
        failed: How many utterances (or recordings) of `skipped` owe it to a file that cannot be read, or to an error.
        video_s: Seconds of utterances prepared by this call.
        elapsed_s: Seconds that it took.
        frames: Sampled frames in the corpus.
        frames_with_face: Those in which a face was seen.
        stage_s: Seconds of work by stage, added over workers.
        reference_features: What became of the hand-crafted features of the reference's data, in one line; empty for
            other layouts.
    """

    folder: Path
    counts: dict[str, int]
    listed: dict[str, int] = field(default_factory=dict)
    done: int
    already_done: int
    skipped: tuple[Skipped, ...]
    failed: int
    video_s: float
    elapsed_s: float
    frames: int
    frames_with_face: int
    stage_s: dict[str, float]
    reference_features: str = ""

    @property
    def complete(self) -> bool:
        """Whether every file could be read."""
        return not self.failed

    @property
    def face_share(self) -> float | None:
        """Share of the frames in which a face was seen; None without frames."""
        return self.frames_with_face / self.frames if self.frames else None

    def report(self) -> list[Part]:
        """For the screen."""
        table = Table(title=f"prepared corpus {self.folder}", rows=list(self._rows()))
        return [table, self.reference_features] if self.reference_features else [table]

    def _rows(self) -> Iterator[tuple[str, str]]:
        listed = {split: f" of {count} listed" for split, count in self.listed.items()}
        splits = ", ".join(f"{split} {count}{listed.get(split, '')}" for split, count in self.counts.items())
        yield "utterances", splits
        empty = [split for split in SPLITS if not self.counts.get(split)]
        if empty:
            yield "warning", f"no utterances in {', '.join(empty)}: training requires some"
        yield "prepared now", f"{self.done}" if self.done else "nothing: all was done already"
        yield "done before", f"{self.already_done}"
        if self.done:
            speed = self.video_s / self.elapsed_s
            took = f"{self.video_s:.0f} s of utterances in {self.elapsed_s:.1f} s: {speed:.1f} a second"
            yield "speed", took
        if self.face_share is not None:
            yield "frames with a face", f"{self.face_share:.1%} of {self.frames}"
        yield "left out or incomplete", f"{len(self.skipped)}, of them {self.failed} unreadable"
        for item in self.skipped[:SHOWN_REASONS]:
            yield "", f"{item.item}: {item.reason}"
        if len(self.skipped) > SHOWN_REASONS:
            yield "", f"... all of them are in {self.folder / 'corpus.json'}"


@contextmanager
def recording_progress(*, total: int, done: int) -> Iterator[Callable[[Outcome], None]]:
    """Shows a progress bar over recordings on standard error; what it yields is called after each recording."""
    seconds = 0.0
    with console.progress("recordings {task.fields[speed]}") as progress:
        bar = progress.add_task("preparing", total=total, completed=done, speed="")

        def advance(outcome: Outcome) -> None:
            nonlocal seconds
            seconds += getattr(outcome, "speech_s", 0.0)
            elapsed_s = progress.tasks[bar].elapsed or 0.0
            speed = f"{seconds / elapsed_s:.1f} s of video a second" if elapsed_s else ""
            progress.update(bar, advance=1, speed=speed)

        yield advance
