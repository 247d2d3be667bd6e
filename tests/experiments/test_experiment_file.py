"""Experiment files: what they mean, and what is refused by name."""

from pathlib import Path

import pytest
import yaml

from mme2e.errors import UserError
from mme2e.experiments.file import read_experiment

SHIPPED = sorted(Path("configs/experiments").glob("*.yaml"))
MINIMAL = {
    "name": "tiny",
    "data": "corpus",
    "variants": {"dense": {"model.name": "fe2e"}, "sparse": {"model": {"name": "mesm"}}},
    "seeds": [0, 1],
}


def write(folder: Path, **changes: object) -> Path:
    path = folder / "experiment.yaml"
    content = {key: value for key, value in {**MINIMAL, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_file_is_read(file: Path) -> None:
    settings = read_experiment(file, data=["corpus"])
    assert settings.baseline is not None
    assert settings.about
    assert settings.seeds == (0, 1, 2)
    if file.stem in ("iemocap", "mosei", "modalities"):
        assert settings.published is not None
        assert set(settings.published.rows) == {variant.name for variant in settings.variants}


def test_there_are_shipped_files() -> None:
    assert {file.stem for file in SHIPPED} == {"demo", "iemocap", "modalities", "mosei", "top_p"}


def test_demo_has_all_models_in_the_budget_of_the_demo() -> None:
    settings = read_experiment(Path("configs/experiments/demo.yaml"), data=["corpus"])
    by_name = {variant.name: variant.settings for variant in settings.variants}
    assert [(each.model.name, each.model.modalities) for each in by_name.values()] == [
        ("fe2e", "tav"),
        ("mesm", "tav"),
        ("lf_rnn", "tav"),
        ("lf_transformer", "tav"),
        ("fe2e", "t"),
        ("fe2e", "a"),
        ("fe2e", "v"),
    ]
    demo = yaml.safe_load(Path("configs/demo.yaml").read_text())
    assert all(each.epochs == demo["epochs"] for each in by_name.values())
    assert by_name["lf_rnn"].learning_rate == by_name["lf_transformer"].learning_rate == 1e-3


def test_dotted_and_nested_keys_are_one_and_the_later_layer_wins(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("epochs: 7\nbatch_size: 3\nmodel: {trans_dim: 32, top_p: 0.9}\n")
    path = write(
        tmp_path,
        base_file="base.yaml",
        base={"model.top_p": 0.4, "learning_rate": "1e-3"},
        variants={"one": {"model": {"name": "mesm", "text.max_length": 20}}, "two": None},
    )
    path.write_text(path.read_text().replace("'1e-3'", "1e-3"))
    one, two = read_experiment(path, changes=["batch_size=5", "model.text.hidden_dim=8"]).variants
    assert (one.settings.epochs, one.settings.batch_size, one.settings.learning_rate) == (7, 5, 1e-3)
    model = one.settings.model
    assert (model.name, model.top_p, model.trans_dim, model.text.max_length, model.text.hidden_dim) == (
        "mesm",
        0.4,
        32,
        20,
        8,
    )
    assert two.settings.model.name == "fe2e"


def test_grids_multiply(tmp_path: Path) -> None:
    variants = {"fe2e": {}, "mesm": {"model.name": "mesm", "grid": {"model.top_p": [0.5, 1.0]}}}
    path = write(tmp_path, variants=variants, grid={"model.modalities": ["tav", "ta"], "learning_rate": [0.001]})
    settings = read_experiment(path)
    assert [variant.name for variant in settings.variants] == [
        "fe2e modalities=tav learning_rate=0.001",
        "fe2e modalities=ta learning_rate=0.001",
        "mesm modalities=tav learning_rate=0.001 top_p=0.5",
        "mesm modalities=tav learning_rate=0.001 top_p=1",
        "mesm modalities=ta learning_rate=0.001 top_p=0.5",
        "mesm modalities=ta learning_rate=0.001 top_p=1",
    ]
    assert settings.variants[4].settings.model.modalities == "ta"
    assert settings.variants[4].settings.model.top_p == 0.5


@pytest.mark.parametrize(
    ("changes", "data", "found"),
    [
        ({}, [], [("split", ["corpus"])]),
        ({}, ["other"], [("split", ["other"])]),
        ({"data": None}, ["other"], [("split", ["other"])]),
        ({"data": None}, ["a=x", "b=y,z"], [("a", ["x"]), ("b", ["y", "z"])]),
        ({"data": None, "protocols": {"a": "x", "b": ["y", "z"]}}, [], [("a", ["x"]), ("b", ["y", "z"])]),
        ({"data": None, "protocols": {"a": "x"}}, ["y"], [("a", ["y"])]),
    ],
)
def test_protocols(tmp_path: Path, changes: dict, data: list[str], found: list) -> None:
    protocols = read_experiment(write(tmp_path, **changes), data=data).protocols
    assert [(each.name, [str(fold) for fold in each.folds]) for each in protocols] == found


def test_seeds_from_the_command_line(tmp_path: Path) -> None:
    assert read_experiment(write(tmp_path), seeds=[5]).seeds == (5,)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"colour": "blue"}, "unknown key 'colour'; choose from name, about"),
        ({"name": None}, "'name' is missing"),
        ({"seeds": None}, "'seeds' is missing"),
        ({"seeds": []}, "seeds are missing"),
        ({"seeds": [1, 2, 1]}, r"seeds must differ: \[1\] stands twice in \[1, 2, 1\]"),
        ({"seeds": [-1]}, "seeds must not be negative, not -1"),
        ({"seeds": ["one"]}, r"seeds\[0\] must be an integer, not 'one'"),
        ({"variants": {}}, "there is no variant"),
        ({"variants": {"a/b": {}}}, "a variant cannot be called 'a/b'"),
        ({"variants": {"a b": {"epochs": 1}, "A_b": {}}}, "two variants are called 'a b', or alike"),
        ({"variants": {"one": {}, "two": {}}}, "variants 'one' and 'two' have the very same settings"),
        ({"variants": {"one": {"model.nmae": "fe2e"}}}, "variant 'one': unknown key 'model.nmae'; choose from name"),
        ({"variants": {"one": {"epochs": "many"}}}, "variant 'one': epochs must be an integer, not 'many'"),
        ({"variants": {"one": {"epochs": 0}}}, "variant 'one': epochs must be at least 1"),
        ({"variants": {"one": {"seed": 3}}}, "seed stands among the settings"),
        ({"base": {"seed": 3}}, "seed stands among the settings"),
        ({"variants": {"one": 5}}, "variant 'one' must be settings by their names, not 5"),
        (
            {"variants": {"one": {"model.top_p": 0.5, "model": {"top_p": 0.7}}}},
            "variant 'one' gives model.top_p twice: 0.5 and 0.7",
        ),
        ({"base": {"model": "mesm", "model.top_p": 0.7}}, "model"),
        ({"grid": {"model.name": ["fe2e", "mesm"]}}, "variant 'dense' gives model.name, and so does the grid"),
        ({"grid": {"epochs": 3}}, "grid: epochs must be a list of values, not 3"),
        ({"grid": {"model.modalities": ["tav", "a"]}}, "variant 'sparse modalities=a': model.name mesm selects by"),
        ({"grid": {"epochs": [2, 2]}}, "two variants are called"),
        ({"baseline": "random"}, "baseline 'random' is not a variant; choose from dense, sparse"),
        ({"metrics": ["f2"]}, "metrics: 'f2' is unknown; choose from f1"),
        ({"metrics": []}, "metrics are missing"),
        ({"metrics": ["f1", "f1"]}, "metrics must differ"),
        ({"published": {"table": "cmu"}}, "published.table 'cmu' is unknown; choose from iemocap"),
        (
            {"published": {"table": "iemocap", "rows": {"dense": "FE3E"}}},
            "'FE3E' is not a row of it; choose from LF-LSTM",
        ),
        ({"published": {"table": "iemocap", "rows": {"thin": "FE2E"}}}, "'thin' is not a variant"),
        ({"bootstrap": {"draws": 10}}, "bootstrap.draws must be at least 100, not 10"),
        ({"operations": -1}, "operations must not be negative"),
        ({"data": None}, "which corpus"),
        ({"protocols": {"a": "x"}}, "data and protocols cannot both be given"),
        ({"data": None, "protocols": {"a": []}}, "protocol 'a' must be a prepared corpus"),
        ({"data": None, "protocols": {"a": ["x", "x"]}}, "same fold twice"),
        ({"base_file": "nowhere.yaml"}, "base_file .*nowhere.yaml: cannot be read"),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict, told: str) -> None:
    with pytest.raises(UserError, match=told) as refused:
        read_experiment(write(tmp_path, **changes))
    assert "experiment.yaml" in str(refused.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"changes": ["epochs"]}, "--set requires KEY=VALUE"),
        ({"changes": ["epochs=1", "epochs=2"]}, "--set gives epochs twice"),
        ({"changes": ["epochs=[1"]}, "the value is not YAML"),
        ({"changes": ["seed=1"]}, "seed stands among the settings"),
        ({"changes": ["model.name=fe2e"]}, "very same settings"),
        ({"changes": ["speed=1"]}, "unknown key 'speed'"),
        ({"data": ["a", "b"]}, "--data requires one corpus, or NAME=FOLDER"),
        ({"data": ["a=x", "a=y"]}, "--data names a protocol twice"),
        ({"data": ["a="]}, "protocol 'a' must be a prepared corpus"),
        ({"seeds": [1, 1]}, "seeds must differ"),
    ],
)
def test_what_is_refused_on_the_command_line(tmp_path: Path, options: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        read_experiment(write(tmp_path), **options)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff", "is not YAML"),
        (b"a: [", "is not YAML"),
        (b"- 1", "contains no settings"),
        (b"", "contains no settings"),
        (b"name: x\nvariants:\n  one: {}\n  one: {}\n", "line 3: 'one' stands twice"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_experiment(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_experiment(tmp_path / "nowhere.yaml")
