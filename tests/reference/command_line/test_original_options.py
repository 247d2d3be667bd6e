"""The table of options: spellings, what each sets, what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mme2e.config import TrainSettings
from mme2e.errors import UserError
from mme2e.reference.command_line.options import OPTIONS, Options, option, table, value_at
from mme2e.reference.command_line.parsing import in_original_words, parse
from mme2e.reference.command_line.translation import check_options, train_settings, train_words, without_effect

NEEDED = ["-bs", "4", "-lr=1e-3", "-ep", "3"]
ORIGINAL = (
    "-bs -lr -wd -ep -es -cu -cl -sc -se --loss --optim --text-lr-factor -mo --text-model-size --fusion --feature-dim "
    "-st -hfcs --trans-dim --trans-nlayers --trans-nheads -aft --num-emotions --img-interval --hand-crafted "
    "--text-max-len --datapath --dataset -mod --valid --test --ckpt --ckpt-mod -dr -nl -hs -bi --gru"
)
README_SETTINGS = {
    "mme2e": {
        "model.name": "fe2e", "learning_rate": 5e-5, "epochs": 40, "batch_size": 8, "early_stop": 6, "loss": "bce",
        "model.modalities": "tav", "model.trans_dim": 64, "model.num_layers": 4, "model.num_heads": 4,
        "text_lr_factor": 10, "model.text.model": "albert/albert-base-v2", "model.text.max_length": 100,
        "gradient_clip": 0, "model.fusion": "late", "optimizer": "adam", "scheduler": "none",
    },
    "mme2e_sparse": {"model.name": "mesm", "batch_size": 2, "model.top_p": 0.8, "model.num_layers": 4},
    "lf_rnn": {
        "model.name": "lf_rnn", "learning_rate": 5e-4, "epochs": 60, "batch_size": 32, "early_stop": 8,
        "gradient_clip": 2, "model.rnn.bidirectional": True, "model.rnn.hidden_size": None, "model.rnn.gru": False,
    },
    "lf_transformer": {"model.name": "lf_transformer", "gradient_clip": 2, "model.num_layers": 2},
}  # fmt: skip
CASES: list[tuple[str, str, object]] = [
    ("-bs 7", "batch_size", 7),
    ("--batch-size=7", "batch_size", 7),
    ("-lr=5e-5", "learning_rate", 5e-5),
    ("-wd 0.1", "weight_decay", 0.1),
    ("-ep=9", "epochs", 9),
    ("-es 2", "early_stop", 2),
    ("-es 0", "early_stop", 0),
    ("-es -1", "early_stop", 0),
    ("-cl 2", "gradient_clip", 2.0),
    ("-cl -1", "gradient_clip", 0.0),
    ("-sc", "scheduler", "cosine"),
    ("-se 5", "seed", 5),
    ("--loss l1", "loss", "l1"),
    ("--loss mse", "loss", "mse"),
    ("--loss=ce", "loss", "ce"),
    ("--optim sgd", "optimizer", "sgd"),
    ("--text-lr-factor=1", "text_lr_factor", 1.0),
    ("-mo mme2e_sparse", "model.name", "mesm"),
    ("--text-model-size xlarge", "model.text.model", "albert/albert-xlarge-v2"),
    ("--text-model scratch", "model.text.model", "scratch"),
    ("--text-model-size large --text-model x/y", "model.text.model", "x/y"),
    ("--fusion early", "model.fusion", "early"),
    ("--fusion early --feature-dim 32", "model.feature_dim", 32),
    ("-mo mme2e_sparse -st=0.8", "model.top_p", 0.8),
    ("-mo mme2e_sparse", "model.top_p", 0.9),
    ("--trans-dim 64", "model.trans_dim", 64),
    ("--trans-nlayers 3", "model.num_layers", 3),
    ("--trans-nheads 4", "model.num_heads", 4),
    ("--text-max-len 100", "model.text.max_length", 100),
    ("-mod=ta", "model.modalities", "ta"),
    ("-dr 0.3", "model.dropout", 0.3),
    ("-mo lf_rnn --hand-crafted -dr 0.3", "model.rnn.dropout", 0.3),
    ("-mo lf_rnn --hand-crafted -nl 2", "model.rnn.num_layers", 2),
    ("-mo lf_rnn --hand-crafted -hs 300", "model.rnn.hidden_size", 300),
    ("-mo lf_rnn --hand-crafted -bi", "model.rnn.bidirectional", True),
    ("-mo lf_rnn --hand-crafted --no-bidirectional", "model.rnn.bidirectional", False),
    ("-mo lf_rnn --hand-crafted --gru", "model.rnn.gru", True),
    ("-mo lf_rnn --hand-crafted -aft 3", "model.features.audio_feature_type", 3),
    ("-mo lf_transformer --hand-crafted --trans-nlayers 3", "model.num_layers", 3),
    ("-- --precision bf16", "precision", "bf16"),
]


def settings_of(words: list[str]) -> TrainSettings:
    options = parse(words)
    check_options(options)
    return train_settings(train_words(options, seed=options.seed[0]))


def test_every_option_of_the_original_is_there() -> None:
    flags = {flag for row in OPTIONS for flag in row.flags}
    assert set(ORIGINAL.split()) <= flags


def test_every_option_has_a_field_and_every_field_an_option() -> None:
    assert {row.name for row in OPTIONS} == set(Options.__dataclass_fields__) - {"given", "more"}


@pytest.mark.parametrize(("words", "setting", "value"), CASES, ids=[case[0] for case in CASES])
def test_an_option_sets_its_setting(words: str, setting: str, value: object) -> None:
    before, _, behind = words.partition("-- ")
    behind_words = ["--", *behind.split()] if behind else []
    assert value_at(settings_of([*NEEDED, *before.split(), *behind_words]), setting) == value


def test_every_setting_of_the_table_is_tried() -> None:
    of_a_run = {"accelerator", "init.run", "init.modalities"}  # tests/test_main.py
    told = {name for row in OPTIONS for name in row.sets}
    assert told - of_a_run <= {setting for _, setting, _ in CASES}


def test_the_readmes_commands_mean_what_they_did(shared: Callable[[str], Path]) -> None:
    commands = re.findall(r"^python main.py (.+)$", shared("ORIGINAL_README.md").read_text(), re.MULTILINE)
    found = {settings["model.name"]: settings for settings in README_SETTINGS.values()}
    assert len(commands) == 4
    for command in commands:
        settings = settings_of(command.split())
        assert not without_effect(parse(command.split()))
        for name, value in found.pop(settings.model.name).items():
            assert value_at(settings, name) == value
    assert not found


def test_the_original_readmes_options_are_all_known(shared: Callable[[str], Path]) -> None:
    usage = shared("ORIGINAL_README.md").read_text().partition("optional arguments:")[2]
    pairs = re.findall(r"^  (?:(-[a-z]+)(?: [^,]*)?, )?(--[a-z-]+)", usage, re.MULTILINE)
    assert len(pairs) == 39
    known = {"--help": "-h"} | {row.flags[-1]: row.flags[0] for row in OPTIONS}
    for short, long in pairs:
        assert known[long] == (short or known[long])


def test_seeds_in_all_spellings() -> None:
    for words in (["-se", "0", "1"], ["--seed=0,1"], ["-se", "0,1"]):
        assert parse(words).seed == (0, 1)
    assert parse([]).seed == (0,)


def test_what_was_given_is_known() -> None:
    assert parse(["-mod=ta", "-sc"]).given == {"modalities", "scheduler"}
    assert parse([]).given == frozenset()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--speed 9", "unrecognized arguments: --speed 9"),
        ("--lear 9", "--lear"),
        ("--loss huber", "'huber'"),
        ("-mo mme3e", "'mme3e'"),
        ("-aft 7", "7"),
        ("-bs many", "many"),
        ("-se 1 2 1", "names 1 twice"),
        ("-se -1", "whole numbers from 0, not '-1'"),
        ("-se 1,,2", "whole numbers from 0, not ''"),
        ("-lr 1", "required to train: -bs/--batch-size, -ep/--epochs"),
        ("--hand-crafted", "--hand-crafted requires lf_rnn or lf_transformer; --model mme2e reads raw signals"),
        ("-bs 1 -lr 1 -ep 1 -mo lf_rnn", "lf_rnn reads hand-crafted features: add --hand-crafted"),
        ("-bs 1 -lr 1 -ep 1 -mo mme2e_sparse -mod av", "--modalities must include t and a or v, not 'av'"),
        ("-bs 1 -lr 1 -ep 1 -mod tax", "--modalities must be some of the letters t, a, v, each once, not 'tax'"),
        ("-bs 1 -lr 1 -ep 1 --trans-dim 10", "--trans-dim 10 is not a multiple of --trans-nheads 8"),
        ("-bs 0 -lr 1 -ep 1", "--batch-size must be at least 1, not 0"),
        ("-bs 1 -lr 1 -ep 0", "--epochs must be at least 1, not 0"),
        ("-bs 1 -lr 0 -ep 1", "--learning-rate must be positive, not 0"),
        ("-bs 1 -lr 1 -ep 1 -wd -1", "--weight-decay must not be negative"),
        ("-bs 1 -lr 1 -ep 1 -mo mme2e_sparse -st 1.5", "--sparse-threshold must be in (0, 1], not 1.5"),
        ("-bs 1 -lr 1 -ep 1 -mo lf_rnn --hand-crafted -hs 0", "--hidden-size must be at least 1, not 0"),
        ("-bs 1 -lr 1 -ep 1 -- --model.speed 3", "--model.speed"),
        ("--test", "--test requires --ckpt"),
        ("--valid", "--valid requires --ckpt"),
        ("--test --valid --ckpt x", "one of them"),
        ("--test --ckpt x --ckpt-mod t", "--ckpt-mod requires --ckpt and training"),
        ("-bs 1 -lr 1 -ep 1 --ckpt-mod t", "--ckpt-mod requires --ckpt and training"),
        ("--test --ckpt x -- --precision 16", "settings behind -- are of training"),
        ("-bs 1 -lr 1 -ep 1 -hfcs 300 144", "requires three sizes, of text, acoustic and visual features, not 300 144"),
    ],
)
def test_mistakes_are_told_in_the_users_words(words: str, told: str) -> None:
    with pytest.raises(UserError) as found:
        settings_of(words.split())
    assert told in in_original_words(str(found.value))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("-st 0.5", ["--sparse-threshold is for mme2e_sparse, not for mme2e"]),
        ("-mo lf_rnn --trans-dim 8 -cl 1", ["--trans-dim is for mme2e and mme2e_sparse, not for lf_rnn"]),
        ("--feature-dim 8", ["--feature-dim is for --fusion early"]),
        ("--gru -nl 1", ["--num-layers is for lf_rnn, not for mme2e", "--gru is for lf_rnn, not for mme2e"]),
        ("-mo mme2e_sparse -st 0.5 --fusion early --feature-dim 8", []),
    ],
)
def test_options_without_effect_are_named(words: str, told: list[str]) -> None:
    assert without_effect(parse(words.split())) == told


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("model.text.model is x; --model.text.model scratch", "--text-model is x; --text-model scratch"),
        ("loss ce requires a corpus; use loss bce", "--loss ce requires a corpus; use loss bce"),
        ("the loss became nan", "the loss became nan"),
        ("likely learning_rate 1", "likely --learning-rate 1"),
        ("model.features.text_size is 3", "model.features.text_size is 3"),
        ("init.run savings/x is mesm", "--ckpt savings/x is mesm"),
        ("a/seed/batch_size/x", "a/seed/batch_size/x"),
        ("source_fps 2 may be right", "--source-fps 2 may be right"),
    ],
)
def test_names_of_settings_become_options(message: str, told: str) -> None:
    assert in_original_words(message) == told


def test_the_documentation_has_the_table() -> None:
    assert table() in Path("docs/reference_command_line.md").read_text(encoding="utf-8")


def test_defaults_are_told() -> None:
    assert option("hfc_sizes").default_text == "those of the features"
    assert option("seed").default_text == "0"
    assert option("gru").default_text == "off"
