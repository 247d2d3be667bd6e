"""From a name or a folder to a tokenizer and an encoder.

Encoders of BERT's kind are computed by `bert.py` and tokenized by `word_pieces.py`; transformers has all others, and
is imported only for them.
"""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mme2e.config import TextSettings
from mme2e.errors import UserError
from mme2e.text import hugging_face
from mme2e.text.bert import CONFIG_FILE, BertEncoder, BertSettings
from mme2e.text.scratch import SCRATCH, scratch_encoder, train_tokenizer
from mme2e.text.word_pieces import TOKENIZER_FILE, read_word_pieces

WEIGHTS_FILE = "model.safetensors"
_OFFLINE_HINT = f"offline, a folder works, and so does training with --model.text.model {SCRATCH}"
_WEIGHT_FILES = ("model.safetensors*", "pytorch_model*.bin*")
_TOKENIZER_FILES = (TOKENIZER_FILE, "tokenizer_config.json", "vocab.txt", "vocab.json", "*.model")
_OTHER_PARTS = ("pooler.", "cls.", "classifier.", "qa_outputs.")
"""What the names of weights begin with that a file may hold beside the encoder's."""

_log = logging.getLogger("mme2e.text")


@dataclass(frozen=True, kw_only=True)
class TextParts:
    """What a text branch needs.

    Attributes:
        tokenizer: A `WordPieceTokenizer` or one of transformers; None when the folder of the encoder has no tokenizer
            files.
        encoder: A `BertEncoder` or one of transformers, without a pooler, float32.
    """

    tokenizer: Any
    encoder: nn.Module


def load_text(settings: TextSettings, *, texts: Iterable[str] | None = None) -> TextParts:
    """Tokenizer and encoder that the settings name.

    Args:
        settings: `model` is a name on the Hugging Face Hub, a folder, or `scratch`.
        texts: Training texts; `scratch` makes its vocabulary from them.

    Returns:
        Both parts. A folder with a configuration but no weights gives random weights and a warning in the log.

    Raises:
        UserError: The name is unknown, the Hub cannot be reached, the folder holds no encoder, its tokenizer is not
            the encoder's, or `scratch` has no texts.
    """
    # Tokenizers' own threads would warn in every worker process that the data loader forks.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if settings.model == SCRATCH:
        tokenizer = train_tokenizer(texts or (), vocab_size=settings.vocab_size)
        return TextParts(tokenizer=tokenizer, encoder=scratch_encoder(settings, len(tokenizer)))
    folder = Path(settings.model)
    try:
        if folder.is_dir():
            parts = TextParts(tokenizer=load_tokenizer(folder), encoder=_encoder_of_folder(folder))
        else:
            parts = TextParts(**hugging_face.from_hub(settings.model))
    except hugging_face.NotFoundError as error:
        raise UserError(f"{error}; {_OFFLINE_HINT}") from error
    require_match(parts.tokenizer, parts.encoder.config, settings.model)
    return parts


def build_encoder(config: Any) -> nn.Module:
    """An encoder with random weights, without the pooler where its class can do without.

    The model reads the last hidden state; parameters that get no gradient would break data-parallel training.

    Args:
        config: `BertSettings`, or a configuration of transformers.

    Raises:
        UserError: The configuration is of something else than an encoder.
    """
    return BertEncoder(config) if isinstance(config, BertSettings) else hugging_face.build_encoder(config)


def load_config(source: str | Path) -> Any:
    """Configuration of a folder or of a name on the Hub: `BertSettings`, or one of transformers.

    Raises:
        UserError: The folder has none, the name is unknown, or the Hub cannot be reached.
    """
    folder = Path(source)
    if not folder.is_dir():
        return hugging_face.hub_config(str(source))
    content = _bert_config(folder)
    return hugging_face.folder_config(folder) if content is None else _settings(folder, content)


def load_tokenizer(folder: Path) -> Any:
    """Tokenizer of a folder; None when the folder has no tokenizer files.

    Raises:
        UserError: The files are damaged, or a special token of BERT's kind is missing.
    """
    if not any(True for pattern in _TOKENIZER_FILES for _ in folder.glob(pattern)):
        return None
    try:
        if (folder / TOKENIZER_FILE).is_file() and _bert_config(folder) is not None:
            tokenizer = read_word_pieces(folder)
            if tokenizer is not None:
                return tokenizer
        return hugging_face.folder_tokenizer(folder)
    except UserError:
        raise
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise UserError(f"the tokenizer files in {folder} cannot be read: {hugging_face.first_line(error)}") from error


def require_match(tokenizer: Any, config: Any, name: str | Path) -> None:
    """Refuses a tokenizer that is not the encoder's: its ids would point behind the encoder's embeddings.

    Args:
        tokenizer: None is fine.
        config: Of the encoder.
        name: What to call both in errors.

    Raises:
        UserError: The vocabulary is larger than the encoder's.
    """
    known = getattr(config, "vocab_size", None)
    if tokenizer is None or known is None:
        return
    needed = max(tokenizer.get_vocab().values(), default=-1) + 1
    if needed > known:
        raise UserError(
            f"{name}: the tokenizer does not fit the text encoder: it has {needed} tokens, the encoder knows {known}"
        )


def _encoder_of_folder(folder: Path) -> nn.Module:
    config = load_config(folder)
    if not any(True for pattern in _WEIGHT_FILES for _ in folder.glob(pattern)):
        _log.warning("%s has no weights: its text encoder starts at random", folder)
        return build_encoder(config)
    if isinstance(config, BertSettings) and (folder / WEIGHTS_FILE).is_file():
        return _read_bert(folder, config)
    return hugging_face.folder_encoder(folder)


def _read_bert(folder: Path, config: BertSettings) -> BertEncoder:
    path = folder / WEIGHTS_FILE
    encoder = BertEncoder(config)
    try:
        weights = _bert_weights(load_file(path))
        encoder.load_state_dict(weights)
    except (OSError, SafetensorError) as error:
        raise UserError(f"the weights in {folder} cannot be read: {hugging_face.first_line(error)}") from error
    except RuntimeError as error:  # names or shapes; the first line says only that there is something
        fault = str(error).splitlines()[1:2] or [str(error)]
        raise UserError(f"{path} does not fit {CONFIG_FILE}: {fault[0].strip()}") from error
    return encoder


def _bert_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of the encoder, under its names: files of models for a task have a prefix and further parts."""
    named = {name.removeprefix("bert."): tensor.float() for name, tensor in weights.items()}
    old = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    kept = {}
    for name, tensor in named.items():
        if not name.startswith(_OTHER_PARTS) and name != "embeddings.position_ids":
            for before, after in old.items():
                name = name.replace(before, after)
            kept[name] = tensor
    return kept


def _bert_config(folder: Path) -> dict[str, Any] | None:
    """The content of `config.json` if `BertEncoder` can compute what it describes."""
    try:
        content = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # what is wrong with it is said by who reads it next
    return content if BertSettings.describes(content) else None


def _settings(folder: Path, content: dict[str, Any]) -> BertSettings:
    try:
        return BertSettings.of(content, name=CONFIG_FILE)
    except UserError as error:
        raise UserError(f"{folder / CONFIG_FILE} describes no text encoder: {error}") from error
