"""The utterances of one split as tensors."""

import copy
import io
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from mme2e.config import MODALITIES, AugmentSettings
from mme2e.data.audio_context import audio_contexts
from mme2e.data.augment_audio import augment_waveform
from mme2e.data.augment_faces import augment_crops
from mme2e.data.augment_text import augment_text
from mme2e.data.batch import UtteranceItem
from mme2e.data.corpus import Corpus, multi_hot
from mme2e.data.feature_schema import MODALITY_NAMES
from mme2e.data.features import FeatureMatrices, Features, SplitFeatures
from mme2e.data.tokens import count_tokens, token_ids
from mme2e.errors import UserError
from mme2e.faces.face_crop import FACE_SIZE_PX, FaceFlag
from mme2e.media.audio import decode_flac

_COLUMNS = {"t": ("text",), "a": ("audio",), "v": ("face_crops", "face_flags")}

FRAME_COST = 0.483
"""Multiply-adds of the paper's visual tower for one face crop, in billions (reference, section 3)."""

SAMPLE_COST = 0.845 / 6400
"""The acoustic tower's for one sample: a chunk is 0.4 s at 16 kHz."""


class Draw(NamedTuple):
    """Which utterance, in which epoch: together with the seed they decide the augmentation."""

    utterance: int
    epoch: int


class UtteranceDataset(Dataset[UtteranceItem]):
    """The utterances of one split; only the modalities asked for are read and decoded.

    An utterance in none of whose frames a face was seen has no video. One that has none of the modalities asked for,
    or lacks a required one, is left out; `left_out` has the ids of those, `lacking` says in words what they have not.

    Args:
        corpus: A prepared corpus.
        split: "train", "valid", "test" or "unassigned".
        modalities: Some of the letters t, a, v.
        tokenizer: Of `mme2e.text`; required for t, but not with `features`.
        max_length: Longest text in tokens (with `features`: in words); longer ones are cut.
        features: Hand-crafted features of the corpus, to read instead of its video, audio and text, of which
            nothing is decoded then. They are not augmented.
        required: "t" where an utterance without text is of no use to the model; else empty.
        votes: Whether `targets` of the items are the shares of the annotators' votes, or the labels where an utterance
            has no votes.
        audio_context: Whether the items say how their mel bands differ from those of their speaker.

    Raises:
        UserError: The split has no utterances with any of the modalities, text requires a tokenizer, or
            there are no features of a modality.
    """

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        modalities: str = MODALITIES,
        tokenizer: Any = None,
        max_length: int = 100,
        features: Features | None = None,
        required: str = "",
        votes: bool = False,
        audio_context: bool = False,
    ) -> None:
        if "t" in modalities and tokenizer is None and features is None:
            raise UserError(f"modalities '{modalities}' include text, which requires a tokenizer")
        rows = corpus.split(split)
        self.label_names = corpus.info.label_names
        self._meaning = corpus.meaning
        self.modalities = modalities
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._features = None if features is None else _features_of(features, split, modalities)
        usable = _has_any(rows, modalities) if self._features is None else _has_features(self._features, modalities)
        for letter in required:
            usable &= _has_any(rows, letter)
        self.left_out = tuple(rows.select(np.flatnonzero(~usable))["id"])
        self.lacking = "no text, which the model requires" if required else f"none of the modalities '{modalities}'"
        if not usable.any():
            raise UserError(f"{corpus.folder}: no utterance of '{split}' can be used: all have {self.lacking}")
        costs = _costs(rows, modalities) if self._features is None else _feature_costs(self._features, modalities)
        self.costs = costs[usable]
        self._vote_order = corpus.vote_order if votes else None
        columns = ["id", "labels", *(["votes"] if votes else [])]
        if self._features is None:
            columns += [column for letter in modalities for column in _COLUMNS[letter]]
        self._rows = rows.select_columns(columns)
        if self.left_out:
            self._rows = self._rows.select(np.flatnonzero(usable))
        self._contexts = audio_contexts(rows)[torch.from_numpy(usable)] if audio_context else None
        self._augment: AugmentSettings | None = None
        self._seed = 0

    def augmented(self, settings: AugmentSettings | None, seed: int) -> "UtteranceDataset":
        """The same utterances with augmentation: what happens to one depends on (seed, epoch, index) only.

        Raises:
            UserError: Word dropout with a tokenizer that has no unknown token.
        """
        reads_text = "t" in self.modalities and self._features is None
        drops_words = settings is not None and settings.word_dropout > 0 and reads_text
        if drops_words and self.tokenizer.unk_token is None:
            raise UserError("augment.word_dropout requires a tokenizer with an unknown token; this one has none")
        other = copy.copy(self)
        other._augment = settings
        other._seed = seed
        return other

    def count_cut_texts(self) -> int:
        """How many transcripts have more tokens than `max_length`, of which the last ones are not read."""
        if "t" not in self.modalities or self._features is not None:
            return 0
        # A token stands for one letter at least, and few tokenizers add more than two of their own.
        long = [text for text in self._rows["text"] if text is not None and len(text) + 2 > self.max_length]
        return sum(count_tokens(self.tokenizer, text) > self.max_length for text in long)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: int | Draw) -> UtteranceItem:
        """Utterance `key`; a plain number means epoch 0."""
        draw = key if isinstance(key, Draw) else Draw(key, 0)
        row = self._rows[draw.utterance]
        labels, targets = torch.from_numpy(multi_hot(row["labels"], self.label_names, self._meaning)), None
        if self._vote_order is not None:
            targets = labels if row["votes"] is None else torch.from_numpy(self._vote_order.shares(row["votes"]))
        if self._features is not None:
            return self._feature_item(row["id"], self._features, labels, targets)
        rng = np.random.default_rng([self._seed, draw.epoch, draw.utterance])
        # In this order: what one draws decides what is left for the next.
        crops = self._face_crops(row["face_crops"], row["face_flags"], rng) if "v" in self.modalities else None
        tokens = self._tokens(row["text"], rng) if "t" in self.modalities else None
        waveform = self._waveform(row["audio"], rng) if "a" in self.modalities else None
        return UtteranceItem(
            id=row["id"],
            face_crops=crops,
            waveform=waveform,
            tokens=tokens,
            audio_context=None if self._contexts is None else self._contexts[draw.utterance],
            labels=labels,
            targets=targets,
        )

    def _feature_item(
        self, identity: str, features: SplitFeatures, labels: Tensor, targets: Tensor | None
    ) -> UtteranceItem:
        matrices = features[identity]
        chosen = {name: self._feature_matrix(name, matrices) for name in _names(self.modalities)}
        return UtteranceItem(
            id=identity,
            text_features=chosen.get("text"),
            acoustic_features=chosen.get("acoustic"),
            visual_features=chosen.get("visual"),
            labels=labels,
            targets=targets,
        )

    def _feature_matrix(self, name: str, matrices: FeatureMatrices) -> Tensor:
        assert self._features is not None
        modality = self._features.info.modality(name)
        assert modality is not None
        matrix = getattr(matrices, name)
        if matrix is None:
            return torch.zeros(0, modality.size)
        return torch.tensor(matrix[: self.max_length] if name == "text" else matrix)  # a copy: the file is read only

    def _face_crops(self, images: list[bytes], flags: list[int], rng: np.random.Generator) -> Tensor:
        if not any(FaceFlag(flag).has_face for flag in flags):
            images = []  # held and centre crops alone show no face
        crops = np.empty((len(images), FACE_SIZE_PX, FACE_SIZE_PX, 3), dtype=np.uint8)
        for index, content in enumerate(images):
            with Image.open(io.BytesIO(content)) as image:
                crops[index] = np.asarray(image)
        if self._augment is not None:
            crops = augment_crops(crops, self._augment, rng)
        return torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))  # by one thread: it is little

    def _tokens(self, text: str | None, rng: np.random.Generator) -> Tensor:
        if text is None:
            return torch.zeros(0, dtype=torch.int64)
        if self._augment is not None:
            text = augment_text(text, self._augment, self.tokenizer.unk_token, rng)
        return torch.tensor(token_ids(self.tokenizer, text, max_length=self.max_length), dtype=torch.int64)

    def _waveform(self, audio: bytes | None, rng: np.random.Generator) -> Tensor:
        if audio is None:
            return torch.zeros(0, dtype=torch.int16)
        samples = decode_flac(audio)
        if self._augment is not None:
            samples = augment_waveform(samples, self._augment.audio, rng)
        return torch.from_numpy(samples)


