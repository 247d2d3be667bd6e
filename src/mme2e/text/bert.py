"""BERT's encoder in plain PyTorch (Devlin et al. 2019), without its pooler.

The weights have the names of transformers' BertModel, whose files it reads. transformers takes seconds to import; a
model that reads text with this encoder answers without it.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mme2e.errors import UserError
from mme2e.records import from_plain

CONFIG_FILE = "config.json"
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}
_EXPECTED = {
    "model_type": ("bert",),
    "position_embedding_type": (None, "absolute"),
    "hidden_act": (*_ACTIVATIONS, None),
}
_OFF = ("is_decoder", "add_cross_attention", "is_encoder_decoder", "pruned_heads", "quantization_config")
"""Keys of a configuration under which another network hides, where they are set."""


@dataclass(frozen=True, kw_only=True)
class BertSettings:
    """Sizes of an encoder, under the keys of BERT's `config.json`; the defaults are BERT's."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
        for name in (*sizes, "type_vocab_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise UserError(f"pad_token_id must be in the vocabulary of {self.vocab_size}, not {self.pad_token_id}")

    @staticmethod
    def describes(content: Any) -> bool:
        """Whether the content of a `config.json` is of a network that this module can compute."""
        if not isinstance(content, dict) or any(content.get(name) for name in _OFF):
            return False
        return all(content.get(name) in values for name, values in _EXPECTED.items())

    @classmethod
    def of(cls, content: dict[str, Any], *, name: str) -> "BertSettings":
        """Settings of the content of a `config.json`; other keys are ignored.

        Args:
            content: What `describes` accepts.
            name: What to call the file in errors.

        Raises:
            UserError: A value is of another type, or no network has such sizes.
        """
        known = {key: value for key, value in content.items() if not (key == "hidden_act" and value is None)}
        return from_plain(cls, known, name=name, unknown="ignore")

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `config.json`, which transformers can read, too.

        Args:
            folder: An existing one.
        """
        content = {"architectures": ["BertModel"], "model_type": "bert", **asdict(self)}
        (Path(folder) / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class EncoderOutput:
    """What an encoder returns.

    Attributes:
        last_hidden_state: (batch, tokens, hidden_size).
    """

    last_hidden_state: Tensor


class _Embeddings(nn.Module):
    def __init__(self, config: BertSettings) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor) -> Tensor:
        length, most = input_ids.shape[1], self.position_embeddings.num_embeddings
        if length > most:
            raise UserError(f"a text has {length} tokens, the text encoder has positions for {most}: lower max_length")
        token_types = self.token_type_embeddings(torch.zeros_like(input_ids))  # all tokens are of the first kind
        positions = self.position_embeddings(torch.arange(length, device=input_ids.device))
        return self.dropout(self.LayerNorm(self.word_embeddings(input_ids) + token_types + positions))


class _SelfAttention(nn.Module):
    def __init__(self, config: BertSettings) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads, self.dropout = config.num_attention_heads, config.attention_probs_dropout_prob
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        return mixed.transpose(1, 2).flatten(2)


class _AddAndNorm(nn.Module):
    """A linear layer whose result is added to what came before, then normalised."""

    def __init__(self, config: BertSettings, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + before)


class _Layer(nn.Module):
    def __init__(self, config: BertSettings) -> None:
        super().__init__()
        self.activation = _ACTIVATIONS[config.hidden_act]
        attention: dict[str, nn.Module] = {
            "self": _SelfAttention(config),
            "output": _AddAndNorm(config, config.hidden_size),
        }
        self.attention = nn.ModuleDict(attention)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(config.hidden_size, config.intermediate_size)})
        self.output = _AddAndNorm(config, config.intermediate_size)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(self.activation(self.intermediate["dense"](x)), x)


class BertEncoder(nn.Module):
    """BERT's embeddings and layers.

    Args:
        config: Sizes.

    Attributes:
        config: The same.
    """

    def __init__(self, config: BertSettings) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))})
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> EncoderOutput:
        """Vectors of tokens.

        Args:
            input_ids: (batch, tokens) int64.
            attention_mask: (batch, tokens), 1 where there is a token, at least one a row; everywhere when None.

        Raises:
            UserError: There are more tokens than positions.
        """
        mask = None if attention_mask is None else attention_mask[:, None, None].bool()
        x = self.embeddings(input_ids)
        for layer in self.encoder.layer:  # type: ignore[union-attr]  # a ModuleList
            x = layer(x, mask)
        return EncoderOutput(x)
