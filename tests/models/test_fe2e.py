import dataclasses
from itertools import combinations

import pytest
import torch
from torch import nn
from transformers import AlbertConfig

from mme2e.config import ModelSettings, TextSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.models import FE2E, build_model
from mme2e.text import build_encoder

EMOTIONS = 5
SUBSETS = ["".join(letters) for size in (1, 2, 3) for letters in combinations("tav", size)]


def make_model(modalities: str = "tav", **changes: object) -> FE2E:
    torch.manual_seed(0)
    sizes = {"tower_channels": (4, 6, 8, 10), "tower_dim": 16, "trans_dim": 8, "num_heads": 2, "num_layers": 1}
    settings = ModelSettings(modalities=modalities, feedforward_dim=8, dropout=0.0, **(sizes | changes))
    encoder = None
    if "t" in modalities:
        config = AlbertConfig(
            vocab_size=30, embedding_size=4, hidden_size=6, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=8, max_position_embeddings=16,
        )  # fmt: skip
        encoder = build_encoder(config)
    model = build_model(settings, num_emotions=EMOTIONS, text_encoder=encoder)
    with torch.no_grad():  # with their first running averages, the towers let nothing through in evaluation
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.9
        for _ in range(2):
            model(make_batch())
    return model


def make_batch(frames: tuple[int, ...] = (2, 1, 3), chunks: tuple[int, ...] = (1, 3, 2)) -> Batch:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(len(frames), 6, dtype=torch.int64)
    for row in range(len(frames)):
        mask[row, 6 - row :] = 0
    crops = torch.randint(0, 256, (sum(frames), 3, 48, 48), dtype=torch.uint8, generator=generator)
    return Batch(
        face_crops=Ragged(crops, torch.tensor(frames)),
        mel_chunks=Ragged(torch.rand(sum(chunks), 1, 128, 32, generator=generator), torch.tensor(chunks)),
        tokens=Ragged.from_padded(torch.randint(0, 30, (len(frames), 6), generator=generator), mask),
        ids=tuple(f"utterance{row}" for row in range(len(frames))),
    )


def one(batch: Batch, row: int) -> Batch:
    """One utterance of a batch."""
    return batch.select([row])


@pytest.mark.parametrize("modalities", SUBSETS)
def test_any_subset_of_modalities_gives_float32_logits_and_gradients_everywhere(modalities: str) -> None:
    model = make_model(modalities)
    logits = model(make_batch())
    assert logits.shape == (3, EMOTIONS)
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    unreached = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not unreached
    # A bias before a batch normalisation changes nothing, and neither does that of the keys before a softmax.
    idle = ("conv.bias", "conv1.bias", "conv2.bias", "key.bias")
    assert not [name for name, p in model.named_parameters() if not p.grad.any() and not name.endswith(idle)]


def test_an_utterance_alone_gives_the_same_as_in_a_batch() -> None:
    model, batch = make_model().eval(), make_batch()
    together = model(batch)
    for row in range(3):
        torch.testing.assert_close(model(one(batch, row))[0], together[row], rtol=1e-4, atol=1e-5)


def test_an_utterance_with_parts_missing_gives_the_same_alone_as_in_a_batch() -> None:
    model, batch = make_model().eval(), make_batch(frames=(2, 0, 3), chunks=(0, 1, 2))
    together = model(batch)
    assert together.isfinite().all()
    for row in range(3):
        torch.testing.assert_close(model(one(batch, row))[0], together[row], rtol=1e-4, atol=1e-5)


def test_the_fused_logits_are_the_weighted_sum_of_the_branches() -> None:
    model, batch = make_model().eval(), make_batch()
    parts = torch.stack(
        [
            model.text(batch.tokens),
            model.visual(batch.face_crops),
            model.acoustic(batch.mel_chunks),
        ]
    )
    model.fusion.weight.data = torch.tensor([[0.5, -0.2, 0.9]])
    torch.testing.assert_close(model(batch), torch.einsum("mbe,m->be", parts, model.fusion.weight[0]))


def test_the_order_of_the_letters_does_not_matter() -> None:
    batch = make_batch()
    assert torch.equal(make_model("tav").eval()(batch), make_model("vat").eval()(batch))


def test_frames_of_one_utterance_do_not_reach_another() -> None:
    model, batch = make_model("v").eval(), make_batch()
    before = model(batch)
    batch.face_crops.values[0] = 255 - batch.face_crops.values[0]
    after = model(batch)
    assert not torch.allclose(before[0], after[0])
    torch.testing.assert_close(before[1:], after[1:], rtol=1e-4, atol=1e-5)


