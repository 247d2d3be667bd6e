"""A tokenizer and a small encoder made on the spot: `scratch`."""

from collections.abc import Iterable
from typing import Any

from mme2e.config import TextSettings
from mme2e.errors import UserError
from mme2e.text.bert import BertEncoder, BertSettings
from mme2e.text.word_pieces import SPECIAL_TOKENS, WordPieceTokenizer

SCRATCH = "scratch"
"""Model name that stands for a tokenizer and a small encoder made on the spot."""


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> WordPieceTokenizer:
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
    unknown = SPECIAL_TOKENS["unk_token"]
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    # The trainer numbers pieces that continue a word in random order, which decides between equally frequent merges.
    # Given beforehand, in alphabetical order, they have fixed numbers.
    words = {word for line in lines for word, _ in _words(tokenizer, line)}
    continuing = sorted({f"##{letter}" for word in words for letter in word[1:]})
    given = [*SPECIAL_TOKENS.values(), *continuing]
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=given, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    # A fresh model, in which those pieces are not special.
    trained = Tokenizer(models.WordPiece(vocab=tokenizer.get_vocab(), unk_token=unknown))
    trained.normalizer, trained.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    trained.decoder = tokenizer.decoder
    trained.add_special_tokens(list(SPECIAL_TOKENS.values()))
    ends = [(piece, trained.token_to_id(piece)) for piece in ("[CLS]", "[SEP]")]
    trained.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return WordPieceTokenizer(trained)


def scratch_encoder(settings: TextSettings, vocab_size: int) -> BertEncoder:
    """A small encoder with random weights.

    Args:
        settings: Its sizes.
        vocab_size: Of its tokenizer.
    """
    config = BertSettings(
        vocab_size=vocab_size,
        hidden_size=settings.hidden_dim,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        intermediate_size=4 * settings.hidden_dim,
        max_position_embeddings=max(512, settings.max_length),
    )
    return BertEncoder(config)


def _words(tokenizer: Any, line: str) -> list[tuple[str, tuple[int, int]]]:
    """The words that a tokenizer cuts into pieces, with their places."""
    return tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(line))
