import json
import logging
import time
import urllib.error
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import AlbertConfig, AlbertModel, BertConfig, DistilBertConfig, GPT2Config, T5Config

from mme2e.config import TextSettings
from mme2e.errors import UserError
from mme2e.text import (
    BertEncoder,
    BertSettings,
    WordPieceTokenizer,
    build_encoder,
    hugging_face,
    load_config,
    load_text,
    load_tokenizer,
    require_match,
    train_tokenizer,
)

TEXTS = ["I am so happy today!", "That is AWFUL, I hate it.", "It's nothing.", "so happy, so happy", ""]
TINY = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 50}


def scratch(**changes: int) -> TextSettings:
    return TextSettings(model="scratch", **({"hidden_dim": 8, "num_heads": 2, "num_layers": 1} | changes))


def albert_folder(folder: Path) -> AlbertModel:
    model = AlbertModel(AlbertConfig(embedding_size=4, **TINY))
    model.save_pretrained(folder)
    return model


def test_scratch_trains_a_tokenizer_and_an_encoder_that_fit() -> None:
    parts = load_text(scratch(vocab_size=60), texts=TEXTS)
    ids = torch.tensor([parts.tokenizer(text)["input_ids"] for text in ("so happy", "happy so")])
    out = parts.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert out.shape == (2, ids.shape[1], 8)
    assert parts.encoder.config.vocab_size == len(parts.tokenizer)
    assert not [name for name, _ in parts.encoder.named_parameters() if "pooler" in name]


def test_scratch_tokens() -> None:
    tokenizer = train_tokenizer(TEXTS, vocab_size=60)
    ids = tokenizer("So HAPPY")["input_ids"]
    assert ids == tokenizer("so happy")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "so", "happy", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens(tokenizer("ж")["input_ids"]) == ["[CLS]", "[UNK]", "[SEP]"]
    assert tokenizer.pad_token_id == 0
    assert tokenizer.decode(tokenizer("nothing hateful")["input_ids"], skip_special_tokens=True).startswith("nothing")
    assert tokenizer("happy " * 50, truncation=True, max_length=7)["input_ids"][-1] == tokenizer.sep_token_id


def test_the_same_texts_give_the_same_tokenizer() -> None:
    first, second = (train_tokenizer(TEXTS, vocab_size=45).get_vocab() for _ in range(2))
    assert first == second


def test_longer_texts_than_usual_fit_into_scratch() -> None:
    encoder = load_text(scratch(max_length=600), texts=TEXTS).encoder
    assert encoder(input_ids=torch.zeros(1, 600, dtype=torch.int64)).last_hidden_state.shape == (1, 600, 8)


@pytest.mark.parametrize("texts", [None, [], ["", "  "]])
def test_scratch_without_texts(texts: list[str] | None) -> None:
    with pytest.raises(UserError, match="makes its vocabulary from training texts; there is none"):
        load_text(scratch(), texts=texts)


def test_folder_with_weights_and_tokenizer(tmp_path: Path) -> None:
    model = albert_folder(tmp_path)
    train_tokenizer(TEXTS, vocab_size=40).save_pretrained(tmp_path)
    parts = load_text(TextSettings(model=str(tmp_path)))
    assert parts.tokenizer("so happy")["input_ids"] == train_tokenizer(TEXTS, vocab_size=40)("so happy")["input_ids"]
    wanted = {name: tensor for name, tensor in model.state_dict().items() if "pooler" not in name}
    state = parts.encoder.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


def test_folder_without_weights_starts_at_random_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    AlbertConfig(embedding_size=4, **TINY).save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        parts = load_text(TextSettings(model=str(tmp_path)))
    assert "starts at random" in caplog.text
    assert parts.tokenizer is None
    assert parts.encoder.config.hidden_size == 8


