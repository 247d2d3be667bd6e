"""From a large text encoder to a small one: fewer layers, word pieces and positions, the weights of those that stay."""

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from mme2e.config import TextSettings
from mme2e.errors import UserError
from mme2e.text import BertEncoder, BertSettings, WordPieceTokenizer, load_text
from mme2e.text.load import WEIGHTS_FILE

_BATCH = 1000
_ALWAYS = frozenset(string.ascii_letters + string.digits + string.punctuation)
"""Characters that are kept in any case, as far as the source has them: any English word can be spelled."""


def cut_encoder(
    source: Path,
    out: Path,
    *,
    texts: Iterable[str],
    layers: int | tuple[int, ...],
    vocabulary: int,
    positions: int | None = None,
) -> None:
    """Writes a smaller encoder, with the source's weights for all that is kept.

    Kept word pieces are the special tokens, the single characters of the texts and of ASCII alone and within a word,
    and those most frequent in the texts; of equally frequent ones, as are those in no text, the first of the source,
    whose order is that of frequency in BERT. A text whose pieces are all kept has the same tokens as before; a word of
    which one is not falls apart into smaller ones.

    Args:
        source: A folder with `config.json`, `model.safetensors` and `tokenizer.json` of BERT's kind.
        out: Gets the same files; made when it does not exist.
        texts: What the encoder is to read.
        layers: How many, from the first on, or which ones, rising from 0.
        vocabulary: Most word pieces.
        positions: Longest text in tokens; as in the source when None.

    Raises:
        UserError: The source is no such folder or is `out`, has fewer layers or positions, or the vocabulary is too
            small for the special tokens and the characters.
    """
    encoder, tokenizer = _read(source)
    chosen = _chosen_layers(layers, encoder.config.num_hidden_layers)
    longest = encoder.config.max_position_embeddings
    if positions is not None and not 1 <= positions <= longest:
        raise UserError(f"positions must be from 1 to the source's {longest}, not {positions}")
    if out.resolve() == source.resolve():
        raise UserError(f"{out} is the source: the smaller encoder must be written to another folder")
    pieces = frequent_pieces(tokenizer, texts, vocabulary)
    smaller = tokenizer.with_pieces(pieces)
    ids = tokenizer.get_vocab()
    padding = encoder.config.pad_token_id
    config = replace(
        encoder.config,
        vocab_size=len(pieces),
        num_hidden_layers=len(chosen),
        max_position_embeddings=positions or longest,
        pad_token_id=None if padding is None else smaller.pad_token_id,
    )
    weights = _cut(encoder.state_dict(), [ids[piece] for piece in pieces], chosen, config)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / WEIGHTS_FILE)
    config.save_pretrained(out)
    smaller.save_pretrained(out)


def frequent_pieces(tokenizer: WordPieceTokenizer, texts: Iterable[str], most: int) -> list[str]:
    """The pieces of a smaller vocabulary, in the order of the larger one; see `cut_encoder`.

    Args:
        tokenizer: Of the larger vocabulary.
        texts: In which the pieces are counted.
        most: How many there may be.

    Raises:
        UserError: They are too few for the special tokens and the characters.
    """
    backend, ids = tokenizer.backend, tokenizer.get_vocab()
    special = {token.content for token in backend.get_added_tokens_decoder().values()}
    special |= {tokenizer.pad_token, tokenizer.unk_token, tokenizer.cls_token, tokenizer.sep_token}
    counts: Counter[str] = Counter()
    lines = iter(texts)
    while some := list(islice(lines, _BATCH)):
        for encoding in backend.encode_batch(some, add_special_tokens=False):
            counts.update(encoding.tokens)
    letters = {letter for piece in counts if piece not in special for letter in piece.removeprefix("##")} | _ALWAYS
    needed = special | {piece for letter in letters for piece in (letter, f"##{letter}") if piece in ids}
    if len(needed) > most:
        raise UserError(
            f"a vocabulary of {most} is too small: the special tokens and the characters of the texts are {len(needed)}"
        )
    others = sorted((piece for piece in ids if piece not in needed), key=lambda piece: (-counts[piece], ids[piece]))
    others = [piece for piece in others if counts[piece] or not piece.startswith("[unused")]
    return sorted(needed | set(others[: most - len(needed)]), key=ids.__getitem__)


def _read(folder: Path) -> tuple[BertEncoder, WordPieceTokenizer]:
    if not (folder / WEIGHTS_FILE).is_file():
        raise UserError(f"{folder} has no {WEIGHTS_FILE} to take the weights of a smaller encoder from")
    parts = load_text(TextSettings(model=str(folder)))
    if not isinstance(parts.encoder, BertEncoder) or not isinstance(parts.tokenizer, WordPieceTokenizer):
        raise UserError(f"{folder} must hold an encoder like BERT and a tokenizer.json of word pieces to be cut down")
    return parts.encoder, parts.tokenizer


def _chosen_layers(layers: int | tuple[int, ...], available: int) -> tuple[int, ...]:
    chosen = tuple(range(layers)) if isinstance(layers, int) else tuple(layers)
    rising = all(before < after for before, after in pairwise(chosen))
    if not chosen or not rising or chosen[0] < 0 or chosen[-1] >= available:
        raise UserError(f"layers must be 1 or more of the source's {available}, rising from 0, not {layers}")
    return chosen


def _cut(
    weights: dict[str, Tensor], ids: Sequence[int], layers: Sequence[int], config: BertSettings
) -> dict[str, Tensor]:
    """The weights of the smaller encoder.

    Args:
        weights: Of the larger one.
        ids: Its ids of the pieces that are kept, in their new order.
        layers: Those that are kept.
        config: Of the smaller one.
    """
    new_number = {old: new for new, old in enumerate(layers)}
    kept = {}
    for name, value in weights.items():
        if name.startswith("encoder.layer."):
            number, rest = name.removeprefix("encoder.layer.").split(".", 1)
            if int(number) in new_number:
                kept[f"encoder.layer.{new_number[int(number)]}.{rest}"] = value
        elif name == "embeddings.word_embeddings.weight":
            kept[name] = value[torch.tensor(ids)]
        elif name == "embeddings.position_embeddings.weight":
            kept[name] = value[: config.max_position_embeddings].clone()
        else:
            kept[name] = value
    return kept
