"""How sure a model may be of what it says: temperatures, and the level below which it does not decide."""

from dataclasses import dataclass, field

from mme2e.config import MODALITIES
from mme2e.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Chosen on validation, for a model that decides for one emotion.

    Attributes:
        temperatures: What the fused logits are divided by, by the modalities that they rest on, as letters in the order
            t, a, v; sets that are not named have 1.
        abstain_below: Below this probability of the most probable emotion the decision is "uncertain"; 0: never.
    """

    temperatures: dict[str, float] = field(default_factory=dict)
    abstain_below: float = 0.0

    def __post_init__(self) -> None:
        for letters, temperature in self.temperatures.items():
            if not letters or letters != "".join(each for each in MODALITIES if each in letters) or temperature <= 0:
                raise UserError(
                    f"confidence.temperatures must be positive, by letters in the order t, a, v, not {letters}: "
                    f"{temperature}"
                )
        check_abstain(self.abstain_below)

    def temperature_of(self, modalities: str) -> float:
        """Of logits that rest on some of the letters t, a, v, in any order."""
        return self.temperatures.get("".join(letter for letter in MODALITIES if letter in modalities), 1.0)


def check_abstain(level: float) -> None:
    """Refuses a level that is no probability.

    Raises:
        UserError: It is not in [0, 1].
    """
    if not 0 <= level <= 1:
        raise UserError(f"abstain must be a probability in [0, 1], not {level}")
