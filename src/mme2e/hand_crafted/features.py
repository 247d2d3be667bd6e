"""`features`: the hand-crafted features of a prepared corpus."""

from pathlib import Path
from typing import TYPE_CHECKING

from mme2e.config import FeatureExtractionSettings

if TYPE_CHECKING:
    from mme2e.hand_crafted.summary import FeaturesSummary


def features(
    corpus: str | Path, settings: FeatureExtractionSettings = FeatureExtractionSettings()
) -> "FeaturesSummary":
    """Makes the hand-crafted features of a prepared corpus that the baselines are trained on.

    What it had before is replaced. Can be interrupted at any moment and called again with the same settings: what was
    done is kept. An utterance of which something cannot be read lacks that modality and is listed in `info.skipped`.

    Args:
        corpus: Prepared corpus; its folder `features` is written.
        settings: Which features.

    Raises:
        UserError: No prepared corpus, a library is missing, a file of the user cannot be used, none of the
            utterances has any of the modalities, or another process makes features of the corpus at this moment.
    """
    from mme2e.hand_crafted.extraction import extract_features

    return extract_features(Path(corpus), settings)
