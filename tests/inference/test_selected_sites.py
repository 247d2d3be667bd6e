"""What is told of the stages is what they computed."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_mesm import EMOTIONS, make_tiny, make_utterances

from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.inference.selected_sites import SelectedSites, StageSelection, selected_sites
from mme2e.ops.top_p.naive import top_p_naive

VISUAL_SHAPES = [(24, 24), (12, 12), (6, 6)]
ACOUSTIC_SHAPES = [(64, 16), (32, 8), (16, 4)]


def pooled(kept: np.ndarray) -> np.ndarray:
    """(maps, height, width) bool: sites of the next stage with anything in any of their four."""
    return F.max_pool2d(torch.from_numpy(kept).float()[:, None], 2)[:, 0].numpy() > 0


def assert_consistent(
    stages: tuple[StageSelection, ...], maps: int, shapes: list[tuple[int, int]], top_p: float
) -> None:
    candidates = np.ones((maps, *shapes[0]), dtype=bool)
    for stage, shape in zip(stages, shapes, strict=True):
        assert stage.kept.shape == stage.attention.shape == (maps, *shape)
        assert stage.top_p == top_p
        np.testing.assert_array_equal(stage.candidates, candidates)
        assert not (stage.kept & ~stage.candidates).any()
        assert not stage.attention[~stage.candidates].any()
        np.testing.assert_allclose(stage.attention.sum(axis=(1, 2)), 1, rtol=1e-5)
        for frame in range(maps):
            weights = torch.from_numpy(stage.attention[frame][stage.candidates[frame]])
            kept = top_p_naive(weights, torch.tensor([0, len(weights)]), top_p)
            np.testing.assert_array_equal(stage.kept[frame][stage.candidates[frame]], kept.numpy())
        candidates = pooled(stage.kept)


@pytest.mark.parametrize("top_p", [1e-6, 0.5, 1.0])
def test_sites_are_those_of_top_p_and_each_stage_chooses_from_what_the_last_one_left(top_p: float) -> None:
    sites = selected_sites(make_tiny(top_p=top_p), make_utterances((2, 1), (1, 3)))
    assert sites.visual is not None
    assert sites.acoustic is not None
    assert_consistent(sites.visual, 3, VISUAL_SHAPES, top_p)
    assert_consistent(sites.acoustic, 4, ACOUSTIC_SHAPES, top_p)
    shares = [stage.kept_share for stage in sites.visual]
    if top_p == 1:
        assert shares == [1, 1, 1]
    elif top_p < 0.1:
        assert shares == pytest.approx([1 / 576, 1 / 144, 1 / 36])


def test_the_logits_are_the_models_own() -> None:
    model, batch = make_tiny(), make_utterances((2, 1), (1, 3))
    sites = selected_sites(model, batch)
    with torch.no_grad():
        assert torch.equal(sites.logits, model(batch))
    assert sites.logits.shape == (2, EMOTIONS)


def test_a_batch_without_words_is_refused() -> None:
    model = make_tiny()
    batch = dataclasses.replace(make_utterances((1,), (1,)), tokens=None)
    with pytest.raises(UserError, match="selects the sites of faces and audio by the text"):
        selected_sites(model, batch)


def test_eight_threads_each_get_the_sites_of_their_own_batch() -> None:
    """In one model; a batch of several groups of maps, so that the passes of the threads mix."""
    model, begun = make_tiny(), Barrier(8)
    shapes = [((frames, 40), (2, chunks)) for frames, chunks in zip(range(30, 38), range(8), strict=True)]
    alone = [selected_sites(model, make_utterances(*shape)) for shape in shapes]

    def select(shape: tuple[tuple[int, int], tuple[int, int]]) -> list[SelectedSites]:
        batch = make_utterances(*shape)
        begun.wait()
        return [selected_sites(model, batch) for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        for wanted, found in zip(alone, pool.map(select, shapes), strict=True):
            for each in found:
                assert_same(each, wanted)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def assert_same(one: SelectedSites, other: SelectedSites) -> None:
    assert torch.equal(one.logits, other.logits)
    for stages, others in ((one.visual, other.visual), (one.acoustic, other.acoustic)):
        assert stages is not None
        assert others is not None
        for stage, same in zip(stages, others, strict=True):
            np.testing.assert_array_equal(stage.candidates, same.candidates)
            np.testing.assert_array_equal(stage.kept, same.kept)
            np.testing.assert_array_equal(stage.attention, same.attention)


def test_more_maps_than_go_through_a_tower_together() -> None:
    model, batch = make_tiny(), make_utterances((35,), (0,))
    together = selected_sites(model, batch).visual
    assert together is not None
    for frame in (0, 15, 16, 34):
        one = dataclasses.replace(batch, face_crops=Ragged.join([batch.face_crops.values[frame, None]]))
        alone = selected_sites(model, one).visual
        for all_maps, single in zip(together, alone, strict=True):
            np.testing.assert_array_equal(all_maps.kept[frame], single.kept[0])
            np.testing.assert_allclose(all_maps.attention[frame], single.attention[0], rtol=1e-4)


def test_a_modality_that_is_not_there_is_none() -> None:
    model = make_tiny()
    assert selected_sites(model, make_utterances((0,), (2,))).visual is None
    assert selected_sites(model, make_utterances((2,), (0,))).acoustic is None
    assert selected_sites(make_tiny(modalities="tv"), make_utterances((2,), (2,))).acoustic is None
    nothing = selected_sites(model, make_utterances((0,), (0,)))
    assert (nothing.visual, nothing.acoustic) == (None, None)
    assert nothing.logits.isfinite().all()


def test_a_model_that_computes_all_sites_is_refused() -> None:
    with pytest.raises(UserError, match="fe2e computes all sites"):
        selected_sites(make_tiny("fe2e"), make_utterances((1,), (1,)))


def test_a_model_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="training mode"):
        selected_sites(make_tiny().train(), make_utterances((1,), (1,)))
