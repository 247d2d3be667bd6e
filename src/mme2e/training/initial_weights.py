"""What training starts from, where it is not random: branches of another run, statistics of hand-crafted features."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mme2e.config import MODALITIES, ModelSettings, TrainSettings
from mme2e.data.features import Features
from mme2e.data.hand_crafted import used_features
from mme2e.errors import UserError
from mme2e.models.late_fusion import BRANCHES, LateFusion
from mme2e.runs.folder import LoadedRun, load_run
from mme2e.runs.info import read_info
from mme2e.runs.label_mapping import describe_mapping, match_labels
from mme2e.runs.starter import find_run
from mme2e.text import TextParts

_OF_EMOTIONS = {
    "late": ("head.weight", "head.bias", "head.2.weight", "head.2.bias"),
    "early": ("fusion.classifier.weight", "fusion.classifier.bias"),
}
"""By fusion: what the names of weights end with that have a row for each emotion."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A run that branches are taken from.

    Attributes:
        folder: Of the run.
        run: The run.
        modalities: Whose branches are taken.
        with_fusion: Whether the fusion is, too.
    """

    folder: Path
    run: LoadedRun
    modalities: str
    with_fusion: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialWeights:
    """What a model takes over from other runs.

    Attributes:
        sources: The runs.
        label_names: Emotions of the model.
    """

    sources: tuple[Source, ...]
    label_names: tuple[str, ...]

    @property
    def text(self) -> TextParts | None:
        """Encoder and tokenizer, which belong together, when text is among what is taken."""
        for source in self.sources:
            if "t" in source.modalities and source.run.info.model.reads_tokens:
                encoder: nn.Module = source.run.model.text.encoder  # type: ignore[union-attr,assignment]  # a TextBranch
                return TextParts(tokenizer=source.run.tokenizer, encoder=encoder.train())
        return None

    def copy_into(self, model: nn.Module, name: str) -> None:
        """Gives a model the weights, a baseline also mean and deviation of its features.

        Where a run has other emotions, the weights of those that both have are taken, and the others stay random.

        Args:
            model: What `build_model` made.
            name: `ModelSettings.name` of it.

        Raises:
            UserError: The branches are not of one shape.
        """
        ours = model.state_dict()
        taken: dict[str, Tensor] = {}
        for source in self.sources:
            theirs = source.run.model.state_dict()
            prefixes = [_prefix(letter, name) for letter in source.modalities]
            for prefix in [*prefixes, *(["fusion."] if source.with_fusion else [])]:
                for key in sorted(key for key in ours.keys() | theirs.keys() if key.startswith(prefix)):
                    taken[key] = _fitting(source, key, name, theirs.get(key), ours.get(key), self.label_names)
        model.load_state_dict(taken, strict=False)

    def remarks(self) -> list[str]:
        """A line on each run that has other emotions than the model."""
        lines = []
        for source in self.sources:
            theirs = source.run.info.label_names
            if theirs == self.label_names:
                continue
            mapping = match_labels(self.label_names, theirs)
            new = [name for name in self.label_names if name not in mapping]
            lines.append(
                f"{source.folder} recognises {', '.join(theirs)}: taken over are {describe_mapping(mapping)}; "
                f"learned anew {', '.join(new) or 'none'}"
            )
        return lines


def _fitting(
    source: Source, key: str, name: str, there: Tensor | None, here: Tensor | None, label_names: tuple[str, ...]
) -> Tensor:
    """A weight of the source, or ours with the rows of the emotions that both know."""
    folder, info = source.folder, source.run.info
    if there is None or here is None:
        lacks = "this one" if here is None else "that one"
        raise UserError(f"init.run {folder} is {info.model.name}, which does not fit this {name}: {lacks} has no {key}")
    of_emotions = key.endswith(_OF_EMOTIONS[info.model.fusion])
    if info.label_names != label_names and of_emotions and there.shape[1:] == here.shape[1:]:
        rows = here.clone()
        for label, other in match_labels(label_names, info.label_names).items():
            rows[label_names.index(label)] = there[info.label_names.index(other)]
        return rows
    if there.shape != here.shape:
        raise UserError(
            f"init.run {folder} does not fit: {key} is {tuple(there.shape)} there and {tuple(here.shape)} here"
        )
    return there


def with_model_of_run(settings: TrainSettings) -> TrainSettings:
    """The settings with the network of `init.run`, where nothing is said of the network but which modalities it reads.

    Raises:
        UserError: The run cannot be read.
    """
    if settings.init.run is None or replace(settings.model, modalities=MODALITIES) != ModelSettings():
        return settings
    model = read_info(find_run(settings.init.run)).model
    asked = settings.model.modalities
    if asked != MODALITIES:
        model = replace(model, modalities=asked)
    return replace(settings, model=model)


def load_initial(settings: TrainSettings, label_names: tuple[str, ...]) -> InitialWeights | None:
    """Reads the runs that training starts from; None when it starts at random.

    Args:
        settings: Of the training.
        label_names: Emotions of its corpus.

    Raises:
        UserError: A run cannot be read, or lacks a modality that is asked for.
    """
    init, ours = settings.init, settings.model.modalities
    own = init.runs_of_branches
    sources = [_load_branch(letter, Path(run), ours) for letter, run in own.items()]
    if init.run is not None:
        source = _load_source(init.run, ours, init.modalities)
        left = "".join(letter for letter in source.modalities if letter not in own)
        sources.append(replace(source, modalities=left))
    return InitialWeights(sources=tuple(sources), label_names=label_names) if sources else None


def _load_branch(letter: str, name: str | Path, ours: str) -> Source:
    folder = Path(name)
    run = load_run(folder)
    if letter not in run.info.model.modalities or letter not in ours:
        raise UserError(
            f"init.{BRANCHES[letter]}_run {folder} has modalities '{run.info.model.modalities}' and the model "
            f"'{ours}': both must have {letter}"
        )
    return Source(folder=folder, run=run, modalities=letter)


def _load_source(name: str, ours: str, modalities: str | None) -> Source:
    folder = Path(name)
    run = load_run(folder)
    theirs = run.info.model.modalities
    shared = "".join(letter for letter in ours if letter in theirs)
    asked = modalities or shared
    if not asked or not set(asked) <= set(shared):
        raise UserError(
            f"init.run {folder} has modalities '{theirs}' and the model '{ours}': init.modalities can be some of "
            f"'{shared}', not '{asked}'"
        )
    return Source(folder=folder, run=run, modalities=asked, with_fusion=set(asked) == set(ours) == set(theirs))


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
