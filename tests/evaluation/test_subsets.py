"""One checkpoint scored with every set of its modalities."""

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shown import shown
from tiny_corpus import LABEL_NAMES, write_tiny_corpus
from tiny_features import SIZES, write_tiny_features
from tiny_runs import TINY_MODEL, write_tiny_run

from mme2e import __main__
from mme2e.config import AttentionSettings, FeatureSettings, ModelSettings
from mme2e.data.batch import collate
from mme2e.data.corpus import load_corpus
from mme2e.data.hand_crafted import open_dataset
from mme2e.errors import UserError
from mme2e.evaluation.evaluate import evaluate
from mme2e.evaluation.predictions import modality_subsets, predict_split, predict_subsets
from mme2e.runs.folder import load_run

ALL = ("tav", "ta", "tv", "av", "t", "a", "v")
FEATURES = FeatureSettings(**{f"{name}_size": size for name, size in SIZES.items()})
NO_TEXT = AttentionSettings(no_text_query=True)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "corpus", 7)
    return write_tiny_features(folder, lacks={"visual": {"test_001", "test_002"}, "text": {"test_001"}})


def write_run(folder: Path, **changes: object) -> Path:
    """A run folder with random weights."""
    loss = changes.pop("loss", "bce")
    return write_tiny_run(folder, model=dataclasses.replace(TINY_MODEL, **changes), loss=loss)


@pytest.mark.parametrize(
    ("name", "modalities", "subsets"),
    [
        ("fe2e", "tav", ALL),
        ("fe2e", "vt", ("tv", "t", "v")),
        ("lf_rnn", "a", ("a",)),
        ("mesm", "tav", ("tav", "ta", "tv", "t")),
        ("mesm", "ta", ("ta", "t")),
    ],
)
def test_which_sets(name: str, modalities: str, subsets: tuple[str, ...]) -> None:
    assert modality_subsets(ModelSettings(name=name, modalities=modalities)) == subsets


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "mesm"},
        {"name": "mesm", "attention": NO_TEXT},
        {"fusion": "early", "feature_dim": 32},
        {"name": "lf_transformer", "features": FEATURES},
    ],
    ids=["fe2e", "mesm", "mesm without text", "early", "lf_transformer"],
)
def test_the_predictions_are_those_of_batches_that_lack_the_others(
    changes: dict[str, object], corpus: Path, tmp_path: Path
) -> None:
    run = load_run(write_run(tmp_path / "run", **changes))
    opened = load_corpus(corpus)
    subsets = modality_subsets(run.info.model)
    found = predict_subsets(run, opened, "test", subsets, batch_size=3, device=torch.device("cpu"))
    assert tuple(found) == subsets
    whole = predict_split(run, opened, "test", batch_size=4, device=torch.device("cpu"))
    assert found["tav"].ids == whole.ids
    np.testing.assert_allclose(found["tav"].probabilities, whole.probabilities, atol=1e-5)
    spread = {subset: each.probabilities[0].round(6).tobytes() for subset, each in found.items()}
    assert len(set(spread.values())) == len(subsets)
    for each in found.values():
        assert len(each.ids) + each.left_out == 7
        rows = [whole.ids.index(identity) for identity in each.ids]
        np.testing.assert_array_equal(each.labels, whole.labels[rows])


