"""What readers find wrong or remarkable in a file on their way through it."""

from dataclasses import dataclass, field


@dataclass
class Damage:
    """What was wrong with a track, and what else is worth knowing; the reader that it is given to fills it.

    Attributes:
        lost_packets: Packets that were cut off or could not be decoded.
        broke_off_s: Where the track ended before its time, in seconds from the start of the recording; None otherwise.
        claimed_end_s: Where it was to end as the container claims; None unless it broke off.
        remarks: What is no damage: several tracks, a leap of the clock that was closed, silence. By kind, so that a
            reader can correct what it said before.
    """

    lost_packets: int = 0
    broke_off_s: float | None = None
    claimed_end_s: float | None = None
    remarks: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything was damaged; remarks alone are no damage."""
        return self.lost_packets > 0 or self.broke_off_s is not None

    def __str__(self) -> str:
        """The damage in a few words; empty without any."""
        parts = []
        if self.lost_packets:
            parts.append(f"{self.lost_packets} packet{'s' * (self.lost_packets > 1)} could not be decoded")
        if self.broke_off_s is not None:
            parts.append(f"it breaks off at {self.broke_off_s:.1f} of {self.claimed_end_s:.1f} s")
        return ", ".join(parts)
