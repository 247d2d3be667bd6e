import dataclasses
import json
import math

import pytest
import yaml

from mme2e.config import ModelSettings, TextSettings, TrainSettings
from mme2e.errors import UserError
from mme2e.training.callbacks import describe_epoch
from mme2e.training.history import (
    EpochRecord,
    TrainingReport,
    best_epoch,
    history_to_csv,
    require_same_settings,
    settings_to_yaml,
)


def record(epoch: int, macro_f1: float = 0.5, **changes) -> EpochRecord:
    values = {
        "epoch": epoch,
        "step": 10 * epoch,
        "learning_rate": 5e-5,
        "train_loss": 0.25,
        "valid_loss": 0.5,
        "valid_macro_f1": macro_f1,
        "valid_auc": 0.75,
        "valid_weighted_accuracy": 0.625,
        "thresholds": (0.1, 0.35),
        "seconds": 2.0,
        "data_wait_share": 0.03,
    }
    return EpochRecord(**{**values, **changes})


def report(*history: EpochRecord) -> TrainingReport:
    return TrainingReport(
        finished=True, corpus="tiny 01", label_names=("a", "b"), best=best_epoch(list(history)), history=history
    )


def test_the_first_of_equally_good_epochs_is_the_best():
    assert best_epoch([record(1, 0.3), record(2, 0.6), record(3, 0.6)]).epoch == 2


def test_a_report_survives_writing(tmp_path):
    written = report(record(1), record(2, 0.7, thresholds=None))
    written.write(tmp_path)
    assert TrainingReport.read(tmp_path) == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "metrics.json"]


def test_undefined_scores_are_null(tmp_path):
    report(record(1, valid_auc=math.nan)).write(tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())["history"][0]["valid_auc"] is None


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"finished": true, "corpus": "", "label_names": [], "best": {}}']
)
def test_a_damaged_report_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError, match=r"metrics\.json (cannot be read|is damaged): .*; .* is not a complete"):
        TrainingReport.read(tmp_path)


def test_csv_has_a_line_an_epoch():
    lines = history_to_csv([record(1), record(2)]).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch,step,learning_rate,")
    assert "thresholds" not in lines[0]
    assert lines[2].startswith("2,20,5e-05,")


def test_a_line_for_people():
    line = describe_epoch([record(1, 0.6), record(2, 0.5)], epochs=40)
    assert line.startswith("epoch  2/40  loss 0.250  valid loss 0.500  macro F1 0.500 ")
    assert "waiting for data 3%" in line
    assert "macro F1 0.600*" in describe_epoch([record(1, 0.6)], epochs=40)


class TestSettings:
    settings = TrainSettings(model=ModelSettings(text=TextSettings(model="scratch"), tower_channels=(1, 2, 3, 4)))

    def write(self, tmp_path, content: str) -> None:
        (tmp_path / "train_settings.yaml").write_text(content)

    def test_plain_yaml(self):
        content = yaml.safe_load(settings_to_yaml(self.settings))
        assert content["model"]["tower_channels"] == [1, 2, 3, 4]
        assert content["model"]["text"]["model"] == "scratch"

    def test_the_same(self, tmp_path):
        self.write(tmp_path, settings_to_yaml(self.settings))
        require_same_settings(tmp_path, self.settings)
        require_same_settings(tmp_path, dataclasses.replace(self.settings, num_workers=7))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"batch_size": 9}, "batch_size was 8, now it is 9"),
            (
                {"model": ModelSettings(tower_channels=(1, 2, 3, 4))},
                r"model\.text\.model was scratch, now it is albert",
            ),
        ],
    )
    def test_the_key_that_differs_is_named(self, tmp_path, changes, message):
        self.write(tmp_path, settings_to_yaml(self.settings))
        with pytest.raises(UserError, match=message):
            require_same_settings(tmp_path, dataclasses.replace(self.settings, **changes))

    @pytest.mark.parametrize("content", ["- a list", "a: [", ""])
    def test_a_damaged_file_is_named(self, tmp_path, content):
        self.write(tmp_path, content)
        with pytest.raises(UserError, match=r"train_settings\.yaml"):
            require_same_settings(tmp_path, self.settings)
