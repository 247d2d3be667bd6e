import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import AutoModel, AutoTokenizer

from mme2e.config import TextSettings
from mme2e.errors import UserError
from mme2e.starter.encoder import cut_encoder, frequent_pieces
from mme2e.text import BertEncoder, BertSettings, load_text, load_tokenizer, train_tokenizer

LEARNED = ["joyful people played wonderful games", "sadness; grief, anger!", "played gamesome peopled wonder"] * 3
READ = ["People played games!", "games, games and wonder", "anger é"]
SIZES = {"hidden_size": 12, "num_hidden_layers": 4, "num_attention_heads": 3, "intermediate_size": 10}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights whose vocabulary has whole words."""
    folder = tmp_path_factory.mktemp("source")
    tokenizer = train_tokenizer(LEARNED, vocab_size=300)
    tokenizer.save_pretrained(folder)
    settings = BertSettings(vocab_size=len(tokenizer) + 3, max_position_embeddings=20, **SIZES)
    settings.save_pretrained(folder)
    torch.manual_seed(0)
    save_file(BertEncoder(settings).state_dict(), folder / "model.safetensors")
    return folder


def cut(source: Path, out: Path, **changes: object) -> Path:
    cut_encoder(source, out, **({"texts": READ, "layers": 2, "vocabulary": 62} | changes))  # type: ignore[arg-type]
    return out


def test_texts_of_kept_pieces_have_the_same_tokens(source: Path, tmp_path: Path) -> None:
    before, after = load_tokenizer(source), load_tokenizer(cut(source, tmp_path / "new"))
    assert len(after) == 62 < len(before)
    for text in READ:
        names = [tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) for tokenizer in (before, after)]
        assert names[0] == names[1]
    assert {"played", "games", "people", "wonder", "anger"} <= after.get_vocab().keys()


def test_a_word_that_is_dropped_falls_apart(source: Path, tmp_path: Path) -> None:
    before, after = load_tokenizer(source), load_tokenizer(cut(source, tmp_path / "new"))
    assert "gamesome" in before.get_vocab()
    assert "gamesome" not in after.get_vocab()
    tokens = after.convert_ids_to_tokens(after("gamesome")["input_ids"])
    assert len(tokens) > 3
    assert "".join(token.removeprefix("##") for token in tokens[1:-1]) == "gamesome"
    assert after.convert_ids_to_tokens(after("é")["input_ids"]) == before.convert_ids_to_tokens(
        before("é")["input_ids"]
    )


def test_rows_layers_and_positions_are_taken_over(source: Path, tmp_path: Path) -> None:
    out = cut(source, tmp_path / "new", layers=(0, 3), positions=9)
    old, new = load_file(source / "model.safetensors"), load_file(out / "model.safetensors")
    vocabularies = load_tokenizer(source).get_vocab(), load_tokenizer(out).get_vocab()
    table, smaller = (weights["embeddings.word_embeddings.weight"] for weights in (old, new))
    assert smaller.shape == (62, 12)
    assert all(torch.equal(smaller[row], table[vocabularies[0][piece]]) for piece, row in vocabularies[1].items())
    assert torch.equal(new["embeddings.position_embeddings.weight"], old["embeddings.position_embeddings.weight"][:9])
    for name, value in new.items():
        if name.startswith("encoder.layer.1."):
            assert torch.equal(value, old[name.replace("layer.1.", "layer.3.")])
        elif "word" not in name and "position" not in name:
            assert torch.equal(value, old[name])
    config = json.loads((out / "config.json").read_text())
    assert (config["vocab_size"], config["num_hidden_layers"], config["max_position_embeddings"]) == (62, 2, 9)


def test_with_all_layers_the_vectors_are_the_same(source: Path, tmp_path: Path) -> None:
    large = load_text(TextSettings(model=str(source)))
    small = load_text(TextSettings(model=str(cut(source, tmp_path / "new", layers=4))))
    for text in READ:
        vectors = [
            parts.encoder.eval()(torch.tensor([parts.tokenizer(text)["input_ids"]])).last_hidden_state
            for parts in (large, small)
        ]
        assert_close(vectors[0], vectors[1], rtol=0, atol=1e-6)


def test_transformers_reads_it_too(source: Path, tmp_path: Path) -> None:
    out = cut(source, tmp_path / "new")
    ours = load_text(TextSettings(model=str(out)))
    ids = AutoTokenizer.from_pretrained(out)(READ[0], return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == ours.tokenizer(READ[0])["input_ids"]
    theirs = AutoModel.from_pretrained(out, add_pooling_layer=False).eval()
    assert_close(ours.encoder.eval()(ids).last_hidden_state, theirs(ids).last_hidden_state, rtol=0, atol=1e-5)


def test_the_most_frequent_pieces_come_first_then_the_source_s_first(source: Path) -> None:
    tokenizer = load_tokenizer(source)
    ids = tokenizer.get_vocab()
    needed = set(frequent_pieces(tokenizer, [], 58))
    least = next(size for size in range(1, 200) if _fits(tokenizer, [], size))
    first = set(frequent_pieces(tokenizer, [], least))
    assert {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "!"} <= first
    rest = sorted((piece for piece in ids if piece not in first), key=ids.__getitem__)
    assert needed == first | set(rest[: 58 - least])
    with_words = frequent_pieces(tokenizer, ["games games people"], least + 1)
    assert set(with_words) - first == {"games"}
    assert with_words == sorted(with_words, key=ids.__getitem__)


def _fits(tokenizer: object, texts: list[str], size: int) -> bool:
    try:
        return bool(frequent_pieces(tokenizer, texts, size))  # type: ignore[arg-type]
    except UserError:
        return False


def test_more_pieces_than_there_are_changes_nothing(source: Path, tmp_path: Path) -> None:
    out = cut(source, tmp_path / "new", vocabulary=10_000)
    assert load_tokenizer(out).get_vocab() == load_tokenizer(source).get_vocab()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"layers": 0}, "layers must be 1 or more of the source's 4, rising from 0, not 0"),
        ({"layers": 5}, "not 5"),
        ({"layers": (1, 1)}, r"not \(1, 1\)"),
        ({"layers": (-1, 2)}, "layers must be"),
        ({"vocabulary": 9}, "a vocabulary of 9 is too small: the special tokens and the characters of the texts are"),
        ({"positions": 21}, "positions must be from 1 to the source's 20, not 21"),
        ({"positions": 0}, "positions must be"),
    ],
)
def test_what_cannot_be_cut(source: Path, tmp_path: Path, changes: dict[str, object], fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        cut(source, tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


def test_sources_that_are_none(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is the source"):
        cut(source, source)
    with pytest.raises(UserError, match=r"has no model\.safetensors"):
        cut(tmp_path, tmp_path / "new")
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for path in tmp_path.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(UserError, match=r"must hold an encoder like BERT and a tokenizer\.json of word pieces"):
        cut(tmp_path, tmp_path / "new")
