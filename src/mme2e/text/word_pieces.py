"""BERT's tokenizer over the library tokenizers, without transformers.

It has what the project asks of a transformers tokenizer and writes files that transformers reads.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mme2e.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
_REQUIRED = ("pad_token", "unk_token", "cls_token", "sep_token")
_NORMALIZER_KEYS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
"""Keys of `tokenizer_config.json` by which transformers' classes for BERT change the normalizer."""


class WordPieceTokenizer:
    """Cuts texts into word pieces between [CLS] and [SEP]. It keeps no state: several threads may use it at once.

    Args:
        tokenizer: Of the library tokenizers, with a WordPiece model; its truncation and padding are switched off.
        special_tokens: By their names in `SPECIAL_TOKENS`; those are the defaults.
        name: What to call it in errors.

    Attributes:
        pad_token, unk_token, cls_token, sep_token, mask_token: Texts of the special tokens.

    Raises:
        UserError: A special token but [MASK] is not in its vocabulary, or it does not put [CLS] and [SEP] around texts.
    """

    pad_token: str
    unk_token: str
    cls_token: str
    sep_token: str
    mask_token: str

    def __init__(
        self, tokenizer: "Tokenizer", *, special_tokens: Mapping[str, str] = SPECIAL_TOKENS, name: str = "the tokenizer"
    ) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        for key, usual in SPECIAL_TOKENS.items():
            setattr(self, key, special_tokens.get(key, usual))
        for key in _REQUIRED:
            if tokenizer.token_to_id(getattr(self, key)) is None:
                raise UserError(f"{name} has no token {getattr(self, key)}, which a text encoder like BERT requires")
        if tokenizer.encode("").ids != [self.cls_token_id, self.sep_token_id]:
            raise UserError(f"{name} does not put {self.cls_token} and {self.sep_token} around a text")

    def __call__(
        self, text: str, *, truncation: bool = False, max_length: int | None = None, verbose: bool = True
    ) -> dict[str, list[int]]:
        """The tokens of a text, with the special ones.

        Args:
            text: The text.
            truncation: Whether to leave out the tokens behind `max_length`.
            max_length: Most tokens, the special ones included.
            verbose: Without effect: there are no warnings.

        Returns:
            Their ids, under `input_ids`.
        """
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        if truncation and max_length is not None:
            encoding.truncate(max(0, max_length - self._tokenizer.num_special_tokens_to_add(False)))
        return {"input_ids": self._tokenizer.post_process(encoding).ids}

    def __len__(self) -> int:
        """Number of tokens."""
        return self._tokenizer.get_vocab_size()

    @property
    def backend(self) -> "Tokenizer":
        """That of the library tokenizers."""
        return self._tokenizer

    @property
    def pad_token_id(self) -> int:
        """Id of [PAD]."""
        return self._id(self.pad_token)

    @property
    def unk_token_id(self) -> int:
        """Id of [UNK]."""
        return self._id(self.unk_token)

    @property
    def cls_token_id(self) -> int:
        """Id of [CLS]."""
        return self._id(self.cls_token)

    @property
    def sep_token_id(self) -> int:
        """Id of [SEP]."""
        return self._id(self.sep_token)

    def _id(self, token: str) -> int:
        """Id of a token that was found when the tokenizer was made."""
        number = self._tokenizer.token_to_id(token)
        assert number is not None
        return number

    def get_vocab(self) -> dict[str, int]:
        """Tokens and their ids."""
        return self._tokenizer.get_vocab()

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str | None]:
        """The tokens of ids; None for an id that no token has."""
        return [self._tokenizer.id_to_token(each) for each in ids]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of ids, as far as it can be had back."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def with_pieces(self, pieces: Sequence[str]) -> "WordPieceTokenizer":
        """The same tokenizer with another vocabulary.

        Args:
            pieces: The vocabulary, by id; those in the old one that are special stay so.

        Raises:
            UserError: A special token but [MASK] is not among them.
        """
        from tokenizers import Tokenizer, models, processors

        old: Any = self._tokenizer
        ids = {piece: number for number, piece in enumerate(pieces)}
        model = models.WordPiece(
            vocab=ids,
            unk_token=self.unk_token,
            max_input_chars_per_word=old.model.max_input_chars_per_word,
            continuing_subword_prefix=old.model.continuing_subword_prefix,
        )
        new = Tokenizer(model)
        new.normalizer, new.pre_tokenizer, new.decoder = old.normalizer, old.pre_tokenizer, old.decoder
        added = [token for _, token in sorted(old.get_added_tokens_decoder().items()) if token.content in ids]
        new.add_special_tokens([token for token in added if token.special])
        new.add_tokens([token for token in added if not token.special])
        special = {key: getattr(self, key) for key in SPECIAL_TOKENS}
        first, last = special["cls_token"], special["sep_token"]
        if first in ids and last in ids:  # else refused below
            new.post_processor = processors.TemplateProcessing(
                single=[first, "$A", last],
                pair=[first, "$A", last, "$B:1", f"{last}:1"],
                special_tokens=[(piece, ids[piece]) for piece in (first, last)],
            )
        return WordPieceTokenizer(new, special_tokens=special)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `tokenizer.json` and `tokenizer_config.json`.

        Args:
            folder: An existing one.
        """
        folder = Path(folder)
        special = {key: getattr(self, key) for key in SPECIAL_TOKENS}
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **special}
        (folder / TOKENIZER_FILE).write_text(self._tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
        (folder / TOKENIZER_CONFIG_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def read_word_pieces(folder: Path) -> WordPieceTokenizer | None:
    """Tokenizer of a folder with a `tokenizer.json` of word pieces; None for one that only transformers understands.

    Raises:
        UserError: The files are damaged, or a special token is missing.
        OSError: They cannot be read.
    """
    from tokenizers import Tokenizer

    text = (folder / TOKENIZER_FILE).read_text(encoding="utf-8")
    content, settings = _object(text), _settings(folder)
    if content.get("model", {}).get("type") != "WordPiece" or _changes_normalizer(settings, content):
        return None
    special = {key: _text(settings[key]) for key in SPECIAL_TOKENS if settings.get(key)}
    return WordPieceTokenizer(Tokenizer.from_str(text), special_tokens=special, name=f"the tokenizer in {folder}")


def _settings(folder: Path) -> dict[str, Any]:
    """`tokenizer_config.json`, and what older folders have beside it."""
    files = [folder / "special_tokens_map.json", folder / TOKENIZER_CONFIG_FILE]
    merged: dict[str, Any] = {}
    for path in files:
        if path.is_file():
            merged |= _object(path.read_text(encoding="utf-8"))
    return merged


def _object(text: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("a JSON object is expected")
    return content


def _text(token: Any) -> str:
    """A special token, which may be written down with its options."""
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _changes_normalizer(settings: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    """Whether transformers would normalise texts otherwise than `tokenizer.json` says."""
    if not str(settings.get("tokenizer_class", "")).startswith("Bert"):
        return False
    normalizer = content.get("normalizer") or {}
    return any(settings[key] != normalizer.get(name) for key, name in _NORMALIZER_KEYS.items() if key in settings)
