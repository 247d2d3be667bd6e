"""How a recording is cut into segments, and what is found out about each."""

from dataclasses import dataclass
from typing import Literal

from mme2e.errors import UserError

LEAST_LONGEST_S = 0.5
"""Shorter segments of speech say nothing."""


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """How a recording of any length becomes a timeline."""

    segments: Literal["auto", "speech", "window", "whole"] = "auto"
    """Where answers begin and end. auto: at the sentences of a transcript that has times, otherwise where speech begins
    and ends; speech: there in any case; window: windows of equal length; whole: the stretch is one utterance."""
    shortest_s: float = 1.0
    """Shortest segment of speech, in seconds; shorter ones are joined to a neighbour."""
    longest_s: float = 10.0
    """Longest segment, in seconds; longer ones are cut at the quietest place."""
    window_s: float = 4.0
    """Length of a window, in seconds; also the longest stretch in which nobody speaks that has one answer."""
    hop_s: float = 2.0
    """From the start of one window to the next, in seconds."""
    people: bool = True
    """Whether the faces of several people are distinguished; otherwise the largest face is read."""
    per_person: bool = False
    """Whether every visible person gets a timeline of their own, not only who speaks."""
    evidence: bool = False
    """Whether each segment says why: words, moments and sites by their effect. Takes several times as long."""
    smooth: int = 0
    """Segments of a person over which probabilities are averaged, an odd number; 0: none. Raw ones stay in the data."""

    def __post_init__(self) -> None:
        if not self.longest_s >= LEAST_LONGEST_S:
            raise UserError(f"longest_s must be at least {LEAST_LONGEST_S} seconds, not {self.longest_s}")
        if not 0 < self.shortest_s <= self.longest_s:
            raise UserError(
                f"shortest_s and longest_s must be 0 < shortest_s <= longest_s, not {self.shortest_s} and "
                f"{self.longest_s}"
            )
        if not (self.window_s > 0 and self.hop_s > 0):
            raise UserError(f"window_s and hop_s must be more than 0 seconds, not {self.window_s} and {self.hop_s}")
        if self.smooth < 0 or (self.smooth and self.smooth % 2 == 0):
            raise UserError(f"smooth must be 0 or an odd number of segments, not {self.smooth}")


DEFAULTS = AnalysisSettings()