def test_without_text_mesm_looks_where_its_query_looks(corpus: Path, tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", name="mesm", attention=NO_TEXT))
    for branch in (run.model.visual, run.model.acoustic):
        branch.no_text.data.normal_(generator=torch.Generator().manual_seed(0))
    opened = load_corpus(corpus)
    found = predict_subsets(run, opened, "test", ("tv", "v"), batch_size=2, device=torch.device("cpu"))
    dataset = open_dataset(opened, "test", run.info.model, run.tokenizer)
    for position, identity in enumerate(found["v"].ids):
        batch = collate([dataset[list(opened.split("test")["id"]).index(identity)]])
        with torch.inference_mode():
            logits = run.model(dataclasses.replace(batch, tokens=None, waveforms=None))
        expected = logits.sigmoid().numpy()[0]
        np.testing.assert_allclose(found["v"].probabilities[position], expected, atol=1e-5)


def test_a_subset_is_a_run_whose_other_branches_are_silent(corpus: Path, tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run"))
    opened = load_corpus(corpus)
    (found,) = predict_subsets(run, opened, "test", ["av"], batch_size=8, device=torch.device("cpu")).values()
    run.model.text = None
    run.model.fusion.weight = torch.nn.Parameter(run.model.fusion.weight[:, 1:] * 1.5)
    av = dataclasses.replace(
        run, info=dataclasses.replace(run.info, model=dataclasses.replace(TINY_MODEL, modalities="av"))
    )
    alone = predict_split(av, opened, "test", batch_size=8, device=torch.device("cpu"))
    np.testing.assert_allclose(found.probabilities, alone.probabilities, atol=1e-6)


def test_utterances_without_any_of_them_are_not_scored(corpus: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", name="lf_rnn", features=FEATURES)
    found = evaluate(run, data=corpus, subsets=True)
    assert {subset: each.utterances for subset, each in found.evaluations.items()} == {
        "tav": 7, "ta": 7, "tv": 6, "av": 7, "t": 6, "a": 7, "v": 5,
    }  # fmt: skip


def test_one_table_in_every_form(corpus: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    found = evaluate(run, data=corpus, subsets=True)
    folder = run / "evaluation"
    content = json.loads((folder / "subsets_test.json").read_text())
    assert tuple(content["subsets"]) == ALL
    assert content["subsets"]["av"]["macro_f1"] == pytest.approx(found.evaluations["av"].macro_f1)
    rows = list(csv.DictReader(io.StringIO((folder / "subsets_test.csv").read_text())))
    assert [row["modalities"] for row in rows] == list(ALL)
    assert float(rows[0]["f1"]) == pytest.approx(found.evaluations["tav"].macro_f1, abs=1e-6)
    assert {row for row in rows[0] if row.startswith("f1_")} == {f"f1_{name}" for name in LABEL_NAMES}
    text = (folder / "subsets_test.md").read_text()
    assert "| TAV | 7 |" in text
    assert "thresholds chosen on the validation split with the same modalities" in text
    assert "TAV" in shown(found)
    with Image.open(folder / "subsets_test.png") as image:
        assert image.width > 500


def test_the_whole_set_scores_as_evaluate_does(corpus: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    whole = evaluate(run, data=corpus)
    found = evaluate(run, data=corpus, out=tmp_path / "out", subsets=True).evaluations["tav"]
    assert found.thresholds == whole.thresholds
    np.testing.assert_allclose(found.scores.f1, whole.scores.f1)
    assert (tmp_path / "out" / "subsets_test.csv").is_file()


def test_after_ce_the_most_probable_emotion_decides(corpus: Path, tmp_path: Path) -> None:
    found = evaluate(write_run(tmp_path / "run", loss="ce"), data=corpus, split="valid", subsets=True)
    assert all(each.thresholds is None for each in found.evaluations.values())


def test_sets_that_nobody_has_are_told(tmp_path: Path) -> None:
    corpus = write_tiny_corpus(tmp_path / "corpus", 3)
    shutil.rmtree(corpus / "valid")
    write_tiny_features(corpus, lacks={"visual": {f"test_{index:03d}" for index in range(3)}})
    run = write_run(tmp_path / "run", name="lf_rnn", features=FEATURES)
    found = evaluate(run, data=corpus, subsets=True)
    assert found.empty == ("v",)
    assert "v" not in found.evaluations
    assert "no utterance of the split has anything of V" in found.to_markdown()
    assert found.evaluations["tav"].thresholds == (0.5, 0.5, 0.5)


def test_from_the_command_line(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", name="lf_rnn", features=FEATURES)
    command = ["evaluate", str(run), "--data", str(corpus), "--subsets", "--device", "cpu"]
    assert __main__.main(command) == 0
    assert "by modalities" in capsys.readouterr().out
    assert (run / "evaluation" / "subsets_test.md").is_file()


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"split": "dev"}, "no utterances in split 'dev'"), ({"batch_size": 0}, "batch_size must be at least 1, not 0")],
)
def test_mistakes(changes: dict[str, object], told: str, corpus: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", name="lf_rnn", features=FEATURES)
    with pytest.raises(UserError, match=told):
        evaluate(run, data=corpus, **changes, subsets=True)


def test_a_baseline_on_a_corpus_without_features(tmp_path: Path) -> None:
    corpus = write_tiny_corpus(tmp_path / "corpus", 3)
    run = write_run(tmp_path / "run", name="lf_rnn", features=FEATURES)
    with pytest.raises(UserError, match="has no hand-crafted features; make them with 'mme2e features"):
        evaluate(run, data=corpus, subsets=True)
