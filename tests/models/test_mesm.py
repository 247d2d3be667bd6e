import dataclasses

import pytest
import torch
import torch.nn.functional as F
from test_fe2e import make_batch, one
from tiny_mesm import EMOTIONS, make_model
from torch import Tensor, nn

from mme2e.config import AttentionSettings, ModelSettings
from mme2e.data.batch import Batch
from mme2e.errors import UserError
from mme2e.models import MESM, build_model
from mme2e.models.sparse_tower import SiteNorm, SparseStage
from mme2e.models.trace import Trace
from mme2e.ops.sparse_conv2d import SparseMaps
from mme2e.ops.sparse_conv2d.naive import sparse_max_pool2d_naive, submanifold_conv2d_naive
from mme2e.ops.top_p.naive import top_p_naive


def naive_stage(stage: SparseStage, x: Tensor, mask: Tensor, text: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The stage in evaluation, frame by frame on dense maps with a mask, from its description."""
    attention = stage.selection.attention
    kept = torch.zeros_like(mask)
    for frame in range(len(x)):
        sites = mask[frame].nonzero()
        features = x[frame][:, sites[:, 0], sites[:, 1]].t()
        scores = attention.score(torch.tanh(attention.features(features) + attention.text(text[frame])))
        weights = scores.squeeze(1).softmax(dim=0)
        chosen = sites[top_p_naive(weights, torch.tensor([0, len(weights)]), top_p)]
        kept[frame, chosen[:, 0], chosen[:, 1]] = True
    for weight, norm in ((stage.conv1.weight, stage.norm1), (stage.conv2.weight, stage.norm2)):
        x = submanifold_conv2d_naive(x, kept, weight)
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-4).relu()
    return sparse_max_pool2d_naive(x, kept)


@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.8, 1.0])
def test_a_stage_is_its_definition(top_p: float) -> None:
    torch.manual_seed(1)
    frozen = ModelSettings(name="mesm", top_p=top_p, attention=AttentionSettings(mode="frozen"))
    stage = SparseStage(3, 5, 6, frozen).eval().double()
    stage.selection.attention.score.weight.data *= 8  # weights far from equal
    for norm in (stage.norm1, stage.norm2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    x, mask = torch.randn(4, 3, 6, 8, dtype=torch.float64), torch.rand(4, 6, 8) < 0.7
    text = torch.randn(4, 6, dtype=torch.float64)
    with torch.no_grad():
        result = stage(SparseMaps.from_dense(x, mask), text)
        truth, truth_mask = naive_stage(stage, x, mask, text, top_p)
    torch.testing.assert_close(result.to_dense(), truth)
    assert torch.equal(result.sites.positions, truth_mask.reshape(-1).nonzero().squeeze(1))


@pytest.mark.parametrize("modalities", ["ta", "tv", "tav"])
def test_frozen_attention_gets_no_gradient_and_all_else_does(modalities: str) -> None:
    model = make_model(modalities, mode="frozen")
    logits = model(make_batch())
    assert logits.shape == (3, EMOTIONS)
    logits.square().sum().backward()
    unreached = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert all(".attention." in name for name in unreached)
    assert len(unreached) == 3 * 5 * (len(modalities) - 1)


def test_the_words_decide_where_to_look() -> None:
    model, batch = make_model("tv", top_p=0.2).train(), make_batch()
    other = dataclasses.replace(batch, tokens=dataclasses.replace(batch.tokens, values=(batch.tokens.values + 7) % 30))
    selection = model.visual.tower.stages[0].selection
    selection.attention.text.weight.data *= 30
    traces = [Trace(), Trace()]
    model(batch, traces[0])
    model(other, traces[1])
    looks = [trace.of(selection)[0].attention for trace in traces]
    assert not torch.allclose(looks[0], looks[1])


@pytest.mark.parametrize("mode", ["frozen", "importance", "gate", "straight_through"])
def test_a_trace_has_what_the_pass_selected_and_changes_nothing(mode: str) -> None:
    model, batch, trace = make_model("tav", mode=mode), make_batch(), Trace()
    model(batch)  # running averages that let something through
    logits = model(batch, trace)
    logits.sum().backward()
    for stage in model.stages.values():
        (selected,) = trace.of(stage.selection)
        assert not selected.attention.requires_grad
        assert torch.isin(selected.kept.positions, selected.candidates.positions).all()
        keep = top_p_naive(selected.attention, selected.candidates.frame_offsets, selected.top_p)
        assert torch.equal(selected.kept.positions, selected.candidates.positions[keep])
    gradients = [parameter.grad for parameter in model.parameters()]
    again = make_model("tav", mode=mode)
    again(batch)
    assert torch.equal(logits, again(batch))
    assert any(gradient is not None for gradient in gradients)


def test_a_trace_of_a_model_that_selects_nothing_is_empty() -> None:
    model, trace = make_model(name="fe2e"), Trace()
    model(make_batch(), trace)
    assert all(not trace.of(module) for module in model.modules())


def test_an_utterance_alone_is_as_in_a_batch() -> None:
    model, batch = make_model(), make_batch()
    for _ in range(3):  # running averages that let something through
        model(batch)
    model.eval()
    with torch.no_grad():
        together = model(batch)
        alone = torch.cat([model(one(batch, row)) for row in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_an_utterance_without_frames_or_chunks() -> None:
    model = make_model().eval()
    with torch.no_grad():
        logits = model(make_batch(frames=(2, 0, 3), chunks=(0, 3, 2)))
        nothing = model(make_batch(frames=(0, 0, 0), chunks=(0, 0, 0)))
    assert logits.isfinite().all()
    assert nothing.isfinite().all()


def test_a_batch_without_words_is_refused() -> None:
    batch = dataclasses.replace(make_batch(), tokens=None)
    with pytest.raises(UserError, match="selects the sites of faces and audio by the text"):
        make_model()(batch)


@pytest.mark.parametrize("modalities", ["t", "a", "v", "av"])
def test_settings_without_words_or_maps_are_refused(modalities: str) -> None:
    with pytest.raises(UserError, match=f"model.modalities must include .*, not '{modalities}'"):
        ModelSettings(name="mesm", modalities=modalities)


@pytest.mark.parametrize("top_p", [0.0, 1.5])
def test_p_outside_its_range_is_refused(top_p: float) -> None:
    with pytest.raises(UserError, match="top_p"):
        ModelSettings(name="mesm", top_p=top_p)


def test_without_a_text_encoder() -> None:
    with pytest.raises(ValueError, match="text encoder"):
        build_model(ModelSettings(name="mesm"), num_emotions=2)


def test_a_single_site_in_training_is_normalised_to_the_bias() -> None:
    norm = SiteNorm(3)
    nn.init.normal_(norm.bias)
    torch.testing.assert_close(norm.normalise_relu(torch.randn(1, 3)), norm.bias[None].detach().relu())
    assert norm.normalise_relu(torch.randn(0, 3)).shape == (0, 3)


def test_in_mixed_precision() -> None:
    model, batch = make_model(), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch)
    logits.square().sum().backward()
    assert logits.dtype == torch.float32
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert model.eval()(batch).isfinite().all()


def test_other_words_ask_in_training_only() -> None:
    model = make_model(other_words=1.0)
    text = torch.arange(5.0).unsqueeze(1).expand(5, 6)
    query = model.train()._conditioned_on(text)
    assert (query[:, 0] != text[:, 0]).all()
    assert sorted(query[:, 0].tolist()) == text[:, 0].tolist()
    assert torch.equal(model._conditioned_on(text[:1]), text[:1])  # there are no other words
    assert torch.equal(model.eval()._conditioned_on(text), text)


def test_other_words_ask_as_often_as_they_shall() -> None:
    torch.manual_seed(0)
    text = torch.arange(1000.0).unsqueeze(1).expand(1000, 6)
    for share in (0.0, 0.3):
        query = make_model(other_words=share).train()._conditioned_on(text)
        assert (query != text)[:, 0].float().mean().item() == pytest.approx(share, abs=0.05)


def test_with_other_words_gradients_still_reach_attention_and_text() -> None:
    model = make_model(other_words=1.0).train()
    outputs = model.modality_outputs(make_batch())
    outputs.values[:, 1:].square().sum().backward()  # what faces and sound say
    asking = model.visual.tower.stages[0].selection.attention.text.weight
    for weight in (asking, model.text.encoder.get_input_embeddings().weight):
        assert weight.grad.abs().sum() > 0


def as_dense(model: MESM) -> tuple[nn.Module, dict[str, str]]:
    """FE2E with the weights of a MESM, and what its weights are called there."""
    dense = make_model(name="fe2e").double()
    names = {
        name: name.replace(".norm", ".bn") if ".stages." in name else name
        for name, _ in model.named_parameters()
        if ".selection." not in name
    }
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in names:
                there = dense.get_parameter(names[name])
                there.copy_(of_shape(weight, there))
    return dense, names


def of_shape(kernel: Tensor, like: Tensor) -> Tensor:
    """A sparse kernel (9, out, in) as a dense one (out, in, 3, 3)."""
    return kernel if kernel.shape == like.shape else kernel.permute(1, 2, 0).reshape(like.shape)


def test_where_all_is_kept_and_attention_is_frozen_it_is_fe2e() -> None:
    model = make_model(top_p=1.0, mode="frozen").double().train()
    for norm in model.modules():
        if isinstance(norm, SiteNorm):
            norm.eps = 1e-5  # that of the dense layers
    dense, names = as_dense(model)
    batch = make_batch()
    logits, truth = model(batch), dense.train()(batch)
    torch.testing.assert_close(logits, truth)
    logits.square().sum().backward()
    truth.square().sum().backward()
    for mine, theirs in names.items():
        wanted = dense.get_parameter(theirs).grad
        torch.testing.assert_close(of_shape(model.get_parameter(mine).grad, wanted), wanted)


def with_no_text_query(modalities: str = "tav") -> MESM:
    torch.manual_seed(0)
    model = make_model(modalities, no_text_query=True)
    for branch in (model.visual, model.acoustic):
        if branch is not None:
            branch.no_text.data.normal_()
    return model.eval()


def test_with_a_query_for_missing_text_faces_and_audio_answer_alone() -> None:
    model, batch = with_no_text_query(), make_batch()
    silent = dataclasses.replace(batch, tokens=None)
    hidden = batch.hidden("t", torch.ones(3, dtype=torch.bool))
    torch.testing.assert_close(model(silent), model(hidden))
    outputs = model.modality_outputs(silent)
    assert outputs.present.tolist() == [[False, True, True]] * 3


def test_the_query_is_for_those_without_text_only() -> None:
    model, batch = with_no_text_query(), make_batch()
    some = batch.hidden("t", torch.tensor([False, True, False]))
    whole, none = model.modality_outputs(batch).values, model.modality_outputs(replace_tokens(batch)).values
    mixed = model.modality_outputs(some).values[:, 1:]
    torch.testing.assert_close(mixed[[0, 2]], whole[[0, 2], 1:])
    torch.testing.assert_close(mixed[1], none[1, 1:])
    assert not torch.allclose(whole[1, 1:], none[1, 1:])


def replace_tokens(batch: Batch) -> Batch:
    return dataclasses.replace(batch, tokens=None)


def test_the_query_learns() -> None:
    model = with_no_text_query().train()
    model(replace_tokens(make_batch())).square().sum().backward()
    assert all(branch.no_text.grad.abs().sum() > 0 for branch in (model.visual, model.acoustic))


@pytest.mark.parametrize("modalities", ["a", "v", "av"])
def test_with_the_query_mesm_needs_no_text_branch(modalities: str) -> None:
    attention = AttentionSettings(no_text_query=True)
    settings = ModelSettings(
        name="mesm", modalities=modalities, attention=attention, tower_channels=(4, 4, 4, 4), tower_dim=8
    )
    model = build_model(settings, num_emotions=2).eval()
    assert model(make_batch()).shape == (3, 2)
    assert settings.required_modalities == ""
    with pytest.raises(UserError, match="selects by the text"):
        ModelSettings(name="mesm", modalities=modalities)


def test_the_audio_tower_may_be_narrower() -> None:
    attention = AttentionSettings(no_text_query=True)
    for name in ("fe2e", "mesm"):
        settings = ModelSettings(
            name=name,  # type: ignore[arg-type]
            modalities="av",
            attention=attention,
            tower_channels=(6, 6, 6, 6),
            audio_channels=(2, 3, 4, 5),
            tower_dim=8,
        )
        model = build_model(settings, num_emotions=2).eval()
        assert model(make_batch()).shape == (3, 2)
        assert model.acoustic.tower.low_level.conv.out_channels == 2
        assert model.visual.tower.low_level.conv.out_channels == 6
