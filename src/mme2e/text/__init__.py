"""Tokenizers and text encoders: those of BERT's kind in plain PyTorch, all others through transformers."""

from mme2e.text.bert import BertEncoder, BertSettings
from mme2e.text.hugging_face import hub_tokenizer
from mme2e.text.load import (
    SCRATCH,
    TextParts,
    build_encoder,
    load_config,
    load_text,
    load_tokenizer,
    require_match,
)
from mme2e.text.scratch import train_tokenizer
from mme2e.text.word_pieces import WordPieceTokenizer

__all__ = [
    "SCRATCH",
    "BertEncoder",
    "BertSettings",
    "TextParts",
    "WordPieceTokenizer",
    "build_encoder",
    "hub_tokenizer",
    "load_config",
    "load_text",
    "load_tokenizer",
    "require_match",
    "train_tokenizer",
]