def _names(modalities: str) -> list[str]:
    """Some of "text", "acoustic", "visual", for letters."""
    return [name for name in MODALITY_NAMES if name[0] in modalities]


def _features_of(features: Features, split: str, modalities: str) -> SplitFeatures:
    for name in _names(modalities):
        if features.info.modality(name) is None:
            raise UserError(
                f"{features.folder} has no {name} features, but modalities are '{modalities}'; make them with "
                f"'mme2e features {features.folder.parent} --modalities {modalities}'"
            )
    return features.split(split)


def _has_features(features: SplitFeatures, modalities: str) -> np.ndarray:
    """(utterances,) bool: which have at least one of the modalities."""
    return np.any([features.steps(name) > 0 for name in _names(modalities)], axis=0)


def _feature_costs(features: SplitFeatures, modalities: str) -> np.ndarray:
    """(utterances,) float64: numbers in the features of each."""
    known = ((name, features.info.modality(name)) for name in _names(modalities))
    return np.sum([features.steps(name) * float(each.size) for name, each in known if each is not None], axis=0)


def _has_any(rows: Any, modalities: str) -> np.ndarray:
    """(utterances,) bool: which rows of a `datasets.Dataset` have at least one of the modalities."""
    table = rows.data.table
    usable = np.zeros(len(rows), dtype=bool)
    if "t" in modalities:
        usable |= pc.is_valid(table["text"]).to_numpy()
    if "a" in modalities:
        usable |= table["num_samples"].to_numpy() > 0
    if "v" in modalities:
        flags = table["face_flags"].combine_chunks()
        with_face = np.isin(pc.list_flatten(flags).to_numpy(), [flag for flag in FaceFlag if flag.has_face])
        usable[pc.list_parent_indices(flags).to_numpy()[with_face]] = True
    return usable


def _costs(rows: Any, modalities: str) -> np.ndarray:
    """(utterances,) float64: work that each row of a `datasets.Dataset` gives the towers; letters for text alone."""
    table = rows.data.table
    costs = np.zeros(len(rows))
    if "v" in modalities:
        costs += FRAME_COST * pc.list_value_length(table["face_flags"]).to_numpy()
    if "a" in modalities:
        costs += SAMPLE_COST * table["num_samples"].to_numpy()
    if modalities == "t":
        costs += pc.fill_null(pc.utf8_length(table["text"]), 0).to_numpy()
    return costs
