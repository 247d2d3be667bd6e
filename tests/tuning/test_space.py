"""Search files: what they say, and what they may not say."""

from pathlib import Path

import pytest
import yaml

from mme2e.command_line import read_settings
from mme2e.config import TrainSettings
from mme2e.config.search import Dimension, SearchSettings
from mme2e.errors import UserError
from mme2e.tuning.space import Space


class Suggestions:
    """A trial of Optuna that suggests what it was told."""

    def __init__(self, **values):
        self.values = values
        self.asked = {}

    def suggest_categorical(self, key, choices):
        self.asked[key] = choices
        return self.values[key]

    def suggest_int(self, key, low, high, log):
        self.asked[key] = ("int", low, high, log)
        return self.values[key]

    def suggest_float(self, key, low, high, log):
        self.asked[key] = ("float", low, high, log)
        return self.values[key]


def write(folder: Path, content: object) -> Path:
    path = folder / "search.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def space_of(folder: Path, content: object) -> Space:
    return Space(read_settings(write(folder, content), SearchSettings))


def test_a_file_is_read_with_numbers_as_people_write_them(tmp_path):
    text = "base: {epochs: 3}\nspace:\n  learning_rate: {low: 1e-5, high: 1e-2, log: true}\nseed: 4\n"
    settings = read_settings(write(tmp_path, text), SearchSettings)
    assert settings.base == TrainSettings(epochs=3)
    assert settings.space == {"learning_rate": Dimension(low=1e-5, high=1e-2, log=True)}
    assert settings.seed == 4


def test_each_kind_of_dimension_is_suggested_and_becomes_a_setting(tmp_path):
    space = space_of(
        tmp_path,
        {
            "base": {"epochs": 2},
            "space": {
                "batch_size": {"low": 2, "high": 8},
                "model.dropout": {"low": 0, "high": 0.5},
                "model.tower_channels": {"choices": [[4, 4, 8, 8], [8, 8, 8, 8]]},
                "model.attention.budget": {"choices": [None, 0.5]},
            },
        },
    )
    trial = Suggestions(
        **{
            "batch_size": 3,
            "model.dropout": 0.25,
            "model.tower_channels": "[8, 8, 8, 8]",
            "model.attention.budget": "null",
        }
    )
    settings = space.train_settings({key: axis.suggest(trial) for key, axis in space.axes.items()})
    assert (settings.epochs, settings.batch_size, settings.model.dropout) == (2, 3, 0.25)
    assert settings.model.tower_channels == (8, 8, 8, 8)
    assert settings.model.attention.budget is None
    assert trial.asked["batch_size"] == ("int", 2, 8, False)
    assert trial.asked["model.dropout"] == ("float", 0.0, 0.5, False)


def test_the_base_is_a_point_where_it_lies_in_the_space(tmp_path):
    inside = {"space": {"batch_size": {"low": 2, "high": 8}, "model.num_heads": {"choices": [2, 4]}}}
    assert space_of(tmp_path, inside).base_parameters() == {"batch_size": 8, "model.num_heads": "4"}
    outside = {"space": {"batch_size": {"low": 2, "high": 7}, "model.num_heads": {"choices": [2, 4]}}}
    assert space_of(tmp_path, outside).base_parameters() is None
    assert space_of(tmp_path, {"space": {"model.num_heads": {"choices": [2, 8]}}}).base_parameters() is None


