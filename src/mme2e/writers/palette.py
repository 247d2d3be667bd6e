"""A fixed colour for each emotion, distinguishable with red-green colour blindness, too.

Colours follow the order of the label names, whatever they are. Every colour stands out from its background by at least
3 to 1 (WCAG 2.2, 1.4.11); no writer says anything by colour alone.
"""

from collections.abc import Sequence

LIGHT_BACKGROUND = "#ffffff"
DARK_BACKGROUND = "#1b1e24"

_LIGHT = (
    *("#0072b2", "#d55e00", "#00875f", "#b0479a", "#8f6f00", "#3a8fbd", "#882255", "#5f6670"),
    *("#6b7f1a", "#7a5cc9", "#a0522d", "#007c8a"),
)
_DARK = (
    *("#4fa8e6", "#ff8b3d", "#33cc9e", "#e58acb", "#e3c02f", "#9bdcf7", "#e0709f", "#b4bac4"),
    *("#b5cc45", "#b09cff", "#d9976b", "#4fd0dd"),
)
"""After Okabe and Ito (2008), darkened and lightened for contrast, and four more for larger label sets."""


def emotion_colours(label_names: Sequence[str], *, dark: bool = False) -> dict[str, str]:
    """Emotion -> colour as `#rrggbb`; sets of more than twelve begin again with the first colour.

    Args:
        label_names: Emotions of the model, in its order.
        dark: Whether they are drawn on a dark background.
    """
    colours = _DARK if dark else _LIGHT
    return {name: colours[place % len(colours)] for place, name in enumerate(label_names)}


def rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as numbers of 0..255."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue
