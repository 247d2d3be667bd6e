"""Tokenizers and text encoders, through the Auto classes of Hugging Face transformers."""

import inspect
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer, BertConfig, PreTrainedTokenizerFast

from mme2e.config import TextSettings
from mme2e.errors import UserError

SCRATCH = "scratch"
"""Model name that stands for a tokenizer and a small encoder made on the spot."""

_SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_OFFLINE_HINT = f"offline, a folder works, and so does training with --model.text.model {SCRATCH}"
_WEIGHT_FILES = ("model.safetensors*", "pytorch_model*.bin*")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "*.model")
_log = logging.getLogger(__name__)


class _NotFoundError(UserError):
    """There is no such encoder, here or on the Hub."""


@dataclass(frozen=True, kw_only=True)
class TextParts:
    """What a text branch needs.

    Attributes:
        tokenizer: Hugging Face tokenizer; None when the folder of the encoder has no tokenizer files.
        encoder: Hugging Face encoder without a pooler, float32.
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
        UserError: The name is unknown, the Hub cannot be reached, the folder holds no encoder, or `scratch` has no
            texts.
    """
    # Tokenizers' own threads would warn in every worker process that the data loader forks.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if settings.model == SCRATCH:
        tokenizer = train_tokenizer(texts or (), vocab_size=settings.vocab_size)
        return TextParts(tokenizer=tokenizer, encoder=_scratch_encoder(settings, len(tokenizer)))
    folder = Path(settings.model)
    try:
        if folder.is_dir():
            return TextParts(tokenizer=load_tokenizer(folder), encoder=_encoder_of_folder(folder))
        return _from_hub(settings.model)
    except _NotFoundError as error:
        raise UserError(f"{error}; {_OFFLINE_HINT}") from error


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer made from texts; the same texts give the same tokenizer.

    Args:
        texts: At least one that is not blank.
        vocab_size: Most pieces.

    Raises:
        UserError: No text.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    lines = [text for text in texts if text.strip()]
    if not lines:
        raise UserError(f"the text encoder '{SCRATCH}' makes its vocabulary from training texts; there is none")
    tokenizer = Tokenizer(models.WordPiece(unk_token=_SPECIAL["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    # The trainer numbers pieces that continue a word in random order, which decides between equally frequent merges.
    # Given beforehand, in alphabetical order, they have fixed numbers.
    words = {word for line in lines for word, _ in _words(tokenizer, line)}
    continuing = sorted({f"##{letter}" for word in words for letter in word[1:]})
    given = [*_SPECIAL.values(), *continuing]
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=given, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    # A fresh model, in which those pieces are not special.
    trained = Tokenizer(models.WordPiece(vocab=tokenizer.get_vocab(), unk_token=_SPECIAL["unk_token"]))
    trained.normalizer, trained.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    trained.decoder = tokenizer.decoder
    trained.add_special_tokens(list(_SPECIAL.values()))
    ends = [(piece, trained.token_to_id(piece)) for piece in ("[CLS]", "[SEP]")]
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return PreTrainedTokenizerFast(tokenizer_object=trained, model_max_length=512, **_SPECIAL)


def _words(tokenizer: Any, line: str) -> list[tuple[str, tuple[int, int]]]:
    """The words that a tokenizer cuts into pieces, with their places."""
    return tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(line))


def build_encoder(config: Any) -> nn.Module:
    """An encoder with random weights, without the pooler where its class can do without.

    The model reads the last hidden state; parameters that get no gradient would break data-parallel training.

    Args:
        config: Hugging Face configuration.

    Raises:
        UserError: The configuration is of something else than an encoder.
    """
    return AutoModel.from_config(config, trust_remote_code=False, **_without_pooler(config)).float()


def load_config(source: str | Path) -> Any:
    """Hugging Face configuration of a folder or of a name on the Hub.

    Raises:
        UserError: The folder has none, the name is unknown, or the Hub cannot be reached.
    """
    folder = Path(source)
    if not folder.is_dir():
        return _try_local_then_online(str(source), lambda **where: AutoConfig.from_pretrained(source, **where))
    if not (folder / "config.json").is_file():
        raise _NotFoundError(f"{folder} holds no text encoder: it has no config.json")
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder / 'config.json'} describes no text encoder: {_first_line(error)}") from error


def load_tokenizer(folder: Path) -> Any:
    """Tokenizer of a folder; None when the folder has no tokenizer files.

    Raises:
        UserError: The files are damaged.
    """
    if not any(True for pattern in _TOKENIZER_FILES for _ in folder.glob(pattern)):
        return None
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise UserError(f"the tokenizer files in {folder} cannot be read: {_first_line(error)}") from error


def hub_tokenizer(name: str) -> Any:
    """Tokenizer of a name on the Hub, from the local cache when it is there.

    Raises:
        UserError: The name is unknown or the Hub cannot be reached.
    """
    return _try_local_then_online(name, lambda **where: AutoTokenizer.from_pretrained(name, **where))


def _scratch_encoder(settings: TextSettings, vocab_size: int) -> nn.Module:
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=settings.hidden_dim,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        intermediate_size=4 * settings.hidden_dim,
        max_position_embeddings=max(512, settings.max_length),
    )
    return build_encoder(config)


def _encoder_of_folder(folder: Path) -> nn.Module:
    config = load_config(folder)
    options = _without_pooler(config)
    if not any(True for pattern in _WEIGHT_FILES for _ in folder.glob(pattern)):
        _log.warning("%s has no weights: its text encoder starts at random", folder)
        return build_encoder(config)
    try:
        return AutoModel.from_pretrained(folder, trust_remote_code=False, **options).float()
    except Exception as error:  # safetensors and pickle raise their own kinds for a damaged file
        raise UserError(f"the weights in {folder} cannot be read: {_first_line(error)}") from error


def _from_hub(name: str) -> TextParts:
    options = _without_pooler(load_config(name))

    def load(**where: Any) -> TextParts:
        encoder = AutoModel.from_pretrained(name, **where, **options).float()
        return TextParts(tokenizer=AutoTokenizer.from_pretrained(name, **where), encoder=encoder)

    return _try_local_then_online(name, load)


def _without_pooler(config: Any) -> dict[str, bool]:
    """The option that builds the model of `config` without a pooler, where there is such an option."""
    if getattr(config, "is_encoder_decoder", False) or type(config) not in MODEL_MAPPING:
        raise UserError(f"'{config.model_type}' is not a text encoder; expected is one like ALBERT or BERT")
    model_class: Any = MODEL_MAPPING[type(config)]
    names = inspect.signature(model_class).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in names else {}


def _try_local_then_online(name: str, load: Any) -> Any:
    """What `load` gives: from the local cache, or else from the Hub if it answers (the Hub's client retries for half
    a minute when it does not).
    """
    try:
        return load(local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError):  # not in the cache
        _require_hub(name)
    try:
        return load(local_files_only=False, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise _NotFoundError(f"no text encoder '{name}': {_first_line(error)}") from error


def _require_hub(name: str) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise _NotFoundError(
            f"text encoder '{name}' is not a folder and not in the local cache (HF_HUB_OFFLINE is set)"
        )
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310  # the user's own setting
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            return
    except urllib.error.HTTPError:
        return  # it answers
    except OSError as error:
        raise _NotFoundError(
            f"text encoder '{name}' is not a folder, not in the local cache, and {constants.ENDPOINT} "
            f"cannot be reached ({_first_line(error)})"
        ) from error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