def test_missing_tensors_are_a_missing_modality() -> None:
    model, batch = make_model().eval(), make_batch()
    without = dataclasses.replace(batch, face_crops=None)
    empty = dataclasses.replace(batch, face_crops=Ragged.join([torch.zeros(0, 3, 48, 48, dtype=torch.uint8)] * 3))
    torch.testing.assert_close(model(without), model(empty))
    text = dataclasses.replace(batch, tokens=None)
    silent = dataclasses.replace(batch, tokens=Ragged.join([torch.zeros(0, dtype=torch.int64)] * 3))
    torch.testing.assert_close(model(text), model(silent))


def test_a_presence_flag_overrules_the_tensors() -> None:
    model, batch = make_model().eval(), make_batch()
    flagged = batch.hidden("a", torch.tensor([False, True, False]))
    before = model(flagged)
    assert not torch.allclose(before[1], model(batch)[1])
    flagged.mel_chunks.values[1:4] += 1
    torch.testing.assert_close(model(flagged), before)


def test_texts_of_no_tokens_at_all() -> None:
    model = make_model().eval()
    batch = make_batch()
    batch = dataclasses.replace(batch, tokens=Ragged.from_padded(torch.zeros(3, 0, dtype=torch.int64)))
    assert model(batch).isfinite().all()


def test_the_mean_over_the_tokens_of_a_text() -> None:
    model, batch = make_model("t", text=TextSettings(pooling="mean")).eval(), make_batch()
    vectors = model.text.encode(batch.tokens)
    for row, ids in enumerate(batch.tokens.split()):  # alone, without padding
        expected = model.text.encoder(input_ids=ids[None]).last_hidden_state[0].mean(0)
        torch.testing.assert_close(vectors[row], expected, rtol=1e-4, atol=1e-5)
    model.text.pooling = "first"
    assert not torch.allclose(model.text.encode(batch.tokens), vectors)


@pytest.mark.parametrize("length", [0, 6], ids=["no text at all", "one without text"])
def test_the_mean_over_no_tokens_is_a_number(length: int) -> None:
    model = make_model(text=TextSettings(pooling="mean"))
    ids, lengths = torch.ones(length, dtype=torch.int64), torch.tensor([length, 0, 0])
    batch = dataclasses.replace(make_batch(), tokens=Ragged(ids, lengths))
    model(batch).square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert model.eval()(batch).isfinite().all()


def test_an_utterance_with_nothing_is_named() -> None:
    batch = make_batch(frames=(2, 0, 1))
    with pytest.raises(UserError, match="utterance utterance1 has none of the modalities"):
        make_model("v")(batch)
    with pytest.raises(UserError, match="utterance number 1 of the batch"):
        make_model("v")(dataclasses.replace(batch, ids=None))


def test_one_frame_and_one_chunk_in_training() -> None:
    model = make_model("av")
    assert model(make_batch(frames=(1,), chunks=(1,))).isfinite().all()


def test_sound_may_come_as_waveforms() -> None:
    model = make_model("a").eval()
    waveforms = torch.randint(-3000, 3000, (16000,), dtype=torch.int16)
    batch = Batch(waveforms=Ragged(waveforms, torch.tensor([10000, 6000])))
    torch.testing.assert_close(model(batch), model(batch.with_mel_chunks()))


def test_float64() -> None:
    model = make_model("av").double().eval()
    assert model(make_batch()).dtype == torch.float64


def test_bfloat16_autocast_gives_float32_logits() -> None:
    model, batch = make_model().eval(), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, model(batch), rtol=0.1, atol=0.05)


def test_text_wants_an_encoder() -> None:
    with pytest.raises(ValueError, match="modalities 'tv' requires a text encoder"):
        build_model(ModelSettings(modalities="tv"), num_emotions=2)


def test_the_paper_s_widths() -> None:
    model = build_model(ModelSettings(modalities="av"), num_emotions=6)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["visual.tower.hidden.weight"] == (1024, 512 * 3 * 3)
    assert shapes["acoustic.tower.hidden.weight"] == (1024, 512 * 8 * 2)
    assert shapes["visual.tower.low_level.conv.weight"] == (64, 3, 5, 5)
    assert shapes["acoustic.sequence.encoder.layers.3.linear1.weight"] == (2048, 64)


@pytest.mark.parametrize("modalities", ["t", "av", "tav"])
def test_early_fusion_classifies_the_features_of_all_branches_together(modalities: str) -> None:
    model = make_model(modalities, fusion="early", feature_dim=7).eval()
    batch = make_batch(frames=(2, 0, 3))
    outputs = model.modality_outputs(batch)
    assert outputs.values.shape == (3, len(modalities), 7)
    logits = model(batch)
    assert logits.shape == (3, EMOTIONS)
    joined = (outputs.values.relu() * outputs.present.unsqueeze(2)).flatten(1)
    torch.testing.assert_close(logits, model.fusion.classifier(joined))
    model.train()(batch).square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_the_fusion_order() -> None:
    assert make_model("vat").fusion_order == "tva"
    assert make_model("a").fusion_order == "a"
