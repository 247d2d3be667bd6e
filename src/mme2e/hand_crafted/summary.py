"""What people see when features were made."""

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from mme2e.data.feature_schema import FEATURES_FILE, MODALITY_NAMES, FeaturesInfo

SHOWN_REASONS = 5


@dataclass(frozen=True, kw_only=True)
class FeaturesSummary:
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

    def table(self) -> Table:
        """The summary for the terminal."""
        table = Table(title=f"hand-crafted features {self.folder}", show_header=False, title_justify="left")
        for name in MODALITY_NAMES:
            modality = self.info.modality(name)
            if modality is not None:
                having = ", ".join(f"{split} {counts[name]}" for split, counts in self.info.counts.items())
                table.add_row(name, f"{modality.kind} {modality.version}, {modality.size} columns; {having}")
        for name, count in self.info.non_finite.items():
            table.add_row("warning", f"{count} {name} values were not finite and are 0")
        if self.done and self.elapsed_s:
            speed = self.elapsed_s / self.done
            table.add_row("made now", f"{self.done} utterances in {self.elapsed_s:.1f} s: {speed:.3f} s each")
        else:
            table.add_row("made now", "nothing: all was done already")
        table.add_row("unreadable", f"{len(self.info.skipped)}")
        for item in self.info.skipped[:SHOWN_REASONS]:
            table.add_row("", f"{item['item']}: {item['reason']}")
        if len(self.info.skipped) > SHOWN_REASONS:
            table.add_row("", f"... all of them are in {self.folder / FEATURES_FILE}")
        return table
