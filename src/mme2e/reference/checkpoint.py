"""Converts a checkpoint of the reference implementation into a run folder."""

import logging
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AlbertConfig

from mme2e.config import AttentionSettings, FaceSettings, ModelSettings, TextSettings
from mme2e.errors import UserError
from mme2e.models import build_model
from mme2e.reference.baselines import baseline_of, baseline_settings
from mme2e.reference.names import reference_name, says_nothing
from mme2e.runs.folder import NO_TOKENIZER, RunInfo, save_run, writing_run
from mme2e.runs.info import check_label_names
from mme2e.text import build_encoder, hub_tokenizer, load_config, load_tokenizer

_log = logging.getLogger(__name__)

_PUBLISHED = {
    f"albert/albert-{size}-v2": AlbertConfig(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden
    )
    for size, hidden, layers, heads in (("base", 768, 12, 12), ("large", 1024, 24, 16), ("xlarge", 2048, 24, 16))
}
"""The text encoders that the reference offers; all else is as AlbertConfig has it."""


def convert_checkpoint(
    checkpoint: Path,
    run: Path,
    *,
    text_model: str | None,
    modalities: str,
    num_heads: int,
    top_p: float,
    label_names: tuple[str, ...] | None,
) -> None:
    """Does what `mme2e.import_checkpoint` does, with its arguments and errors."""
    state = read_state_dict(checkpoint)
    text_config, text_name = None, ""
    if baseline_of(state):
        settings = baseline_settings(state, modalities=modalities)
        _check_fusion(state, modalities)
        last_weight = f"affines.{modalities[0]}.2.weight"
    else:
        if "t" in modalities:
            text_config, text_name = _text_config(state, text_model)
        settings = _settings(state, modalities=modalities, num_heads=num_heads, top_p=top_p, text_name=text_name)
        last_weight = f"{modalities[0]}_out.weight"
    num_emotions = _shape(state, last_weight, 2)[0]
    names = label_names or tuple(f"emotion_{i}" for i in range(num_emotions))
    if len(names) != num_emotions:
        raise UserError(f"{len(names)} label names were given but {checkpoint} has {num_emotions} emotions")
    check_label_names(names)
    encoder = None if text_config is None else build_encoder(text_config)
    model = build_model(settings, num_emotions=num_emotions, text_encoder=encoder)
    model.load_state_dict(_converted(state, model.state_dict(), settings))

    provenance = {"imported from": f"the reference checkpoint {checkpoint.name}"}
    if label_names is None:
        provenance["label names"] = "not in the checkpoint and not given: the emotions are only numbered"
    tokenizer = None
    if text_config is not None:
        tokenizer = _tokenizer(text_name)
        if tokenizer is None:
            provenance[NO_TOKENIZER] = f"not found; import again where that of {text_name} can be read"
    info = RunInfo(
        model=settings,
        label_names=names,
        multi_label=True,  # the reference decides for each emotion on its own, whatever the corpus
        face=FaceSettings(mode="reference"),
        provenance=provenance,
    )
    try:
        with writing_run(run):
            save_run(run, model=model, tokenizer=tokenizer, info=info)
    except OSError as error:
        raise UserError(f"the run folder {run} cannot be written: {error}") from error


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Weights in a torch file, without running any code in it.

    The file holds a state dict, or a dict with one under `state_dict`; the `module.` that DataParallel puts before
    every name is taken away.

    Raises:
        UserError: The file is missing or damaged, or holds something else.
    """
    wanted = "expected is a torch file with a state dict (torch.save(model.state_dict(), ...))"
    if not path.is_file():
        raise UserError(f"there is no file {path}; {wanted}")
    _check_zip(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns about, the checks below report in one line
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} is damaged, or holds Python objects that would run code; {wanted}") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({type(error).__name__}); {wanted}") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path} holds {type(content).__name__}; {wanted}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UserError(f"{path} holds {type(value).__name__} under {key!r}; {wanted}")
    parallel = all(key.startswith("module.") for key in content)
    return {key.removeprefix("module.") if parallel else key: value for key, value in content.items()}


def _check_zip(path: Path) -> None:
    """Compares the checksums that torch has written, which reading with torch does not.

    Raises:
        UserError: A part of the file is not what was written.
    """
    if not zipfile.is_zipfile(path):
        return  # of old torch, or no torch file: reading it will show
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if damaged is not None:
        raise UserError(f"{path} is damaged: the checksum of {damaged} is wrong")


def _settings(
    state: Mapping[str, Tensor], *, modalities: str, num_heads: int, top_p: float, text_name: str
) -> ModelSettings:
    """Sizes of the network, read from the shapes of its weights."""
    text = TextSettings(model=text_name) if text_name else TextSettings()
    sparse = any(re.match(r"[VA]\.(low_level|sparse_layers|attn_layers)\.", key) for key in state)
    # The reference's attention never learnt, and its features are not gated.
    attention = AttentionSettings(mode="frozen")
    asked = ModelSettings(
        name="mesm" if sparse else "fe2e", modalities=modalities, text=text, top_p=top_p, attention=attention
    )
    _check_fusion(state, modalities)
    letter = next((letter for letter in "va" if letter in modalities), None)
    if letter is None:
        return asked
    tower = letter.upper()
    if sparse:
        first = _shape(state, f"{tower}.low_level.0.weight", 4)[0]
        stages = [_shape(state, f"{tower}.sparse_layers.{stage}.0.0.weight", 4)[3] for stage in range(3)]
    else:
        parts = ("0", "6.conv1", "8.conv1", "10.conv1")
        first, *stages = (_shape(state, f"{tower}.{part}.weight", 4)[0] for part in parts)
    layer = re.compile(rf"{letter}_transformer\.encoder\.layers\.(\d+)\.")
    layers = [int(match[1]) for match in map(layer.match, state) if match]
    return replace(
        asked,
        tower_channels=(first, stages[0], stages[1], stages[2]),
        tower_dim=_shape(state, f"{letter}_flatten.0.weight", 2)[0],
        trans_dim=_shape(state, f"{letter}_flatten.2.weight", 2)[0],
        num_layers=max(layers, default=0) + 1,
        num_heads=num_heads,
        feedforward_dim=_shape(state, f"{letter}_transformer.encoder.layers.0.linear1.weight", 2)[0],
    )


def _check_fusion(state: Mapping[str, Tensor], modalities: str) -> None:
    fused = state.get("weighted_fusion.weight")
    if fused is not None and tuple(fused.shape) != (1, len(modalities)):
        raise UserError(
            f"weighted_fusion.weight is {tuple(fused.shape)} in the checkpoint, but modalities '{modalities}' "
            f"require {(1, len(modalities))}: give the modalities it was trained with"
        )


def _text_config(state: Mapping[str, Tensor], text_model: str | None) -> tuple[Any, str]:
    """Configuration and name of the text encoder."""
    if text_model is not None:
        name = next((known for known in _PUBLISHED if text_model in (known, known.removeprefix("albert/"))), None)
        return (_PUBLISHED[name], name) if name else (load_config(text_model), text_model)
    layer = "T.albert.encoder.albert_layer_groups.0.albert_layers.0"
    vocab_size, embedding_size = _shape(state, "T.albert.embeddings.word_embeddings.weight", 2)
    intermediate_size, hidden_size = _shape(state, f"{layer}.ffn.weight", 2)
    sizes = (vocab_size, embedding_size, hidden_size, intermediate_size)
    for name, config in _PUBLISHED.items():
        if sizes == (config.vocab_size, config.embedding_size, config.hidden_size, config.intermediate_size):
            return config, name
    raise UserError(
        f"the text encoder (vocabulary {vocab_size}, embedding {embedding_size}, hidden {hidden_size}, feed-forward "
        f"{intermediate_size}) is not a published ALBERT v2: give --text-model a Hugging Face name or a folder "
        "with its config.json"
    )


def _tokenizer(text_name: str) -> Any:
    """Tokenizer of the text encoder; None, with a warning, when there is none to be had."""
    folder = Path(text_name)
    try:
        tokenizer = load_tokenizer(folder) if folder.is_dir() else hub_tokenizer(text_name)
    except UserError as error:
        _log.warning("the run gets no tokenizer: %s", error)
        return None
    if tokenizer is None:
        _log.warning("the run gets no tokenizer: %s has none", folder)
    return tokenizer


def _converted(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], settings: ModelSettings) -> dict[str, Tensor]:
    """The checkpoint's weights under our names.

    Raises:
        UserError: A key is missing, unknown or of another shape.
    """
    weights, used = {}, set()
    for name, initial in wanted.items():
        key = reference_name(name, settings.name)
        if key is None:
            weights[name] = initial
            continue
        used.add(key)
        if key not in state:
            if not key.endswith("num_batches_tracked"):  # older torch and sparse layers did not count
                raise UserError(f"the checkpoint has no {key}")
            weights[name] = initial
            continue
        weight = state[key]
        if ".sparse_layers." in key and weight.dim() == 4:  # (9, 1, in, out); ours are (9, out, in)
            weight = weight.squeeze(1).transpose(1, 2)
        if weight.shape != initial.shape:
            raise UserError(f"{key} is {tuple(weight.shape)} in the checkpoint, expected is {tuple(initial.shape)}")
        weights[name] = weight.to(initial.dtype)
        if not torch.isfinite(weights[name]).all():
            raise UserError(
                f"{key} holds numbers that are not finite: the checkpoint is damaged, or its training failed"
            )
    unknown = [key for key in state if key not in used and not says_nothing(key, settings)]
    if unknown:
        raise UserError(f"the checkpoint has an unknown key {unknown[0]} (modalities '{settings.modalities}')")
    return weights


def _shape(state: Mapping[str, Tensor], key: str, dimensions: int) -> tuple[int, ...]:
    if key not in state:
        raise UserError(f"the checkpoint has no {key}")
    shape = tuple(state[key].shape)
    if len(shape) != dimensions or 0 in shape:
        raise UserError(f"{key} is {shape} in the checkpoint, expected are {dimensions} dimensions")
    return shape
