import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import mme2e.runs.folder
from mme2e.config import FaceSettings, ModelSettings, TextSettings
from mme2e.data.batch import Batch
from mme2e.data.ragged import Ragged
from mme2e.errors import UserError
from mme2e.models import build_model
from mme2e.runs.folder import LoadedRun, RunInfo, load_run, read_info, save_run
from mme2e.text import BertEncoder, WordPieceTokenizer, load_text, train_tokenizer

TEXT = TextSettings(model="scratch", hidden_dim=8, num_layers=1, num_heads=2, vocab_size=60)
MODEL = ModelSettings(
    text=TEXT,
    tower_channels=(2, 3, 4, 5),
    tower_dim=6,
    trans_dim=4,
    num_heads=2,
    num_layers=1,
    feedforward_dim=8,
)
INFO = RunInfo(
    model=MODEL,
    label_names=("happy", "sad: very", "überrascht"),
    multi_label=True,
    loss="ce",
    thresholds=(0.25, 0.5, 0.95),
    frame_interval_ms=400,
    face=FaceSettings(mode="reference", margin=3),
    corpus="iemocap 0123abcd",
    provenance={"note": "yes: it's 1"},
)
BATCH = Batch(
    face_crops=Ragged(torch.randint(0, 256, (3, 3, 48, 48), dtype=torch.uint8), torch.tensor([1, 2])),
    mel_chunks=Ragged(torch.rand(2, 1, 128, 32), torch.tensor([2, 0])),
    tokens=Ragged.from_padded(torch.randint(0, 20, (2, 5))),
)


def write(folder: Path, info: RunInfo = INFO) -> LoadedRun:
    torch.manual_seed(0)
    tokenizer, encoder = None, None
    if "t" in info.model.modalities:
        parts = load_text(TEXT, texts=["so happy", "so very sad, what a surprise"])
        tokenizer, encoder = parts.tokenizer, parts.encoder
    model = build_model(info.model, num_emotions=len(info.label_names), text_encoder=encoder)
    save_run(folder, model=model, tokenizer=tokenizer, info=info)
    return LoadedRun(model=model.eval(), tokenizer=tokenizer, info=info)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write(folder)
    return folder


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    """A run folder to damage."""
    return shutil.copytree(saved, tmp_path / "run")


