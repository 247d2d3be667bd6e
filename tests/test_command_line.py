"""Words on the command line: help, settings files, mistakes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mme2e.__main__ import VERBS, main


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_ends_in_its_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert printed.rstrip().splitlines()[-1].startswith("example: mme2e " + verb)
    assert VERBS[verb].summary.split()[0] in printed


def test_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


def test_no_verb_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["dance"], "unknown command 'dance'; choose from sample, prepare,"),
        (["train", "--data", "x"], "required: --out"),
        (["train", "--data", "x", "--out", "y", "--speed", "9"], "--speed"),
        (["train", "--data", "x", "--out", "y", "--epochs", "0"], "epochs must be at least 1, not 0"),
        (["train", "--data", "x", "--out", "y", "--epochs", "many"], "--epochs must be a whole number, not 'many'"),
        (
            ["train", "--data", "x", "--out", "y", "--loss", "huber"],
            "--loss must be one of bce, ce, l1, mse, not 'huber'",
        ),
        (
            ["train", "--data", "x", "--out", "y", "--model.tower-channels", "[1,2]"],
            "must be a list of 4, not '[1, 2]'",
        ),
        (
            ["predict", "y", "--run", "x", "--audio-channel", "left"],
            "--audio-channel must be a whole number or none, not 'left'",
        ),
        (["benchmark", "x", "--data", "y", "--top-p", "0.5", "half"], "--top-p must be a number, not 'half'"),
        (["benchmark", "x", "--data", "y", "--top-p", "3"], "--top-p must be in (0, 1], not 3.0"),
        (["train", "--data", "x", "--out", "y", "--batch_size", "0"], "--batch-size must be at least 1, not 0"),
        (["evaluate", "x", "--data", "y", "--batch-size", "0"], "--batch-size must be at least 1, not 0"),
        (["evaluate", "x", "z", "--data", "y", "--out", "o"], "--out requires a single run, not 2"),
        (["prepare", "mosei", "x", "y", "--corpus", "mosei"], "--corpus mosei requires layout reference, not mosei"),
        (["train", "--data", "x", "--out", "y", "--model.modalities", "tt"], "model.modalities"),
        (["train", "--data", "x", "--out", "y", "--model.num_heads", "5"], "multiple of --model.num-heads 5"),
        (["train", "--data", "x", "--out", "y", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["prepare", "youtube", "x", "y"], "youtube"),
        (["prepare", "mosei", "x", "y", "--frame_interval_ms", "0"], "--frame-interval-ms must be at least 1, not 0"),
        (["prepare", "mosei", "x", "y", "--split.protocol", "lists"], "--splits"),
        (
            ["train", "--data", "x", "--out", "y", "--model.num_heads", "0"],
            "--model.num-heads must be at least 1, not 0",
        ),
        (["evaluate"], "required: run, --data"),
        (["predict", "clip.mp4", "--run", "run", "--out", "nowhere/x.json"], "there is no folder nowhere"),
        (["predict", "clip.mp4", "--run", "run", "--annotate", "."], "is a folder"),
        (["predict", "clip.mp4", "--run", "run", "--formats", "mp3"], "unknown format 'mp3'; choose from json,"),
        (["sample", "x", "--utterances", "0"], "utterances must be at least 1"),
        (["predict", "clip.mp4", "--run", "run", "--region", "1,2,3"], "x,y,width,height"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("mme2e: error: ")
    assert error.count("\n") == 1
    assert told in error


@pytest.mark.parametrize("dashes", ["--model.attention.other-words", "--model.attention.other_words"])
def test_options_have_hyphens_and_take_underscores(dashes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", "x", "--out", "y", f"{dashes}=2"]) == 2
    assert "--model.attention.other-words must be in [0, 1], not 2" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_options_with_hyphens(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    options = re.findall(r"--[\w.-]+", capsys.readouterr().out)
    assert options
    assert not [option for option in options if "_" in option]


def test_a_key_of_a_settings_file_is_named_as_it_stands_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("model: {trans_dim: 30}\n")
    words = ["train", "--data", "x", "--out", "y", "--config", str(file), "--model.num-heads", "7"]
    assert main(words) == 2
    told = f"model.trans_dim 30 is not a multiple of --model.num-heads 7; settings come from {file}"
    assert told in capsys.readouterr().err


def test_unknown_yaml_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("model:\n  trans_dimension: 3\n")
    assert main(["train", "--data", "x", "--out", "y", "--config", str(file)]) == 2
    assert "trans_dimension" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("model: 3", "model must be settings by their names, not 3"),
        ("model:", "model must be settings by their names, not None"),
        ("epochs: 1\nmodel: []", "model must be settings by their names, not []"),
        ("augment: false", "augment must be settings by their names, not False"),
        ("init: x", "init must be settings by their names, not 'x'"),
        ("model: {attention: 3}", "model.attention must be settings by their names, not 3"),
        ("model.attention: 3", "model.attention must be settings by their names, not 3"),
        ("3", "must hold settings by their names, each with a value, not '3'"),
        ("", "must hold settings by their names, each with a value, not ''"),
        ("epochs:", "must hold settings by their names, each with a value, not 'epochs:'"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--model.num-heads", "2", "--model.attention.mode", "gate"]])
def test_a_value_in_the_place_of_a_group_is_refused(
    content: str, told: str, more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    assert main(["train", "--data", "x", "--out", "y", "--config", str(file), *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert error.endswith(f"settings come from {file}\n")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["prepare", "mosei", "x", "y"], "face"),
        (["prepare", "mosei", "x", "y"], "split"),
        (["train", "--data", "x", "--out", "y"], "model.text"),
    ],
)
def test_every_group_of_every_verb_requires_settings(
    words: list[str], key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"{key}: 0\n")
    assert main([*words, "--config", str(file)]) == 2
    assert f"error: {key} must be settings by their names, not 0; settings come from" in capsys.readouterr().err
    assert main([*words, f"--{key}", "0"]) == 2
    assert f"error: --{key} must be settings by their names, not '0'" in capsys.readouterr().err


def test_a_group_may_be_the_name_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.yaml").write_text("trans_dim: 30\nnum_heads: 7\n")
    (tmp_path / "settings.yaml").write_text("model: model.yaml\n")
    assert main(["train", "--data", "x", "--out", "y", "--config", str(tmp_path / "settings.yaml")]) == 2
    assert "model.trans_dim 30 is not a multiple of model.num_heads 7" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"epochs: \xff\n", b"epochs: [1\n", b"bogus: 1\n", b"epochs: 0\n"])
def test_a_settings_file_that_cannot_be_used_is_named(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(content)
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), f"--config={file}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "settings.yaml" in error or content == b"epochs: 0\n"


@pytest.mark.parametrize("file", sorted(Path("configs").glob("*.yaml")), ids=lambda file: file.name)
def test_every_shipped_config_is_read(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # It gets as far as the corpus, which is not there.
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--config", str(file)]) == 2
    assert "not a prepared corpus" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["prepare", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys\nfrom mme2e.__main__ import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'lightning', 'datasets', 'matplotlib', 'av', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("stop", "status", "told"),
    [
        (KeyboardInterrupt(), 130, "interrupted; what was finished is kept"),
        (KeyboardInterrupt("interrupted; nothing was written"), 130, "interrupted; nothing was written"),
        (OSError(28, "No space left on device", "x/y"), 2, "No space left on device: x/y"),
    ],
)
def test_what_ends_a_verb_from_outside_is_one_line(
    stop: BaseException,
    status: int,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end(*_: object) -> int:
        raise stop

    monkeypatch.setattr("mme2e.__main__._run_verb", end)
    assert main(["train"]) == status
    error = capsys.readouterr().err
    assert error.startswith("mme2e: ")
    assert told in error
    assert error.count("\n") == 1
