import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_trainer import TINY, Interrupted, assert_same_run, raise_interrupted
from tiny_corpus import write_tiny_corpus

from mme2e.config import AttentionSettings, TrainSettings
from mme2e.errors import UserError
from mme2e.models import MESM
from mme2e.runs.folder import load_run
from mme2e.training.callbacks import top_p_at
from mme2e.training.module import EmotionModule
from mme2e.training.train import train


def settings(**changes: object) -> TrainSettings:
    attention = AttentionSettings(budget=changes.pop("budget", None))  # type: ignore[arg-type]
    model = dataclasses.replace(TINY.model, name="mesm", top_p=0.4, attention=attention)
    return dataclasses.replace(TINY, model=model, **changes)  # type: ignore[arg-type]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_tiny_corpus(tmp_path / "corpus", 6)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, float]]]:
    """What p was at every step of training and of validation."""
    values: list[tuple[str, float]] = []
    forward = MESM.forward

    def spy(self, batch):  # type: ignore[no-untyped-def]
        first = next(iter(self.stages.values()))
        values.append(("train" if self.training else "valid", first.selection.top_p))
        return forward(self, batch)

    monkeypatch.setattr(MESM, "forward", spy)
    return values


def test_the_fall() -> None:
    assert [top_p_at(step, 4, 0.2) for step in range(6)] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert top_p_at(0, 0, 0.3) == 0.3


def test_training_starts_dense_and_validation_sees_the_final_value(corpus: Path, seen: list[tuple[str, float]]) -> None:
    run = train(settings(anneal_epochs=2), data=corpus, out=corpus.parent / "run").run
    in_training = [p for kind, p in seen if kind == "train"]
    assert in_training == pytest.approx([1, 0.9, 0.8, 0.7, 0.6, 0.5] + [0.4] * 6)
    assert {round(p, 9) for kind, p in seen if kind == "valid"} == {0.4}
    assert {stage.selection.top_p for stage in load_run(run).model.stages.values()} == {0.4}


def test_a_budget_takes_over_after_the_fall(corpus: Path, seen: list[tuple[str, float]]) -> None:
    run = train(settings(anneal_epochs=1, budget=0.05), data=corpus, out=corpus.parent / "run").run
    in_training = [p for kind, p in seen if kind == "train"]
    assert in_training[:4] == pytest.approx([1, 0.8, 0.6, 0.4])
    assert in_training[4] < 0.4
    assert all(later < earlier for earlier, later in itertools.pairwise(in_training[3:]))
    assert next(iter(load_run(run).model.stages.values())).selection.top_p < 0.4


def test_resuming_in_the_middle_of_the_fall_is_exact(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, out = settings(anneal_epochs=2, budget=0.05), corpus.parent / "resumed"
    straight = train(wanted, data=corpus, out=corpus.parent / "straight")
    on_train_epoch_start = EmotionModule.on_train_epoch_start
    with monkeypatch.context() as patch:
        patch.setattr(
            EmotionModule,
            "on_train_epoch_start",
            lambda self: raise_interrupted() if self.current_epoch == 1 else on_train_epoch_start(self),
        )
        with pytest.raises(Interrupted):
            train(wanted, data=corpus, out=out)
    assert_same_run(straight, train(wanted, data=corpus, out=out, resume=True))


def test_no_epoch_left_at_the_final_value_is_refused() -> None:
    with pytest.raises(UserError, match=r"anneal_epochs 4\.0 leaves none of 4 epochs"):
        settings(anneal_epochs=4.0)


def test_debugging_names_the_part_with_nan(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = MESM.forward

    def spoil(self, batch):  # type: ignore[no-untyped-def]
        self.acoustic.tower.stages[0].conv1.weight.data.fill_(float("nan"))
        return forward(self, batch)

    monkeypatch.setattr(MESM, "forward", spoil)
    with pytest.raises(UserError, match=r"acoustic\.tower\.stages\.0: .* NaN"):
        train(settings(debug=True), data=corpus, out=corpus.parent / "run")
