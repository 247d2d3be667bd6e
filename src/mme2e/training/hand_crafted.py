"""The baselines standardise hand-crafted features by the statistics of the training split."""

import torch
from torch import nn

from mme2e.config import ModelSettings
from mme2e.data.features import Features
from mme2e.data.hand_crafted import used_features
from mme2e.errors import UserError
from mme2e.models.late_fusion import LateFusion


def standardise(model: nn.Module, settings: ModelSettings, features: Features) -> None:
    """Gives a baseline mean and deviation of the features over the training split.

    Args:
        model: What `build_model` made of `settings`.
        settings: With the sizes of the features.
        features: Of the corpus to train on.

    Raises:
        UserError: The features have no statistics: they were made without a training split.
    """
    assert isinstance(model, LateFusion)
    for name, modality in used_features(settings, features).items():
        if not modality.mean:
            raise UserError(f"{features.folder} has no mean of the {name} features: the corpus has no training split")
        model.branches[name].standardise.set_statistics(  # type: ignore[operator,union-attr]  # a FeatureBranch
            torch.tensor(modality.mean), torch.tensor(modality.std)
        )
