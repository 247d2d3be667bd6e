"""What people see when features were made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mme2e.data.feature_schema import FEATURES_FILE, MODALITY_NAMES, FeaturesInfo
from mme2e.report import Part, Result, Table

SHOWN_REASONS = 5


@dataclass(frozen=True, kw_only=True)
class FeaturesSummary(Result):
    """What `extract_features` did.

    Attributes:
        folder: The features.
        info: Their `features.json`.
        done: Utterances worked on by this call.
        elapsed_s: Seconds that it took.
    """

    folder: Path
    info: FeaturesInfo
    done: int
    elapsed_s: float

    @property
    def complete(self) -> bool:
        """Whether everything could be read."""
        return not self.info.skipped

    def report(self) -> list[Part]:
        """For the screen."""
        return [Table(title=f"hand-crafted features {self.folder}", rows=list(self._rows()))]

    def _rows(self) -> Iterator[tuple[str, str]]:
        for name in MODALITY_NAMES:
            modality = self.info.modality(name)
            if modality is not None:
                having = ", ".join(f"{split} {counts[name]}" for split, counts in self.info.counts.items())
                yield name, f"{modality.kind} {modality.version}, {modality.size} columns; {having}"
        for name, count in self.info.non_finite.items():
            yield "warning", f"{count} {name} values were not finite and are 0"
        if self.done and self.elapsed_s:
            speed = self.elapsed_s / self.done
            yield "made now", f"{self.done} utterances in {self.elapsed_s:.1f} s: {speed:.3f} s each"
        else:
            yield "made now", "nothing: all was done already"
        yield "unreadable", f"{len(self.info.skipped)}"
        for item in self.info.skipped[:SHOWN_REASONS]:
            yield "", f"{item['item']}: {item['reason']}"
        if len(self.info.skipped) > SHOWN_REASONS:
            yield "", f"... all of them are in {self.folder / FEATURES_FILE}"