def test_a_value_that_only_fits_another_of_the_space_is_allowed(tmp_path):
    # 64, the base's width, is no multiple of 5.
    content = {"space": {"model.num_heads": {"choices": [4, 5]}, "model.trans_dim": {"choices": [60, 64]}}}
    space = space_of(tmp_path, content)
    assert space.train_settings({"model.num_heads": 5, "model.trans_dim": 60}).model.num_heads == 5
    with pytest.raises(UserError, match="not a multiple"):
        space.train_settings({"model.num_heads": 5, "model.trans_dim": 64})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "space is empty"),
        ({"space": {}}, "space is empty"),
        ([1], "search.yaml"),
        ("space: [", "search.yaml"),
        ({"space": {"learning_rat": {"choices": [1.0, 2.0]}}}, "did you mean learning_rate?"),
        ({"space": {"model": {"choices": [1, 2]}}}, "model is a group of settings"),
        ({"space": {"epochs.more": {"choices": [1, 2]}}}, "'epochs.more' is not a setting"),
        ({"space": {"learning_rate": {}}}, "either a range"),
        ({"space": {"learning_rate": {"low": 1}}}, "both low and high"),
        ({"space": {"learning_rate": {"low": 2, "high": 1}}}, "low 2 must be less than high 1"),
        ({"space": {"learning_rate": {"low": 0, "high": 1, "log": True}}}, "low above 0"),
        ({"space": {"learning_rate": {"low": 0.1, "high": 1, "choices": [1, 2]}}}, "either a range"),
        ({"space": {"learning_rate": {"choices": []}}}, "two or more"),
        ({"space": {"learning_rate": {"choices": [1.0]}}}, "two or more"),
        ({"space": {"learning_rate": {"choices": [1.0, 1.0]}}}, "each once"),
        ({"space": {"learning_rate": {"lo": 1, "high": 2}}}, "'lo'"),
        ({"space": {"learning_rate": 3}}, "space.learning_rate must be settings by their names, not 3"),
        ({"space": 3}, "space must be settings by their names, not 3"),
        ({"base": 3, "space": {"batch_size": {"choices": [1, 2]}}}, "base must be settings by their names, not 3"),
        ({"base": {"model": {"attention": 3}}, "space": {"batch_size": {"choices": [1, 2]}}}, "base.model.attention"),
        ({"pruner": None, "space": {"batch_size": {"choices": [1, 2]}}}, "pruner must be settings by their names"),
        ({"space": {"batch_size": {"low": 1.5, "high": 2}}}, "low must be an integer, not 1.5"),
        ({"space": {"batch_size": {"choices": [1, "two"]}}}, "a choice must be an integer, not 'two'"),
        ({"space": {"scheduler": {"choices": ["none", "linear"]}}}, "'linear'"),
        ({"space": {"scheduler": {"low": 1, "high": 2}}}, "give choices"),
        ({"space": {"pos_weight": {"low": 0, "high": 1}}}, "give choices"),
        ({"space": {"seed": {"choices": [1, 2]}}}, "luck"),
        (
            {"space": {"model.num_heads": {"choices": [4, 5]}}},
            "model.num_heads 5: model.trans_dim 64",
        ),
        ({"space": {"model.dropout": {"low": 0.0, "high": 1.0}}}, "model.dropout 1.0: model.dropout must be in"),
        ({"base": {"epoch": 1}, "space": {"batch_size": {"choices": [1, 2]}}}, "epoch"),
        ({"base": {"epochs": 0}, "space": {"batch_size": {"choices": [1, 2]}}}, "epochs must be at least 1"),
        ({"base": {"devices": 2}, "space": {"batch_size": {"choices": [1, 2]}}}, "base.devices must be 1"),
        ({"objective": "test_macro_f1", "space": {"batch_size": {"choices": [1, 2]}}}, "test_macro_f1"),
        ({"seed": -1, "space": {"batch_size": {"choices": [1, 2]}}}, "seed must not be negative"),
        ({"pruner": {"warmup_epochs": -1}, "space": {"batch_size": {"choices": [1, 2]}}}, "pruner.warmup_epochs"),
    ],
)
def test_what_cannot_be_searched_is_refused(content, told, tmp_path):
    with pytest.raises(UserError) as refused:
        space_of(tmp_path, content)
    assert told in str(refused.value)
    assert "--help" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        read_settings(tmp_path / "nowhere.yaml", SearchSettings)


@pytest.mark.parametrize("file", sorted(Path("configs/search").glob("*.yaml")), ids=lambda file: file.name)
def test_every_shipped_search_is_read(file):
    assert Space(read_settings(file, SearchSettings)).base_parameters() is not None