def test_folder_without_configuration(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it has no config.json; .*--model.text.model scratch"):
        load_text(TextSettings(model=str(tmp_path)))
    with pytest.raises(UserError, match=r"it has no config.json$"):
        load_config(tmp_path)  # not only training asks


@pytest.mark.parametrize("content", ["{", "{}", '{"model_type": "nonsense"}', "[1]"])
def test_folder_with_a_damaged_configuration(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json describes no text encoder"):
        load_text(TextSettings(model=str(tmp_path)))


def test_folder_with_damaged_weights(tmp_path: Path) -> None:
    albert_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"weights in .* cannot be read"):
        load_text(TextSettings(model=str(tmp_path)))


def test_folder_with_a_damaged_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("nonsense")
    with pytest.raises(UserError, match=r"tokenizer files in .* cannot be read"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("config", [T5Config(), GPT2Config.from_dict({"model_type": "gpt2"}, is_encoder_decoder=True)])
def test_what_is_no_encoder(config: Any) -> None:
    with pytest.raises(UserError, match="is not a text encoder"):
        build_encoder(config)


@pytest.mark.parametrize(
    "config",
    [BertConfig(**TINY), DistilBertConfig(dim=8, hidden_dim=8, n_layers=1, n_heads=2, vocab_size=40)],
    ids=["has a pooler", "never had one"],
)
def test_encoders_are_built_without_a_pooler(config: Any) -> None:
    encoder = build_encoder(config)
    ids = torch.zeros(1, 3, dtype=torch.int64)
    encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0].square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def no_answer(*_: Any, **__: Any) -> None:
    raise urllib.error.URLError("no route to host")


@pytest.mark.parametrize("name", ["albert/no-such-model", "no such name", "./missing/folder"])
def test_without_network_an_unknown_name_fails_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugging_face.urllib.request, "urlopen", no_answer)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"cannot be reached .*--model.text.model scratch") as caught:
        load_text(TextSettings(model=name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 20  # the Hub's client alone retries for longer


def test_in_offline_mode_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hugging_face.urllib.request, "urlopen", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        load_text(TextSettings(model="albert/no-such-model"))


def test_a_name_that_the_hub_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any, **__: Any) -> None:
        raise urllib.error.HTTPError("https://hub", 403, "forbidden", Message(), None)

    def knows_nothing(_: str, **__: Any) -> None:
        raise OSError("albert/no-such-model is not a valid model identifier\nlong advice")

    monkeypatch.setattr(hugging_face.urllib.request, "urlopen", refuses)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", knows_nothing)
    with pytest.raises(UserError, match=r"no text encoder 'albert/no-such-model': .*not a valid model identifier$"):
        load_config("albert/no-such-model")


def test_a_name_in_the_cache_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    albert_folder(tmp_path)
    train_tokenizer(TEXTS, vocab_size=40).save_pretrained(tmp_path)
    monkeypatch.setattr(hugging_face.urllib.request, "urlopen", lambda *_, **__: pytest.fail("asked"))
    for auto in ("AutoConfig", "AutoModel", "AutoTokenizer"):
        original = getattr(transformers, auto).from_pretrained

        def cached(name: str, original: Any = original, **options: Any) -> Any:
            assert (name, options["local_files_only"], options["trust_remote_code"]) == ("cached/model", True, False)
            return original(tmp_path, **options)

        monkeypatch.setattr(transformers, auto, SimpleNamespace(from_pretrained=cached))
    parts = load_text(TextSettings(model="cached/model"))
    assert parts.encoder.config.hidden_size == 8
    assert len(parts.tokenizer) == len(train_tokenizer(TEXTS, vocab_size=40))


def bert_folder(folder: Path, *, vocab_size: int = 50, pooler: bool = False) -> transformers.BertModel:
    torch.manual_seed(0)
    model = transformers.BertModel(BertConfig(**(TINY | {"vocab_size": vocab_size})), add_pooling_layer=pooler).eval()
    model.save_pretrained(folder)
    return model


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_of_bert_is_read_without_transformers(tmp_path: Path) -> None:
    theirs = bert_folder(tmp_path)
    tokenizer = train_tokenizer(TEXTS, vocab_size=40)
    tokenizer.save_pretrained(tmp_path)
    parts = load_text(TextSettings(model=str(tmp_path)))
    assert isinstance(parts.encoder, BertEncoder)
    assert isinstance(parts.tokenizer, WordPieceTokenizer)
    ids = torch.tensor([parts.tokenizer("so happy")["input_ids"]])
    assert_close(parts.encoder.eval()(ids).last_hidden_state, theirs(ids).last_hidden_state, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooler", [True, False])
def test_weights_of_a_model_for_a_task(tmp_path: Path, pooler: bool) -> None:
    theirs = bert_folder(tmp_path, pooler=pooler)
    weights = {
        f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in load_file(tmp_path / "model.safetensors").items()
    }
    extra = {"cls.predictions.bias": torch.zeros(50), "bert.embeddings.position_ids": torch.arange(512)}
    save_file(weights | extra, tmp_path / "model.safetensors")
    ours = load_text(TextSettings(model=str(tmp_path))).encoder
    assert isinstance(ours, BertEncoder)
    expected = theirs.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())


def test_weights_of_half_precision_become_float32(tmp_path: Path) -> None:
    bert_folder(tmp_path).half().save_pretrained(tmp_path)
    assert {value.dtype for value in load_text(TextSettings(model=str(tmp_path))).encoder.parameters()} == {
        torch.float32
    }


def test_weights_that_do_not_fit_the_configuration(tmp_path: Path) -> None:
    bert_folder(tmp_path)
    edit(tmp_path / "config.json", intermediate_size=9)
    with pytest.raises(
        UserError, match=r"model.safetensors does not fit config.json: size mismatch for encoder\.layer"
    ):
        load_text(TextSettings(model=str(tmp_path)))
    edit(tmp_path / "config.json", intermediate_size=8, num_hidden_layers=2)
    with pytest.raises(UserError, match=r"does not fit config.json: Missing key.*encoder\.layer\.1") as caught:
        load_text(TextSettings(model=str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_damaged_weights_of_bert(tmp_path: Path) -> None:
    bert_folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"weights in .* cannot be read"):
        load_text(TextSettings(model=str(tmp_path)))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"hidden_size": "x"}, "hidden_size"),
        ({"hidden_size": 7}, "hidden_size 7 is not a multiple of num_attention_heads 2"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, not 0"),
        ({"pad_token_id": 50}, "pad_token_id must be in the vocabulary of 50, not 50"),
    ],
)
def test_impossible_sizes_of_bert(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    BertSettings(**TINY).save_pretrained(tmp_path)
    edit(tmp_path / "config.json", **changes)
    with pytest.raises(UserError, match=rf"config.json describes no text encoder: .*{fault}"):
        load_config(tmp_path)


@pytest.mark.parametrize("changes", [{"is_decoder": True}, {"hidden_act": "silu"}, {"model_type": "roberta"}])
def test_other_networks_are_left_to_transformers(tmp_path: Path, changes: dict[str, Any]) -> None:
    BertSettings(**TINY).save_pretrained(tmp_path)
    edit(tmp_path / "config.json", **changes)
    assert isinstance(load_config(tmp_path), transformers.PretrainedConfig)


def test_a_tokenizer_with_more_tokens_than_the_encoder(tmp_path: Path) -> None:
    bert_folder(tmp_path, vocab_size=30)
    train_tokenizer(TEXTS, vocab_size=40).save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match="the tokenizer does not fit the text encoder: it has 43 tokens, the encoder kno"
    ):
        load_text(TextSettings(model=str(tmp_path)))
    require_match(None, BertSettings(vocab_size=1), "nothing")


def test_a_tokenizer_of_word_pieces_that_only_transformers_understands(tmp_path: Path) -> None:
    bert_folder(tmp_path)
    train_tokenizer(TEXTS, vocab_size=40).save_pretrained(tmp_path)
    edit(tmp_path / "tokenizer_config.json", tokenizer_class="BertTokenizer", do_lower_case=False)
    assert not isinstance(load_tokenizer(tmp_path), WordPieceTokenizer)
    edit(tmp_path / "tokenizer_config.json", do_lower_case=True)
    assert isinstance(load_tokenizer(tmp_path), WordPieceTokenizer)
