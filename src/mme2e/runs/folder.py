"""The run folder: everything that a trained model needs, in files that people can read.

A run folder holds::

    config.yaml          RunInfo: model, label names, thresholds, preprocessing, where it comes from
    model.safetensors    all weights, those of the text encoder included
    text_encoder/        configuration of the text encoder and the tokenizer's files (with text only)
    environment.json     versions it was made with
    README.md            model card

Loading one needs no network and unpickles nothing.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from mme2e.atomic import replacing
from mme2e.environment import environment
from mme2e.errors import UserError
from mme2e.locking import locked
from mme2e.models import build_model
from mme2e.records import to_json
from mme2e.runs.info import CONFIG_FILE, RunInfo, read_info
from mme2e.runs.model_card import model_card
from mme2e.runs.starter import find_run
from mme2e.text import build_encoder, load_config, load_tokenizer, require_match

WEIGHTS_FILE = "model.safetensors"
ENVIRONMENT_FILE = "environment.json"
CARD_FILE = "README.md"
TEXT_FOLDER = "text_encoder"
NO_TOKENIZER = "tokenizer"
"""Key of the provenance under which a run that reads text and was made without a tokenizer says why."""

LOCK_FILE = ".lock"
"""In the run folder; it holds nothing and stays."""

__all__ = ["LoadedRun", "RunInfo", "load_run", "read_info", "save_run", "writing_run"]


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run folder in memory.

    Attributes:
        model: The network in evaluation mode; takes a `Batch`, returns logits.
        tokenizer: What `load_tokenizer` gives; None when the model reads no text or the run has no tokenizer.
        info: What `config.yaml` says.
    """

    model: nn.Module
    tokenizer: Any
    info: RunInfo


@contextmanager
def writing_run(folder: Path) -> Iterator[None]:
    """Within the `with` block no other process writes a run folder; it is made if need be.

    Raises:
        UserError: Another process does.
        OSError: It cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = f"another mme2e process is working on {folder}: wait for its end, or give another folder"
    with locked(folder / LOCK_FILE, taken):
        yield


def save_run(folder: Path, *, model: nn.Module, tokenizer: Any = None, info: RunInfo) -> None:
    """Writes a run folder; files that are there already are replaced one by one, each at once or not at all.

    Args:
        folder: Made when it does not exist. Other files in it stay.
        model: What `build_model` made of `info.model`.
        tokenizer: Of `mme2e.text`; None without text, or when `info.provenance` says why (`NO_TOKENIZER`).
        info: Written to `config.yaml`, last of all, with the checksum of the weights.

    Raises:
        UserError: The folder cannot be written.
    """
    # safetensors requires contiguous tensors that share no memory.
    contiguous = torch.contiguous_format
    weights = {name: tensor.cpu().clone(memory_format=contiguous) for name, tensor in model.state_dict().items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / WEIGHTS_FILE, lambda path: save_file(weights, path))
        text = getattr(model, "text", None)
        if text is not None:
            _save_text(folder / TEXT_FOLDER, text.encoder.config, tokenizer)
        _replace(folder / ENVIRONMENT_FILE, lambda path: _write_text(path, to_json(environment())))
        _replace(folder / CARD_FILE, lambda path: _write_text(path, model_card(info)))
        described = replace(info, weights_sha256=_sha256(folder / WEIGHTS_FILE))
        _replace(folder / CONFIG_FILE, lambda path: _write_text(path, described.to_yaml()))
    except (OSError, SafetensorError) as error:
        raise UserError(f"the run folder {folder} cannot be written: {error}") from error


def load_run(folder: Path | str, device: torch.device | str = "cpu") -> LoadedRun:
    """Reads a run folder, without network.

    Args:
        folder: What `save_run` wrote, or `starter`.
        device: Where the model goes.

    Raises:
        UserError: A file is missing, damaged, of a newer version, or does not fit the others.
    """
    folder = find_run(folder)
    info = read_info(folder)
    encoder, tokenizer = None, None
    if info.model.reads_tokens:
        config = load_config(_required_folder(folder / TEXT_FOLDER))
        encoder = build_encoder(config)
        tokenizer = load_tokenizer(folder / TEXT_FOLDER)
        if tokenizer is None and NO_TOKENIZER not in info.provenance:
            raise UserError(f"{folder} is not a complete run folder: {TEXT_FOLDER} has no tokenizer files")
        require_match(tokenizer, config, folder)
    model = build_model(info.model, num_emotions=len(info.label_names), text_encoder=encoder)
    _load_weights(model, folder / WEIGHTS_FILE, info.weights_sha256)
    return LoadedRun(model=model.to(device).eval(), tokenizer=tokenizer, info=info)


def _save_text(folder: Path, config: Any, tokenizer: Any) -> None:
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        config.save_pretrained(temporary)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        for path in sorted(Path(temporary).iterdir()):
            path.replace(folder / path.name)


def _load_weights(model: nn.Module, path: Path, sha256: str) -> None:
    if not path.is_file():
        raise UserError(f"{path.parent} is not a complete run folder: it has no {path.name}")
    try:
        if sha256 and _sha256(path) != sha256:
            raise UserError(f"{path} is damaged: its checksum is not the one in {CONFIG_FILE}")
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in weights:
            raise UserError(f"{path} does not fit {CONFIG_FILE}: {name} is missing")
        if weights[name].shape != tensor.shape:
            shapes = f"{tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
            raise UserError(f"{path} does not fit {CONFIG_FILE}: {name} is {shapes}")
        if not torch.isfinite(weights[name]).all():
            raise UserError(f"{path} is damaged: the numbers of {name} are not all finite")
    unknown = sorted(weights.keys() - wanted.keys())
    if unknown:
        raise UserError(f"{path} does not fit {CONFIG_FILE}: {unknown[0]} is not in the model")
    model.load_state_dict(weights)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _required_folder(path: Path) -> Path:
    if not path.is_dir():
        raise UserError(f"{path.parent} is not a complete run folder: it has no {path.name}")
    return path


def _write_text(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file under a temporary name and renames it."""
    with replacing(path) as temporary:
        # safetensors makes files that only their owner may read; this one gets the rights of any new file.
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        temporary.chmod(mode)
