import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from mme2e.errors import UserError
from mme2e.text import BertSettings, WordPieceTokenizer, load_tokenizer, train_tokenizer

TEXTS = ["I am so happy today!", "That is AWFUL, I hate it.", "It's nothing.", "so happy, so happy"]
QUESTIONS = ["", "So HAPPY", "naïve — 你好", "happy " * 40, "[MASK] and [UNK]", "\t a\x00b \n"]


def folder_of(folder: Path) -> Path:
    tokenizer = train_tokenizer(TEXTS, vocab_size=60)
    tokenizer.save_pretrained(folder)
    BertSettings(vocab_size=60).save_pretrained(folder)
    return folder


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("longest", [2, 3, 7, 100])
def test_the_tokens_are_those_of_transformers(tmp_path: Path, longest: int) -> None:
    ours, theirs = load_tokenizer(folder_of(tmp_path)), AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(ours, WordPieceTokenizer)
    for text in QUESTIONS:
        cut = {"truncation": True, "max_length": longest}
        assert ours(text, **cut)["input_ids"] == theirs(text, **cut)["input_ids"]
        whole = ours(text, truncation=False, verbose=False)["input_ids"]
        assert whole == theirs(text, truncation=False, verbose=False)["input_ids"]
    assert (len(ours), ours.get_vocab()) == (len(theirs), theirs.get_vocab())
    for name in ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("pad_token_id", "unk_token_id", "cls_token_id", "sep_token_id"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_a_file_of_transformers_gives_the_same(tmp_path: Path) -> None:
    ours = load_tokenizer(folder_of(tmp_path))
    AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert isinstance(again, WordPieceTokenizer)
    assert [again(text) for text in QUESTIONS] == [ours(text) for text in QUESTIONS]


def test_truncation_and_padding_in_the_file_have_no_effect(tmp_path: Path) -> None:
    ours = load_tokenizer(folder_of(tmp_path))
    stored = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    stored.enable_truncation(4)
    stored.enable_padding(length=4)
    stored.save(str(tmp_path / "tokenizer.json"))
    assert [load_tokenizer(tmp_path)(text) for text in QUESTIONS] == [ours(text) for text in QUESTIONS]


def test_it_travels_between_processes() -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=60)
    assert pickle.loads(pickle.dumps(tokenizer))("so sad") == tokenizer("so sad")


def test_special_tokens_may_have_other_names(tmp_path: Path) -> None:
    text = (folder_of(tmp_path) / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text.replace("[UNK]", "<?>").replace("[PAD]", "<pad>"))
    named = {"unk_token": {"content": "<?>", "lstrip": False}, "pad_token": "<pad>"}
    edit(tmp_path / "tokenizer_config.json", **named)
    tokenizer = load_tokenizer(tmp_path)
    assert (tokenizer.unk_token, tokenizer.pad_token) == ("<?>", "<pad>")
    assert tokenizer("ж")["input_ids"][1] == tokenizer.unk_token_id
    (tmp_path / "tokenizer_config.json").unlink()  # as older folders are
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(named))
    assert load_tokenizer(tmp_path).unk_token == "<?>"


@pytest.mark.parametrize("token", ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
def test_a_missing_special_token_is_named(tmp_path: Path, token: str) -> None:
    text = (folder_of(tmp_path) / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text.replace(token, "[other]"))
    with pytest.raises(UserError, match=rf"the tokenizer in {tmp_path} has no token \[{token[1:-1]}\]"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_that_marks_no_ends(tmp_path: Path) -> None:
    edit(folder_of(tmp_path) / "tokenizer.json", post_processor=None)
    with pytest.raises(UserError, match=r"does not put \[CLS\] and \[SEP\] around a text"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", ["nonsense", "[]", '{"model": {"type": "WordPiece"}}'])
def test_a_damaged_file(tmp_path: Path, content: str) -> None:
    (folder_of(tmp_path) / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"tokenizer files in .* cannot be read"):
        load_tokenizer(tmp_path)


def test_another_vocabulary_keeps_all_else() -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=60)
    ids = tokenizer.get_vocab()
    pieces = sorted(ids, key=ids.__getitem__)
    same, turned = tokenizer.with_pieces(pieces), tokenizer.with_pieces([*pieces[5:], *pieces[:5]])
    for text in QUESTIONS:
        assert same(text) == tokenizer(text)
        names = turned.convert_ids_to_tokens(turned(text)["input_ids"])
        assert names == tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
    assert (turned.pad_token_id, len(turned)) == (len(ids) - 5, len(ids))
    with pytest.raises(UserError, match=r"has no token \[SEP\]"):
        tokenizer.with_pieces([piece for piece in pieces if piece != "[SEP]"])
