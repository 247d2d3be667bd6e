"""The encoder against transformers' BertModel, at odd sizes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoConfig, BertConfig, BertModel

from mme2e.errors import UserError
from mme2e.text import BertEncoder, BertSettings

SIZES = {
    "vocab_size": 37, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 17,
    "max_position_embeddings": 11, "layer_norm_eps": 1e-6, "initializer_range": 0.5,
}  # fmt: skip


def make_pair(**changes: Any) -> tuple[BertEncoder, BertModel]:
    """Ours and theirs with the same weights, without dropout."""
    torch.manual_seed(0)
    sizes = SIZES | changes
    theirs = BertModel(BertConfig(**sizes), add_pooling_layer=False).eval()
    ours = BertEncoder(BertSettings(**sizes)).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def ragged(lengths: tuple[int, ...], longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(1, SIZES["vocab_size"], (len(lengths), longest), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    return ids * mask, mask


@pytest.mark.parametrize("lengths", [(1,), (7,), (11,), (3, 1, 5), (5, 5), (11, 2)])
@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu"])
def test_outputs_and_gradients_are_those_of_transformers(lengths: tuple[int, ...], act: str) -> None:
    ours, theirs = make_pair(hidden_act=act)
    ids, mask = ragged(lengths, max(lengths))
    outputs = [model(input_ids=ids, attention_mask=mask).last_hidden_state for model in (ours, theirs)]
    assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)
    upstream = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(2))
    for output in outputs:
        (output * upstream * mask.unsqueeze(2)).sum().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        gradient = expected[name].grad
        assert gradient is not None
        assert_close(parameter.grad, gradient, rtol=1e-5, atol=1e-5 * float(1 + gradient.abs().max()))


def test_padding_does_not_reach_the_tokens() -> None:
    ours, _ = make_pair()
    ids, mask = ragged((4, 2), 9)
    together = ours(ids, mask).last_hidden_state
    for row, length in enumerate((4, 2)):
        assert_close(together[row, :length], ours(ids[row : row + 1, :length]).last_hidden_state[0], rtol=0, atol=1e-5)


def test_dropout_is_that_of_the_configuration() -> None:
    ids, mask = ragged((4, 7), 7)
    with_none, _ = make_pair(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    assert torch.equal(with_none.train()(ids, mask).last_hidden_state, with_none(ids, mask).last_hidden_state)
    for kind in ({"hidden_dropout_prob": 0.0}, {"attention_probs_dropout_prob": 0.0}):
        ours, _ = make_pair(**kind)
        assert not torch.equal(ours.train()(ids, mask).last_hidden_state, ours(ids, mask).last_hidden_state)
        assert torch.equal(ours.eval()(ids, mask).last_hidden_state, ours(ids, mask).last_hidden_state)


def test_random_weights_are_drawn_as_bert_s() -> None:
    torch.manual_seed(0)
    encoder = BertEncoder(BertSettings(vocab_size=200, hidden_size=64, num_hidden_layers=1, intermediate_size=64,
                                       num_attention_heads=4, initializer_range=0.5))  # fmt: skip
    table = encoder.embeddings.word_embeddings.weight
    assert not table[0].any()
    assert float(table[1:].detach().std()) == pytest.approx(0.5, rel=0.05)
    state = encoder.state_dict()
    assert all(not state[name].any() for name in state if name.endswith("bias"))
    assert all(bool((state[name] == 1).all()) for name in state if name.endswith("LayerNorm.weight"))


def test_more_tokens_than_positions() -> None:
    ours, _ = make_pair()
    with pytest.raises(UserError, match="a text has 12 tokens, the text encoder has positions for 11"):
        ours(torch.ones(1, 12, dtype=torch.int64))


def test_the_configuration_is_bert_s(tmp_path: Path) -> None:
    settings = BertSettings(**SIZES, pad_token_id=None)
    settings.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert BertSettings.describes(content)
    assert BertSettings.of(content, name="config.json") == settings
    theirs = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(theirs, BertConfig)
    assert {name: getattr(theirs, name) for name in SIZES} == SIZES
    theirs.save_pretrained(tmp_path)
    assert BertSettings.of(json.loads((tmp_path / "config.json").read_text()), name="config.json") == settings


def test_empty_layers_are_the_embeddings_alone() -> None:
    ours, _ = make_pair(num_hidden_layers=0)
    ids, _ = ragged((3,), 3)
    assert torch.equal(ours(ids).last_hidden_state, ours.embeddings(ids))
