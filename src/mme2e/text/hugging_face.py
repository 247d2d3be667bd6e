"""Tokenizers and text encoders of any kind, through the Auto classes of transformers.

transformers takes seconds to import: that is done inside the functions.
"""

import inspect
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from torch import nn

from mme2e.errors import UserError


class NotFoundError(UserError):
    """There is no such encoder, here or on the Hub."""


def build_encoder(config: Any) -> nn.Module:
    """An encoder with random weights, without the pooler where its class can do without.

    Args:
        config: Of transformers.

    Raises:
        UserError: The configuration is of something else than an encoder.
    """
    from transformers import AutoModel

    return AutoModel.from_config(config, trust_remote_code=False, **_without_pooler(config)).float()


def hub_config(name: str) -> Any:
    """Configuration of a name on the Hub.

    Raises:
        UserError: The name is unknown or the Hub cannot be reached.
    """
    from transformers import AutoConfig

    return _try_local_then_online(name, lambda **where: AutoConfig.from_pretrained(name, **where))


def folder_config(folder: Path) -> Any:
    """Configuration of a folder.

    Raises:
        UserError: There is none, or it describes nothing that transformers knows.
    """
    if not (folder / "config.json").is_file():
        raise NotFoundError(f"{folder} holds no text encoder: it has no config.json")
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder / 'config.json'} describes no text encoder: {first_line(error)}") from error


def hub_tokenizer(name: str) -> Any:
    """Tokenizer of a name on the Hub, from the local cache when it is there.

    Raises:
        UserError: The name is unknown or the Hub cannot be reached.
    """
    from transformers import AutoTokenizer

    return _try_local_then_online(name, lambda **where: AutoTokenizer.from_pretrained(name, **where))


def folder_tokenizer(folder: Path) -> Any:
    """Tokenizer of a folder with tokenizer files; damaged ones raise any exception."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def folder_encoder(folder: Path) -> nn.Module:
    """Encoder of a folder with weights, float32.

    Raises:
        UserError: It holds no encoder, or the weights are damaged.
    """
    from transformers import AutoModel

    options = _without_pooler(folder_config(folder))
    try:
        return AutoModel.from_pretrained(folder, trust_remote_code=False, **options).float()
    except Exception as error:  # safetensors and pickle raise their own kinds for a damaged file
        raise UserError(f"the weights in {folder} cannot be read: {first_line(error)}") from error


def from_hub(name: str) -> dict[str, Any]:
    """`encoder` and `tokenizer` of a name on the Hub, from the local cache when they are there.

    Raises:
        UserError: The name is unknown or of something else than an encoder, or the Hub cannot be reached.
    """
    from transformers import AutoModel, AutoTokenizer

    options = _without_pooler(hub_config(name))

    def load(**where: Any) -> dict[str, Any]:
        encoder = AutoModel.from_pretrained(name, **where, **options).float()
        return {"tokenizer": AutoTokenizer.from_pretrained(name, **where), "encoder": encoder}

    return _try_local_then_online(name, load)


def _without_pooler(config: Any) -> dict[str, bool]:
    """The option that builds the model of `config` without a pooler, where there is such an option."""
    from transformers import MODEL_MAPPING

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
        raise NotFoundError(f"no text encoder '{name}': {first_line(error)}") from error


def _require_hub(name: str) -> None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise NotFoundError(f"text encoder '{name}' is not a folder and not in the local cache (HF_HUB_OFFLINE is set)")
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310  # the user's own setting
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            return
    except urllib.error.HTTPError:
        return  # it answers
    except OSError as error:
        raise NotFoundError(
            f"text encoder '{name}' is not a folder, not in the local cache, and {constants.ENDPOINT} "
            f"cannot be reached ({first_line(error)})"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message that is not blank; the name of the error's class when there is none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
