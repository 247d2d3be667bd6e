"""The reference's baselines, LF_RNN and LF_TRANSFORMER: what their weights are called, and which sizes these show."""

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from mme2e.config import FeatureSettings, ModelSettings, RnnSettings
from mme2e.errors import UserError
from mme2e.models.late_fusion import BRANCHES

_OF_BASELINE = re.compile(r"(?:rnns|transformers|affines)\.([tav])\..+|weighted_fusion\.weight")

_PREFIXES = {
    **{
        f"branches.{branch}.{ours}": theirs.format(letter=letter)
        for letter, branch in BRANCHES.items()
        for ours, theirs in {
            "encoder.rnn.": "rnns.{letter}.",
            "encoder.encoder.": "transformers.{letter}.encoder.",
            "encoder.cls": "transformers.{letter}.cls_emb.weight",
            "head.": "affines.{letter}.",
        }.items()
    },
    "fusion.weight": "weighted_fusion.weight",
}

_OURS_ALONE = re.compile(r"branches\.\w+\.standardise\.(mean|std)")
"""The reference's features come as they are."""


def baseline_of(state: Mapping[str, Tensor]) -> str | None:
    """Which baseline a checkpoint of the reference is of: "lf_rnn", "lf_transformer" or, for another model, None."""
    for kind, name in (("rnns.", "lf_rnn"), ("transformers.", "lf_transformer")):
        if any(key.startswith(kind) for key in state):
            return name
    return None


def baseline_name(name: str) -> str | None:
    """The reference's name of one of our baselines' weights; None for what it does not have.

    Raises:
        KeyError: The baselines have no such weight.
    """
    if _OURS_ALONE.fullmatch(name):
        return None
    for ours, theirs in _PREFIXES.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    raise KeyError(name)


def baseline_says_nothing(key: str, modalities: str) -> bool:
    """Whether a key of a baseline's checkpoint can be left out of a model with these modalities."""
    known = _OF_BASELINE.fullmatch(key)
    if known is None:
        return False
    return len(modalities) == 1 if known[1] is None else known[1] not in modalities


def baseline_settings(state: Mapping[str, Tensor], *, modalities: str) -> ModelSettings:
    """Sizes of a baseline, read from the shapes of its weights; padding is read, as in the reference.

    Args:
        state: What `baseline_of` knows.
        modalities: What the checkpoint was trained with: some of t, a, v.

    Raises:
        UserError: A weight that determines a size is missing or of a shape that determines none.
    """
    name = baseline_of(state)
    asked = ModelSettings(name=name, modalities=modalities)  # type: ignore[arg-type]  # one of its names
    if name == "lf_rnn":
        sizes = {letter: _shape(state, f"rnns.{letter}.weight_ih_l0")[1] for letter in modalities}
        return replace(asked, features=_features(sizes), rnn=_rnn(state, sizes))
    sizes = {letter: _shape(state, f"transformers.{letter}.cls_emb.weight")[1] for letter in modalities}
    layer = re.compile(r"transformers\.[tav]\.encoder\.layers\.(\d+)\.linear1\.weight")
    layers = [int(match[1]) for match in map(layer.fullmatch, state) if match]
    first = f"transformers.{modalities[0]}.encoder.layers.0.linear1.weight"
    return replace(
        asked,
        features=_features(sizes),
        num_layers=max(layers, default=0) + 1,
        feedforward_dim=_shape(state, first)[0],
    )


def _features(sizes: dict[str, int]) -> FeatureSettings:
    text, acoustic, visual = (sizes.get(letter) for letter in "tav")
    return FeatureSettings(text_size=text, acoustic_size=acoustic, visual_size=visual, masked=False)


def _rnn(state: Mapping[str, Tensor], sizes: dict[str, int]) -> RnnSettings:
    letter = next(iter(sizes))
    rows, hidden = _shape(state, f"rnns.{letter}.weight_hh_l0")
    if rows not in (3 * hidden, 4 * hidden):
        raise UserError(f"rnns.{letter}.weight_hh_l0 is {(rows, hidden)} in the checkpoint: of no GRU and no LSTM")
    layer = re.compile(rf"rnns\.{letter}\.weight_ih_l(\d+)")
    return RnnSettings(
        gru=rows == 3 * hidden,
        bidirectional=f"rnns.{letter}.weight_ih_l0_reverse" in state,
        num_layers=1 + max(int(match[1]) for match in map(layer.fullmatch, state) if match),
        hidden_size=None if hidden == sizes[letter] else hidden,
    )


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, int]:
    """Rows and columns of a weight."""
    if key not in state:
        raise UserError(f"the checkpoint has no {key}")
    shape = tuple(state[key].shape)
    if len(shape) != 2 or 0 in shape:
        raise UserError(f"{key} is {shape} in the checkpoint, expected are 2 dimensions")
    return shape[0], shape[1]
