import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from shown import shown
from tiny_corpus import write_tiny_corpus
from tiny_runs import TINY_MODEL, write_tiny_run

from mme2e.data.corpus import load_corpus
from mme2e.data.schema import ROW_SCHEMA, CorpusInfo
from mme2e.errors import UserError
from mme2e.evaluation.evaluate import evaluate
from mme2e.evaluation.tables import UNDEFINED
from mme2e.runs.folder import load_run, save_run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "corpus", 7)


@pytest.fixture(scope="module")
def multi_label_corpus(tmp_path_factory) -> Path:
    return write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "multi", 7, multi_label=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_tiny_run(tmp_path_factory.mktemp("runs") / "first_run")


def without_split(corpus: Path, split: str, to: Path) -> Path:
    shutil.copytree(corpus, to, ignore=shutil.ignore_patterns(".cache"))
    shutil.rmtree(to / split)
    return to


class TestFiles:
    def test_all_are_written_and_agree(self, run, corpus, tmp_path):
        evaluation = evaluate(run, data=corpus, out=tmp_path / "out", batch_size=3)
        out = tmp_path / "out"
        assert sorted(path.name for path in out.iterdir()) == [
            "metrics_test.json",
            "metrics_test.md",
            "metrics_test.png",
            "predictions_test.csv",
            "reliability_test.png",
        ]
        content = json.loads((out / "metrics_test.json").read_text())
        assert content == evaluation.to_dict()
        assert content["utterances"] == 7
        assert content["positives"] == [3, 2, 2]
        assert content["scores"]["f1"]["defined"] == 3
        assert content["macro_f1"] == content["scores"]["f1"]["average"]
        assert np.sum(content["choice"]["confusion"]) == 7
        for scores in (content["scores"], content["at_half"]):
            assert set(scores) >= {"accuracy", "weighted_accuracy", "recall", "precision", "f1", "weighted_f1", "auc"}
            assert len(scores["average_precision"]["per_emotion"]) == 3
        assert set(content["sets"]) == set(content["sets_at_half"]) == {"strict", "subset", "intersect", "overlap"}
        markdown, printed = (out / "metrics_test.md").read_text(), shown(evaluation)
        for text in (markdown, printed):
            assert f"{100 * evaluation.macro_f1:.1f}" in text
            assert "tiny, by recording; 0 of 4 recordings, 0 of 2 speakers and 3 of 3 texts" in text
            assert "chance" in text
        with (out / "predictions_test.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == [f"test_{i:03d}" for i in range(7)]
        assert [row["recording"] for row in rows] == [f"test_recording{i // 2}" for i in range(7)]
        assert [row["speaker"] for row in rows] == [f"test_speaker{i % 2}" for i in range(7)]
        assert [row["label_happy"] for row in rows] == ["0", "1", "0", "0", "1", "0", "0"]
        with Image.open(out / "metrics_test.png") as image:
            assert min(image.size) > 300

    @pytest.mark.parametrize(("unit", "count"), [("recording", 4), ("speaker", 2), ("utterance", 7)])
    @pytest.mark.usefixtures("unpainted")
    def test_intervals_draw_units(self, run, corpus, tmp_path, unit, count):
        evaluation = evaluate(run, data=corpus, out=tmp_path, unit=unit)
        found = evaluation.intervals
        assert (found.unit, found.units) == (unit, count)
        low, high = found.averages["f1"]
        assert 0 <= low <= evaluation.macro_f1 <= high <= 1
        assert f"(bootstrap over {count} {unit}s)" in (tmp_path / "metrics_test.md").read_text()
        content = json.loads((tmp_path / "metrics_test.json").read_text())["intervals"]
        assert content["averages"]["f1"] == pytest.approx([low, high])

    @pytest.mark.usefixtures("unpainted")
    def test_markdown_has_every_score(self, run, corpus, tmp_path):
        evaluate(run, data=corpus, out=tmp_path)
        markdown = (tmp_path / "metrics_test.md").read_text()
        for heading in (
            "Decisions",
            "Decisions at probability 0.5",
            "Whole sets of emotions",
            "Most probable emotion",
            "Calibration",
        ):
            assert f"\n## {heading}\n" in markdown
        assert "| emotion | F1 | WAcc | AUC | AP | recall | prec. | acc. | weighted F1 |" in markdown
        assert markdown.count("| weighted average |") == 3

    @pytest.mark.usefixtures("unpainted")
    def test_default_folder_and_split(self, run, corpus):
        evaluate(run, data=corpus, split="train")
        assert (run / "evaluation" / "metrics_train.json").is_file()

    @pytest.mark.usefixtures("unpainted")
    def test_batch_size_changes_no_score(self, run, corpus, tmp_path):
        one = evaluate(run, data=corpus, out=tmp_path / "one", batch_size=1)
        all_at_once = evaluate(run, data=corpus, out=tmp_path / "all", batch_size=100)
        assert one.calibration is not None
        assert all_at_once.calibration is not None
        np.testing.assert_allclose(one.calibration.temperatures, all_at_once.calibration.temperatures, rtol=1e-4)
        one, all_at_once = (dataclasses.replace(each, calibration=None) for each in (one, all_at_once))
        assert one.to_dict() == all_at_once.to_dict()

    def test_multi_label(self, run, multi_label_corpus, tmp_path):
        evaluation = evaluate(run, data=multi_label_corpus, out=tmp_path)
        assert evaluation.choice is None
        assert "whole sets of emotions" in shown(evaluation)
        assert (tmp_path / "metrics_test.png").is_file()

    @pytest.mark.usefixtures("unpainted")
    def test_folder_that_cannot_be_written(self, run, corpus, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="cannot write the evaluation into"):
            evaluate(run, data=corpus, out=tmp_path / "file")


class TestThresholds:
    @pytest.mark.usefixtures("unpainted")
    def test_stored_ones_count_on_the_corpus_of_the_run(self, corpus, tmp_path):
        stored = (0.2, 0.4, 0.6)
        fingerprint = f"tiny {load_corpus(corpus).fingerprint}"
        run = write_tiny_run(tmp_path / "run", thresholds=stored, corpus=fingerprint)
        evaluation = evaluate(run, data=corpus)
        assert evaluation.thresholds == stored
        assert "stored in the run" in evaluation.thresholds_from

    @pytest.mark.usefixtures("unpainted")
    def test_elsewhere_they_are_chosen_on_validation(self, corpus, tmp_path):
        run = write_tiny_run(tmp_path / "run", thresholds=(0.2, 0.4, 0.6), corpus="other 0123456789abcdef")
        on_test = evaluate(run, data=corpus)
        on_valid = evaluate(run, data=corpus, split="valid")
        assert on_test.thresholds == on_valid.thresholds != (0.2, 0.4, 0.6)
        assert "chosen on the validation split of corpus" in on_test.thresholds_from

    @pytest.mark.usefixtures("unpainted")
    def test_without_validation(self, run, corpus, tmp_path):
        data = without_split(corpus, "valid", tmp_path / "corpus")
        evaluation = evaluate(run, data=data)
        assert evaluation.thresholds == (0.5, 0.5, 0.5)
        assert evaluation.thresholds_from.startswith("default 0.5: ")

    def test_cross_entropy_decides_for_the_most_probable(self, corpus, tmp_path):
        run = write_tiny_run(tmp_path / "run", loss="ce")
        evaluation = evaluate(run, data=corpus)
        assert evaluation.thresholds is None
        assert evaluation.chance.rule == "drawn from the training prior"
        assert evaluation.choice is not None
        np.testing.assert_array_equal(evaluation.scores.f1, evaluation.choice.f1)


class TestCalibration:
    @pytest.mark.usefixtures("unpainted")
    def test_temperatures_come_from_validation(self, run, corpus, tmp_path):
        on_test = evaluate(run, data=corpus, out=tmp_path / "out").calibration
        on_valid = evaluate(run, data=corpus, split="valid", out=tmp_path / "out").calibration
        assert on_test is not None
        assert on_valid is not None
        np.testing.assert_array_equal(on_test.temperatures, on_valid.temperatures)
        assert on_test.fitted_on == "7 utterances of the validation split"
        assert "flatters" in on_valid.fitted_on
        content = json.loads((tmp_path / "out" / "metrics_test.json").read_text())["calibration"]
        assert content["temperatures"] == on_test.temperatures.tolist()
        assert content["before"]["expected_error"]["average"] == pytest.approx(on_test.before.expected_error.mean())

    @pytest.mark.usefixtures("unpainted")
    def test_without_validation_there_is_none(self, run, corpus, tmp_path):
        out = tmp_path / "out"
        evaluate(run, data=corpus, out=out)
        data = without_split(corpus, "valid", tmp_path / "corpus")
        assert evaluate(run, data=data, out=out).calibration is None
        assert not (out / "reliability_test.png").exists()  # the old one said something else
        assert json.loads((out / "metrics_test.json").read_text())["calibration"] is None

    def test_an_emotion_that_validation_lacks(self, run, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 2)  # no sad one
        evaluate(run, data=corpus, out=tmp_path / "out")
        content = json.loads((tmp_path / "out" / "metrics_test.json").read_text())
        assert content["calibration"]["temperatures"][2] is None
        assert "| sad | \N{EN DASH} |" in (tmp_path / "out" / "metrics_test.md").read_text()


class TestUndefined:
    def test_an_emotion_that_the_split_lacks_is_null_and_a_dash(self, run, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 2)  # no sad one
        evaluation = evaluate(run, data=corpus, out=tmp_path / "out")
        content = json.loads((tmp_path / "out" / "metrics_test.json").read_text())
        assert content["scores"]["f1"]["per_emotion"][2] is None
        assert content["scores"]["f1"]["defined"] == 2
        assert not np.isnan(evaluation.macro_f1)
        assert "fewer than 3 emotions" in shown(evaluation)
        assert "| sad | 0 | 0.50 | - | - | - | - | - |" in (tmp_path / "out" / "metrics_test.md").read_text().replace(
            UNDEFINED, "-"
        )

    def test_one_utterance(self, run, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 1)
        evaluation = evaluate(run, data=corpus, out=tmp_path / "out")
        assert np.isnan(evaluation.scores.auc).all()

    def test_without_training_split(self, run, corpus, tmp_path):
        data = without_split(corpus, "train", tmp_path / "corpus")
        evaluation = evaluate(run, data=data, out=tmp_path / "out")
        assert evaluation.shared is None
        assert "no training split to compare with" in shown(evaluation)


@pytest.mark.usefixtures("unpainted")
class TestSplitProtocol:
    def test_what_train_and_test_share_is_counted(self, run, corpus, tmp_path):
        import pyarrow.parquet as pq

        data = shutil.copytree(corpus, tmp_path / "corpus", ignore=shutil.ignore_patterns(".cache"))
        (path,) = (data / "test").glob("*.parquet")
        table = pq.read_table(path)
        for column in ("recording", "speaker"):
            values = table[column].to_pylist()
            values[0] = values[1] = f"train_{column}0"
            table = table.set_column(table.column_names.index(column), table.schema.field(column), [values])
        pq.write_table(table, path)
        shared = evaluate(run, data=data, out=tmp_path / "out").shared
        assert shared is not None
        assert (shared.recordings.shared, shared.recordings.of, shared.recordings.utterances) == (1, 4, 2)
        assert (shared.speakers.shared, shared.speakers.of, shared.speakers.utterances) == (1, 3, 2)

    def test_another_frame_interval_is_noted(self, run, corpus, tmp_path):
        data = shutil.copytree(corpus, tmp_path / "corpus")
        dataclasses.replace(CorpusInfo.read(data), frame_interval_ms=250).write(data)
        evaluation = evaluate(run, data=data, out=tmp_path / "out")
        assert "every 250 ms" in evaluation.notes[0]


class TestOtherNames:
    def test_the_same_emotions_by_other_names_and_in_another_order(self, corpus, tmp_path):
        names = ("sadness", "calm", "anger", "joy")
        run = write_tiny_run(tmp_path / "run", label_names=names, loss="ce")
        evaluation = evaluate(run, data=corpus, out=tmp_path / "out")
        own = load_corpus(corpus).labels("test").sum(axis=0)  # angry, happy, sad
        assert evaluation.label_names == names
        assert evaluation.positives == (own[2], 0, own[0], own[1])
        assert evaluation.corpus.endswith(load_corpus(corpus).fingerprint)


class TestRefusals:
    def test_other_emotions(self, corpus, tmp_path):
        run = write_tiny_run(tmp_path / "run", label_names=("fear", "joy"))
        with pytest.raises(
            UserError, match=r"recognises fear, joy, but .* also labelled angry, sad: 'mme2e merge .* --labels happy'"
        ):
            evaluate(run, data=corpus)

    def test_missing_split(self, run, corpus, tmp_path):
        data = without_split(corpus, "test", tmp_path / "corpus")
        with pytest.raises(UserError, match="no utterances in split 'test'; available: train, valid"):
            evaluate(run, data=data)

    def test_no_run(self, corpus, tmp_path):
        with pytest.raises(UserError, match="not a run folder"):
            evaluate(tmp_path, data=corpus)

    def test_weights_that_give_no_numbers(self, corpus, tmp_path):
        run = write_tiny_run(tmp_path / "run")
        loaded = load_run(run)
        loaded.model.fusion.weight.data.fill_(float("nan"))
        save_run(run, model=loaded.model, tokenizer=loaded.tokenizer, info=loaded.info)
        with pytest.raises(UserError, match="not all finite"):
            evaluate(run, data=corpus)

    @pytest.mark.parametrize(
        ("option", "message"), [({"batch_size": 0}, "batch_size"), ({"device": "abacus"}, "abacus")]
    )
    def test_options(self, run, corpus, option, message):
        with pytest.raises(UserError, match=message):
            evaluate(run, data=corpus, **option)


def test_runs_side_by_side(run, corpus, tmp_path):
    other = write_tiny_run(tmp_path / "second_run", seed=1)
    scored = evaluate([run, other], data=corpus)
    results, printed = scored.runs, shown(scored)
    assert "2 runs on tiny test" in printed
    for result in results:
        assert result.run in printed
        assert f"{100 * result.macro_f1:.1f}" in printed


@pytest.mark.usefixtures("unpainted")
def test_transcripts_that_are_cut_are_counted(run, tmp_path):
    corpus = write_tiny_corpus(tmp_path / "corpus", utterances_per_split=3)
    file = corpus / "test" / "00000.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[0]["text"], rows[2]["text"] = "day " * 98, "day " * 99  # with two special tokens 100 and 101
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), file)
    assert "note: 1 transcripts are cut after 100 tokens" in evaluate(run, data=corpus, out=tmp_path / "out").notes


