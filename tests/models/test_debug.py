from typing import get_args

import pytest
from test_fe2e import make_batch
from test_fe2e import make_model as make_fe2e
from tiny_mesm import make_model as make_mesm

from mme2e.config.model import AttentionMode
from mme2e.errors import UserError
from mme2e.models.debug import refuse_nan


def test_healthy_features_pass() -> None:
    for model in (make_mesm(), make_fe2e()):
        refuse_nan(model)
        assert model(make_batch()).isfinite().all()


@pytest.mark.parametrize("make_model", [make_mesm, make_fe2e])
def test_nan_in_the_sound_is_found_where_it_comes_in(make_model) -> None:  # type: ignore[no-untyped-def]
    model, batch = make_model(), make_batch()
    refuse_nan(model)
    batch.mel_chunks.values[1, 0, 3, 5] = float("nan")
    with pytest.raises(UserError, match=r"^acoustic\.tower\.low_level: \d+ of \d+ numbers are NaN"):
        model(batch)


def test_nan_in_a_stage_has_the_stage_s_name() -> None:
    model = make_mesm()
    refuse_nan(model)
    model.visual.tower.stages[1].conv2.weight.data[4, 0, 0] = float("nan")
    with pytest.raises(UserError, match=r"^visual\.tower\.stages\.1: "):
        model(make_batch())


@pytest.mark.parametrize("mode", get_args(AttentionMode))
def test_nan_in_the_attention_has_its_name(mode: str) -> None:
    model = make_mesm(mode=mode)
    refuse_nan(model)
    model.visual.tower.stages[2].selection.attention.score.weight.data[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"^visual\.tower\.stages\.2\.selection\.attention: "):
        model(make_batch())