def edit(run: Path, **changes: object) -> None:
    path = run / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    before = write(tmp_path / "new" / "run")
    after = load_run(tmp_path / "new" / "run")
    weights = (tmp_path / "new" / "run" / "model.safetensors").read_bytes()
    assert after.info == replace(before.info, weights_sha256=hashlib.sha256(weights).hexdigest())
    assert not after.model.training
    assert torch.equal(after.model(BATCH), before.model(BATCH))
    assert after.tokenizer("so happy")["input_ids"] == before.tokenizer("so happy")["input_ids"]
    assert after.model.visual.tower.stages[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("thresholds", [None, (0.1, 0.2, 0.3)])
def test_without_text_there_is_no_text_folder(tmp_path: Path, thresholds: tuple[float, ...] | None) -> None:
    model = ModelSettings(**{**vars(MODEL), "modalities": "va"})
    before = write(
        tmp_path, RunInfo(model=model, label_names=("a", "b", "c"), multi_label=False, thresholds=thresholds)
    )
    assert not (tmp_path / "text_encoder").exists()
    after = load_run(str(tmp_path))
    assert after.tokenizer is None
    assert replace(after.info, weights_sha256="") == before.info
    assert torch.equal(after.model(BATCH), before.model(BATCH))


def test_the_files(saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()}
    assert names == {
        "README.md",
        "config.yaml",
        "environment.json",
        "model.safetensors",
        "text_encoder/config.json",
        "text_encoder/tokenizer.json",
        "text_encoder/tokenizer_config.json",
    }
    environment = json.loads((saved / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__
    card = (saved / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "mme2e"
    for part in ("überrascht 0.95", "every 400 ms", "iemocap 0123abcd", "mme2e.load", "yes: it's 1", "## Limits"):
        assert part in card, part


def test_a_second_save_replaces_and_leaves_other_files_alone(run: Path) -> None:
    (run / "metrics.json").write_text("{}")
    weights = (run / "model.safetensors").read_bytes()
    model = load_run(run).model
    model.fusion.weight.data += 1
    save_run(run, model=model, tokenizer=None, info=INFO)
    assert (run / "metrics.json").read_text() == "{}"
    assert (run / "model.safetensors").read_bytes() != weights
    assert torch.equal(load_run(run).model.fusion.weight, model.fusion.weight)
    assert not list(run.rglob(".*"))


def test_a_save_that_fails_leaves_the_old_files_whole(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_run(run)

    def fail(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mme2e.runs.folder, "save_file", fail)
    with pytest.raises(UserError, match=r"cannot be written: .*No space left"):
        save_run(run, model=before.model, info=INFO)
    assert torch.equal(load_run(run).model.fusion.weight, before.model.fusion.weight)
    assert not list(run.rglob(".*"))


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "run")


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors", "text_encoder/config.json"])
def test_a_missing_file_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(UserError, match=f"it has no {re.escape(Path(name).name)}"):
        load_run(run)


def test_a_missing_text_folder(run: Path) -> None:
    shutil.rmtree(run / "text_encoder")
    with pytest.raises(UserError, match="it has no text_encoder"):
        load_run(run)


def test_a_tokenizer_of_another_encoder(run: Path) -> None:
    train_tokenizer([str(number) + "x" * number for number in range(99)], vocab_size=99).save_pretrained(
        run / "text_encoder"
    )
    with pytest.raises(UserError, match=rf"{run}: the tokenizer does not fit the text encoder: it has \d+ tokens"):
        load_run(run)


def test_text_is_read_without_transformers(saved: Path) -> None:
    loaded = load_run(saved)
    assert isinstance(loaded.model.text.encoder, BertEncoder)
    assert isinstance(loaded.tokenizer, WordPieceTokenizer)


def test_missing_tokenizer_files_must_have_a_reason(run: Path) -> None:
    for path in (run / "text_encoder").glob("tokenizer*"):
        path.unlink()
    with pytest.raises(UserError, match="is not a complete run folder: text_encoder has no tokenizer files"):
        load_run(run)
    edit(run, provenance={"tokenizer": "not found"})
    assert load_run(run).tokenizer is None


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing is not a run folder: it has no config\.yaml"):
        load_run(tmp_path / "missing")


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors"])
@pytest.mark.parametrize("size", [0, 30])
def test_a_truncated_file_is_named(run: Path, name: str, size: int) -> None:
    (run / name).write_bytes((run / name).read_bytes()[:size])
    with pytest.raises(UserError, match=f"{re.escape(name)} is damaged") as caught:
        load_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "has schema version 99; this mme2e reads up to 1"),
        ({"schema_version": "one"}, "schema_version must be an integer, not 'one'"),
        ({"colour": "blue"}, "unknown key 'colour'; choose from model, label_names"),
        ({"label_names": "happy"}, "label_names must be a list, not 'happy'"),
        ({"label_names": []}, "label_names must be one name or more"),
        ({"label_names": ["a", "a", "b"]}, "label_names must be one name or more, each once, not a, a, b"),
        ({"thresholds": [0.5]}, "1 thresholds were given for 3 label names"),
        ({"thresholds": [0.5, 0.5, "high"]}, "thresholds\\[2\\] must be a valid number, not 'high'"),
        ({"multi_label": 1}, "multi_label must be a valid boolean, not 1"),
        ({"loss": "hinge"}, "loss must be 'bce', 'ce', 'l1' or 'mse', not 'hinge'"),
        ({"face": {"mode": "slow"}}, "face.mode must be 'fast' or 'reference', not 'slow'"),
        ({"face": {"size": 3}}, "unknown key 'face.size'; choose from mode, margin"),
        ({"model": {"tower_channels": [1, 2, 3]}}, r"'model\.tower_channels\[3\]' is missing"),
        ({"model": {"trans_dim": 5}}, "model.trans_dim 5 is not a multiple"),
        ({"model": None}, "model must be a mapping, not None"),
    ],
)
def test_a_setting_that_cannot_be_is_named(run: Path, changes: dict[str, object], message: str) -> None:
    edit(run, **changes)
    with pytest.raises(UserError, match=message):
        read_info(run)


@pytest.mark.parametrize("content", ["- 1", "text", "a: [", "\x00"])
def test_a_configuration_that_is_none(run: Path, content: str) -> None:
    (run / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml is damaged"):
        read_info(run)


def test_a_missing_setting_is_named(run: Path) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    del content["label_names"]
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="'label_names' is missing"):
        read_info(run)


def test_weights_of_another_label_set(run: Path) -> None:
    edit(run, label_names=["happy", "sad"], thresholds=None)
    with pytest.raises(UserError, match=r"does not fit config.yaml: text.head.weight is \(3, 8\), expected \(2, 8\)"):
        load_run(run)


def test_missing_and_unknown_weights_are_named(run: Path) -> None:
    edit(run, weights_sha256="")
    weights = load_file(run / "model.safetensors")
    save_file({**weights, "extra": torch.zeros(1)}, run / "model.safetensors")
    with pytest.raises(UserError, match="extra is not in the model"):
        load_run(run)
    del weights["fusion.weight"]
    save_file(weights, run / "model.safetensors")
    with pytest.raises(UserError, match=r"fusion\.weight is missing"):
        load_run(run)


def test_one_wrong_bit_in_the_weights_is_noticed(run: Path) -> None:
    path = run / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"safetensors is damaged: its checksum is not the one in config\.yaml"):
        load_run(run)
    edit(run, weights_sha256="")
    load_run(run)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(run: Path, number: float) -> None:
    model = load_run(run).model
    model.fusion.weight.data[0] = number
    save_run(run, model=model, info=INFO)
    with pytest.raises(UserError, match=r"damaged: the numbers of fusion\.weight are not all finite"):
        load_run(run)


def test_files_get_the_usual_rights(run: Path, tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    modes = {path.stat().st_mode for path in run.rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "any").stat().st_mode}
