"""Settings: frozen dataclasses whose fields are the command line's options and the YAML keys.

Nothing heavy is imported here, so that `mme2e VERB --help` answers at once. A contradiction is refused in
`__post_init__`, naming the option.
"""

from mme2e.config.analysis import AnalysisSettings
from mme2e.config.augment import AudioAugmentSettings, AugmentSettings, FaceAugmentSettings, TextAugmentSettings
from mme2e.config.baseline import FeatureSettings, RnnSettings
from mme2e.config.features import FeatureExtractionSettings
from mme2e.config.model import MODALITIES, MODALITY_NAMES, AttentionSettings, ModelSettings, TextSettings
from mme2e.config.preparation import FaceSettings, PrepareSettings, SampleSettings, SplitSettings
from mme2e.config.signals import AudioInputSettings, FaceInputSettings
from mme2e.config.training import InitSettings, LossKind, TrainSettings

__all__ = [
    "MODALITIES",
    "MODALITY_NAMES",
    "AnalysisSettings",
    "AttentionSettings",
    "AudioAugmentSettings",
    "AudioInputSettings",
    "AugmentSettings",
    "FaceAugmentSettings",
    "FaceInputSettings",
    "FaceSettings",
    "FeatureExtractionSettings",
    "FeatureSettings",
    "InitSettings",
    "LossKind",
    "ModelSettings",
    "PrepareSettings",
    "RnnSettings",
    "SampleSettings",
    "SplitSettings",
    "TextAugmentSettings",
    "TextSettings",
    "TrainSettings",
]
