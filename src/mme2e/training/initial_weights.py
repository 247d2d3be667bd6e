"""What training starts from, where it is not random: branches of another run, statistics of hand-crafted features."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mme2e.config import ModelSettings, TrainSettings
from mme2e.data.features import Features
from mme2e.data.hand_crafted import used_features
from mme2e.errors import UserError
from mme2e.models.late_fusion import BRANCHES, LateFusion
from mme2e.runs.folder import LoadedRun, load_run
from mme2e.text import TextParts


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialWeights:
    """What a model takes over from a run.

    Attributes:
        folder: Of the run.
        run: The run.
        modalities: Whose branches are taken.
        with_fusion: Whether the fusion is, too.
    """

    folder: Path
    run: LoadedRun
    modalities: str
    with_fusion: bool

    @property
    def text(self) -> TextParts | None:
        """Encoder and tokenizer, which belong together, when text is among what is taken."""
        if "t" not in self.modalities or not self.run.info.model.reads_tokens:
            return None
        encoder: nn.Module = self.run.model.text.encoder  # type: ignore[union-attr,assignment]  # a TextBranch
        return TextParts(tokenizer=self.run.tokenizer, encoder=encoder.train())

    def copy_into(self, model: nn.Module, name: str) -> None:
        """Gives a model the weights, a baseline also mean and deviation of its features.

        Args:
            model: What `build_model` made.
            name: `ModelSettings.name` of it.

        Raises:
            UserError: The branches are not of one shape.
        """
        theirs, ours = self.run.model.state_dict(), model.state_dict()
        prefixes = [_prefix(letter, name) for letter in self.modalities]
        taken: dict[str, Tensor] = {}
        for prefix in [*prefixes, *(["fusion."] if self.with_fusion else [])]:
            for key in sorted(key for key in ours.keys() | theirs.keys() if key.startswith(prefix)):
                self._require_same(key, name, theirs.get(key), ours.get(key))
                taken[key] = theirs[key]
        model.load_state_dict(taken, strict=False)

    def _require_same(self, key: str, name: str, there: Tensor | None, here: Tensor | None) -> None:
        if there is None or here is None:
            lacks = "this one" if here is None else "that one"
            other = self.run.info.model.name
            raise UserError(f"init.run {self.folder} is {other}, which does not fit this {name}: {lacks} has no {key}")
        if there.shape != here.shape:
            raise UserError(
                f"init.run {self.folder} does not fit: {key} is {tuple(there.shape)} there and {tuple(here.shape)} here"
            )


def load_initial(settings: TrainSettings, label_names: tuple[str, ...]) -> InitialWeights | None:
    """Reads the run that training starts from; None when it starts at random.

    Args:
        settings: Of the training.
        label_names: Emotions of its corpus.

    Raises:
        UserError: The run cannot be read, has other emotions, or lacks a modality that is asked for.
    """
    if settings.init.run is None:
        return None
    folder, ours = Path(settings.init.run), settings.model.modalities
    run = load_run(folder)
    if run.info.label_names != label_names:
        known, needed = (", ".join(names) for names in (run.info.label_names, label_names))
        raise UserError(f"init.run {folder} recognises {known}, but the corpus has {needed}")
    theirs = run.info.model.modalities
    shared = "".join(letter for letter in ours if letter in theirs)
    asked = settings.init.modalities or shared
    if not asked or not set(asked) <= set(shared):
        raise UserError(
            f"init.run {folder} has modalities '{theirs}' and the model '{ours}': init.modalities can be some of "
            f"'{shared}', not '{asked}'"
        )
    return InitialWeights(folder=folder, run=run, modalities=asked, with_fusion=set(asked) == set(ours) == set(theirs))


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


def _prefix(letter: str, name: str) -> str:
    """What the names of a branch's weights begin with."""
    return f"{'branches.' if name.startswith('lf_') else ''}{BRANCHES[letter]}."
