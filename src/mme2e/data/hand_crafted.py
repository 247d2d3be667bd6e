"""A corpus as a model reads it: raw signals, or for the baselines hand-crafted features of known sizes."""

from dataclasses import replace
from typing import Any

from mme2e.config import MODALITIES, FeatureSettings, ModelSettings
from mme2e.data.corpus import Corpus
from mme2e.data.dataset import UtteranceDataset
from mme2e.data.feature_schema import MODALITY_NAMES, ModalityFeatures
from mme2e.data.features import Features, load_features
from mme2e.errors import UserError


def open_dataset(
    corpus: Corpus, split: str, settings: ModelSettings, tokenizer: Any = None, *, votes: bool = False
) -> UtteranceDataset:
    """The utterances of a split, as a model reads them: raw signals, or hand-crafted features for the baselines.

    Args:
        corpus: A prepared corpus.
        split: "train", "valid" or "test".
        settings: Of the model; a baseline's sizes must be those of the features.
        tokenizer: Of the model's text encoder, if it has one.
        votes: Whether the annotators' votes are the targets.

    Raises:
        UserError: As `UtteranceDataset`; or the corpus has no features, or of other sizes.
    """
    features = None
    if settings.hand_crafted:
        features = load_features(corpus)
        with_sizes(settings, features)
    return UtteranceDataset(
        corpus,
        split,
        settings.modalities,
        tokenizer,
        settings.text.max_length,
        features,
        required=settings.required_modalities,
        audio_context="a" in settings.modalities and settings.audio.normalise == "recording",
        votes=votes,
    )


def with_sizes(settings: ModelSettings, features: Features) -> ModelSettings:
    """A baseline's settings with the sizes of a corpus' features where they are not given.

    Raises:
        UserError: The corpus lacks features of a modality, or they are of another size than is given.
    """
    sizes: dict[str, int] = {}
    for name, modality in used_features(settings, features).items():
        key = f"{name}_size"
        given = getattr(settings.features, key)
        if given is not None and given != modality.size:
            raise UserError(
                f"model.features.{key} is {given}, but the {name} features in {features.folder} have {modality.size} "
                f"columns ({modality.kind})"
            )
        sizes[key] = modality.size
    found: FeatureSettings = replace(settings.features, **sizes)  # type: ignore[arg-type]  # all of them are sizes
    return replace(settings, features=found)


def corpus_identity(corpus: Corpus, features: Features | None = None) -> str:
    """Distinguishes one corpus, or one making of its features, from another."""
    known = f"{corpus.info.name} {corpus.fingerprint}"
    return known if features is None else f"{known} with features {features.info.fingerprint}"


def describe_features(settings: ModelSettings, features: Features) -> dict[str, str]:
    """What the features are, for the provenance of a run."""
    used = used_features(settings, features)
    return {f"{name} features": f"{each.kind} {each.version}".strip() for name, each in used.items()}


def used_features(settings: ModelSettings, features: Features) -> dict[str, ModalityFeatures]:
    """The features that a baseline reads, by modality.

    Raises:
        UserError: The corpus lacks those of a modality.
    """
    used = {}
    for letter, name in zip(MODALITIES, MODALITY_NAMES, strict=True):
        if letter not in settings.modalities:
            continue
        modality = features.info.modality(name)
        if modality is None:
            corpus = features.folder.parent
            raise UserError(
                f"{features.folder} has no {name} features, but model.modalities are '{settings.modalities}'; make "
                f"them with 'mme2e features {corpus} --modalities {settings.modalities}'"
            )
        used[name] = modality
    return used
