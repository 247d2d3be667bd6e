"""What the paper printed, to be drawn and printed beside what is measured here."""

from collections.abc import Mapping
from types import MappingProxyType

SOURCE = "Dai et al. 2021"

FE2E_GFLOPS = 8.65
"""Of FE2E, for an utterance whose length the paper does not tell (Dai et al. 2021, table of results)."""

MESM_GFLOPS: Mapping[float, float] = MappingProxyType(
    {0.1: 2.93, 0.2: 3.23, 0.3: 3.58, 0.4: 3.94, 0.5: 4.34, 0.6: 4.71, 0.7: 5.18, 0.8: 5.66, 0.9: 6.47, 1.0: 8.65}
)
"""Of MESM by top-p, for the same utterance (Dai et al. 2021, figure of scores and GFLOPs by top-p)."""

UTTERANCES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "iemocap": MappingProxyType({"train": 5162, "valid": 737, "test": 1481}),
        "mosei": MappingProxyType({"train": 14524, "valid": 1765, "test": 4188}),
    }
)
"""Of each corpus and split, in the reference's published lists (Dai et al. 2021)."""

TOP_P = tuple(MESM_GFLOPS)
"""Values of p that are tried when nobody says which: the paper's."""


def published_share(top_p: float | None) -> float | None:
    """The paper's operations of MESM at that top-p as a share of FE2E's; None where the paper has no figure."""
    gflops = None if top_p is None else MESM_GFLOPS.get(round(top_p, 6))
    return None if gflops is None else gflops / FE2E_GFLOPS