@pytest.mark.usefixtures("unpainted")
def test_mesm_leaves_out_and_names_what_has_no_text(run, tmp_path):
    corpus = write_tiny_corpus(tmp_path / "corpus", utterances_per_split=5)
    file = corpus / "test" / "00000.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[1]["text"] = rows[3]["text"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), file)
    mesm = write_tiny_run(tmp_path / "mesm", model=dataclasses.replace(TINY_MODEL, name="mesm"))
    evaluation = evaluate(mesm, data=corpus, out=tmp_path / "out")
    assert evaluation.utterances == 3
    left_out = "2 of 5 utterances have no text, which the model requires, and are not scored: test_001, test_003"
    assert f"note: {left_out}" in evaluation.notes
    assert "test_001" not in (tmp_path / "out" / "predictions_test.csv").read_text()
    assert evaluate(run, data=corpus, out=tmp_path / "fe2e").utterances == 5
    for row in rows:
        row["text"] = None
    pq.write_table(pa.Table.from_pylist(rows, schema=ROW_SCHEMA), file)
    shutil.rmtree(corpus / ".cache", ignore_errors=True)
    with pytest.raises(
        UserError, match="no utterance of 'test' can be used: all have no text, which the model requires"
    ):
        evaluate(mesm, data=corpus, out=tmp_path / "none")
