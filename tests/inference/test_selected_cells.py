"""What is told of the stages is what they computed."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_mesm import EMOTIONS, make_tiny, make_utterances

from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.inference.selected_cells import StageCells, selected_cells
from mme2e.ops.top_p.naive import top_p_naive

VISUAL_SHAPES = [(24, 24), (12, 12), (6, 6)]
ACOUSTIC_SHAPES = [(64, 16), (32, 8), (16, 4)]


def pooled(kept: np.ndarray) -> np.ndarray:
    """(maps, height, width) bool: cells of the next stage with anything in any of their four."""
    return F.max_pool2d(torch.from_numpy(kept).float()[:, None], 2)[:, 0].numpy() > 0


def assert_consistent(stages: tuple[StageCells, ...], maps: int, shapes: list[tuple[int, int]], top_p: float) -> None:
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
def test_cells_are_those_of_top_p_and_each_stage_chooses_from_what_the_last_one_left(top_p: float) -> None:
    cells = selected_cells(make_tiny(top_p=top_p), make_utterances((2, 1), (1, 3)))
    assert cells.visual is not None
    assert cells.acoustic is not None
    assert_consistent(cells.visual, 3, VISUAL_SHAPES, top_p)
    assert_consistent(cells.acoustic, 4, ACOUSTIC_SHAPES, top_p)
    shares = [stage.kept_share for stage in cells.visual]
    if top_p == 1:
        assert shares == [1, 1, 1]
    elif top_p < 0.1:
        assert shares == pytest.approx([1 / 576, 1 / 144, 1 / 36])


def test_the_logits_are_the_models_own_and_no_hook_stays() -> None:
    model, batch = make_tiny(), make_utterances((2, 1), (1, 3))
    cells = selected_cells(model, batch)
    with torch.no_grad():
        assert torch.equal(cells.logits, model(batch))
    assert cells.logits.shape == (2, EMOTIONS)
    assert not any(module._forward_hooks for module in model.modules())


def test_no_hook_stays_after_an_error() -> None:
    model = make_tiny()
    batch = dataclasses.replace(make_utterances((1,), (1,)), tokens=None)
    with pytest.raises(UserError, match="selects by the words"):
        selected_cells(model, batch)
    assert not any(module._forward_hooks for module in model.modules())


def test_more_maps_than_go_through_a_tower_together() -> None:
    model, batch = make_tiny(), make_utterances((35,), (0,))
    together = selected_cells(model, batch).visual
    assert together is not None
    for frame in (0, 15, 16, 34):
        one = dataclasses.replace(batch, face_crops=Ragged.join([batch.face_crops.values[frame, None]]))
        alone = selected_cells(model, one).visual
        for all_maps, single in zip(together, alone, strict=True):
            np.testing.assert_array_equal(all_maps.kept[frame], single.kept[0])
            np.testing.assert_allclose(all_maps.attention[frame], single.attention[0], rtol=1e-4)


def test_a_modality_that_is_not_there_is_none() -> None:
    model = make_tiny()
    assert selected_cells(model, make_utterances((0,), (2,))).visual is None
    assert selected_cells(model, make_utterances((2,), (0,))).acoustic is None
    assert selected_cells(make_tiny(modalities="tv"), make_utterances((2,), (2,))).acoustic is None
    nothing = selected_cells(model, make_utterances((0,), (0,)))
    assert (nothing.visual, nothing.acoustic) == (None, None)
    assert nothing.logits.isfinite().all()


def test_a_model_that_computes_all_cells_is_refused() -> None:
    with pytest.raises(UserError, match="fe2e computes all cells"):
        selected_cells(make_tiny("fe2e"), make_utterances((1,), (1,)))


def test_a_model_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="training mode"):
        selected_cells(make_tiny().train(), make_utterances((1,), (1,)))
