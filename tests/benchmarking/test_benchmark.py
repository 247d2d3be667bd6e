import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shown import shown
from tiny_corpus import write_tiny_corpus
from tiny_runs import TINY_MODEL, write_tiny_run

from mme2e.__main__ import main
from mme2e.benchmarking import run
from mme2e.benchmarking.benchmark import benchmark
from mme2e.benchmarking.plot import plot_benchmark
from mme2e.benchmarking.report import to_csv, to_markdown
from mme2e.benchmarking.result import AS_TRAINED, FE2E_NAME, THIS_RUN, BenchmarkResult
from mme2e.config import AttentionSettings
from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.evaluation.evaluate import evaluate
from mme2e.runs.folder import load_run, save_run
from mme2e.scores.metrics import average

KINDS = ("csv", "json", "md", "png")
QUICK = {"rounds": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "corpus", 7)


@pytest.fixture(scope="module")
def mesm(tmp_path_factory) -> Path:
    return write_tiny_run(tmp_path_factory.mktemp("runs") / "my_mesm", model=replace(TINY_MODEL, name="mesm"))


@pytest.fixture(scope="module")
def fe2e(tmp_path_factory) -> Path:
    return write_tiny_run(tmp_path_factory.mktemp("runs") / "my_fe2e")


@pytest.fixture(scope="module")
def compared(mesm, fe2e, corpus, tmp_path_factory) -> tuple[BenchmarkResult, Path, str]:
    """A benchmark against a run, its folder, and what it printed."""
    out = tmp_path_factory.mktemp("out")
    result = benchmark(mesm, data=corpus, top_p=(0.7, 0.2), against=fe2e, out=out, rounds=2)
    return result, out, shown(result, width=80)


class TestMesm:
    def test_one_account_and_one_score_for_each_p(self, compared):
        result, _, _ = compared
        assert [cost.name for cost in result.costs] == ["0.2", "0.7"]
        assert [cost.top_p for cost in result.costs] == [0.2, 0.7]
        assert [score.name for score in result.scores] == ["0.2", "0.7"]
        assert [cost.name for cost in result.against] == [FE2E_NAME]
        assert result.trained_top_p == (TINY_MODEL.top_p,) * 6
        low, high = result.costs
        for few, many in zip(low.parts, high.parts, strict=True):
            assert few.name == many.name
            if few.density is not None:
                assert few.density < many.density <= 1
                assert few.products < many.products
                assert few.selecting_s > 0
        for cost in (*result.costs, *result.against):
            assert cost.seconds.lowest <= cost.seconds.median <= cost.seconds.highest
            assert sum(part.multiply_adds for part in cost.parts) == pytest.approx(cost.multiply_adds)

    @pytest.mark.usefixtures("unpainted")
    def test_scores_are_those_of_evaluate_at_that_p(self, compared, mesm, corpus, tmp_path):
        result, _, _ = compared
        loaded = load_run(mesm)
        for score in result.scores:
            same_weights, top_p = tmp_path / score.name, float(score.name)
            info = replace(loaded.info, model=replace(loaded.info.model, top_p=top_p))
            save_run(same_weights, model=loaded.model, tokenizer=loaded.tokenizer, info=info)
            evaluation = evaluate(same_weights, data=corpus)
            assert score.f1 == evaluation.macro_f1
            assert score.auc == average(evaluation.scores.auc).value
            assert score.weighted_accuracy == average(evaluation.scores.weighted_accuracy).value
            assert score.thresholds == evaluation.thresholds

    @pytest.mark.usefixtures("unpainted")
    def test_score_of_fe2e_is_that_of_evaluate(self, compared, fe2e, corpus, tmp_path):
        result, _, _ = compared
        evaluation = evaluate(fe2e, data=corpus, out=tmp_path)
        assert result.against_name == "my_fe2e"
        assert result.against_score is not None
        assert result.against_score.f1 == evaluation.macro_f1
        assert result.against_score.thresholds == evaluation.thresholds

    def test_files(self, compared):
        result, out, printed = compared
        assert sorted(path.name for path in out.iterdir()) == [f"benchmark_test.{kind}" for kind in KINDS]
        content = json.loads((out / "benchmark_test.json").read_text())
        assert content == json.loads(result.to_json())
        assert [cost["name"] for cost in content["accounts"]] == ["0.2", "0.7"]
        assert content["published"]["mesm_gflops"]["0.5"] == 4.34
        assert content["machine"]["torch"] == torch.__version__
        with (out / "benchmark_test.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["setting"] for row in rows] == ["0.2", "0.7", FE2E_NAME]
        assert float(rows[0]["gflops"]) == pytest.approx(result.costs[0].gflops, rel=1e-5)
        assert float(rows[0]["paper_gflops_of_fe2e"]) == pytest.approx(3.23 / 8.65, rel=1e-5)
        assert float(rows[0]["density_acoustic_1"]) < float(rows[1]["density_acoustic_1"])
        assert rows[2]["paper_gflops_of_fe2e"] == rows[2]["density_acoustic_1"] == rows[2]["top_p"] == ""
        with Image.open(out / "benchmark_test.png") as image:
            assert min(image.size) > 300
        markdown = (out / "benchmark_test.md").read_text()
        for text in (markdown, printed):
            assert "my_mesm on tiny test, cpu" in text
            assert "acoustic low level" in text
            assert "FE2E: my_fe2e" in text
            assert str(result.machine.processor) in text
        assert "parts, p = 0.2, cpu" in markdown
        assert "parts, p = 0.7, cpu" in markdown
        assert max(len(line.rstrip()) for line in printed.splitlines() if "─" in line) <= 80

    @pytest.mark.usefixtures("unpainted")
    def test_without_a_run_fe2e_has_costs_and_no_score(self, mesm, corpus):
        result = benchmark(mesm, data=corpus, top_p=[1.0], **QUICK)
        assert result.against_score is None
        assert result.against[0].multiply_adds > 0
        assert result.on("cpu")[0].multiply_adds > result.against[0].multiply_adds  # dense, and attention besides
        assert "random weights: costs only" in shown(result)
        assert sorted(path.name for path in (mesm / "benchmark").iterdir()) == [f"benchmark_test.{k}" for k in KINDS]

    def test_stages_with_a_p_of_their_own(self, corpus, tmp_path):
        settings = replace(TINY_MODEL, name="mesm", attention=AttentionSettings(budget=0.5))
        run = write_tiny_run(tmp_path / "run", model=settings)
        loaded = load_run(run)
        for index, stage in enumerate(loaded.model.stages.values()):
            stage.selection.top_p = 0.3 + 0.1 * index
        save_run(run, model=loaded.model, tokenizer=loaded.tokenizer, info=loaded.info)
        result = benchmark(run, data=corpus, top_p=[0.5], **QUICK)
        assert [cost.name for cost in result.costs] == ["0.5", AS_TRAINED]
        assert result.typical("cpu").name == AS_TRAINED
        assert result.typical("cpu").top_p == pytest.approx(0.55)
        density = {part.name: part.density for part in result.typical("cpu").parts}
        assert density["visual 1"] < density["acoustic 1"]

    @pytest.mark.usefixtures("unpainted")
    def test_fewer_utterances_than_asked_for(self, mesm, corpus, tmp_path):
        result = benchmark(mesm, data=corpus, top_p=[0.5], utterances=3, out=tmp_path, **QUICK)
        assert result.load.utterances == 3
        assert result.load.face_crops == pytest.approx((1 + 1 + 1) / 3)  # the first, the middle and the last one
        everything = benchmark(mesm, data=corpus, top_p=[0.5], utterances=99, out=tmp_path, **QUICK)
        assert everything.load.utterances == 7


class TestFe2e:
    def test_one_row_without_p(self, fe2e, corpus, tmp_path):
        result = benchmark(fe2e, data=corpus, out=tmp_path, **QUICK)
        assert [cost.name for cost in result.costs] == [THIS_RUN]
        assert result.costs == result.against
        assert result.costs[0].top_p is None
        assert "visual 3" in {part.name for part in result.costs[0].parts}
        assert "paper" not in shown(result)
        assert "density" not in shown(result)
        assert len(to_csv(result).splitlines()) == 2
        assert (tmp_path / "benchmark_test.png").is_file()

    def test_against_another(self, fe2e, corpus, tmp_path):
        other = write_tiny_run(tmp_path / "other", model=replace(TINY_MODEL, tower_channels=(4, 8, 16, 16)))
        result = benchmark(fe2e, data=corpus, against=other, out=tmp_path / "out", **QUICK)
        assert [cost.name for cost in (*result.costs, *result.against)] == [THIS_RUN, FE2E_NAME]
        assert result.shares(result.costs[0])[0] < 1

    def test_without_words(self, corpus, tmp_path):
        run = write_tiny_run(tmp_path / "run", model=replace(TINY_MODEL, modalities="v"))
        result = benchmark(run, data=corpus, **QUICK)
        assert {part.name.split(" ")[0] for part in result.costs[0].parts} == {"visual", "rest"}
        assert result.load.tokens == result.load.mel_chunks == 0


@pytest.mark.usefixtures("unpainted")
class TestDecisions:
    def test_stored_thresholds_are_not_taken_at_another_p(self, corpus, tmp_path):
        fingerprint = f"tiny {load_corpus(corpus).fingerprint}"
        stored = (0.93, 0.94, 0.91)
        run = write_tiny_run(
            tmp_path / "run", model=replace(TINY_MODEL, name="mesm"), thresholds=stored, corpus=fingerprint
        )
        result = benchmark(run, data=corpus, top_p=[0.3], **QUICK)
        assert result.scores[0].thresholds != stored
        assert "chosen on the validation split" in result.thresholds_from

    def test_cross_entropy_has_none(self, corpus, tmp_path):
        run = write_tiny_run(tmp_path / "run", model=replace(TINY_MODEL, name="mesm"), loss="ce")
        result = benchmark(run, data=corpus, top_p=[0.3], **QUICK)
        assert result.scores[0].thresholds is None
        assert "anew" not in shown(result)


class TestTwoDevices:
    def test_tables_and_plot(self, compared):
        result, _, _ = compared
        both = replace(
            result,
            costs=(*result.costs, *(replace(each, device="cuda", unseen=1.0) for each in result.costs)),
            against=(*result.against, *(replace(each, device="cuda") for each in result.against)),
            machine=replace(result.machine, gpu="A card"),
        )
        assert both.devices == ("cpu", "cuda")
        markdown = to_markdown(both)
        assert "on tiny test, cuda" in markdown
        assert "A card" in markdown
        assert "are in kernels of our own" in markdown
        assert len(to_csv(both).splitlines()) == 7
        assert plot_benchmark(both).startswith(b"\x89PNG")


def test_scores_that_do_not_exist(compared):
    result, _, _ = compared
    nothing = replace(result, scores=tuple(replace(score, auc=math.nan) for score in result.scores))
    rows = list(csv.DictReader(io.StringIO(to_csv(nothing))))
    assert rows[0]["auc"] == ""
    assert json.loads(nothing.to_json())["scores"][0]["auc"] is None
    assert plot_benchmark(nothing).startswith(b"\x89PNG")


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"top_p": [0.5, 1.2]}, r"1\.2"),
            ({"top_p": [0.0]}, r"0\.0"),
            ({"top_p": [math.nan]}, "nan"),
            ({"top_p": []}, "top_p has no value"),
            ({"rounds": 0}, "rounds must be at least 1, not 0"),
            ({"utterances": 0}, "utterances must be at least 1"),
            ({"batch_size": 0}, "batch_size must be at least 1"),
            ({"device": "abacus"}, "abacus"),
            ({"split": "exam"}, "no utterances in split 'exam'; available: train, valid, test"),
        ],
    )
    def test_options(self, mesm, corpus, tmp_path, options, message):
        with pytest.raises(UserError, match=message):
            benchmark(mesm, data=corpus, out=tmp_path / "out", **{**QUICK, **options})
        assert not (tmp_path / "out").exists()

    def test_other_emotions(self, corpus, tmp_path):
        run = write_tiny_run(tmp_path / "run", model=replace(TINY_MODEL, name="mesm"), label_names=("fear", "joy"))
        with pytest.raises(UserError, match=r"recognises fear, joy, but .* is also labelled angry, sad"):
            benchmark(run, data=corpus)

    def test_no_run(self, corpus, tmp_path):
        with pytest.raises(UserError, match="not a run folder"):
            benchmark(tmp_path, data=corpus)

    def test_against_a_mesm(self, mesm, corpus):
        with pytest.raises(UserError, match=r"is mesm of modalities 'tav': .* must be an fe2e of 'tav'"):
            benchmark(mesm, data=corpus, against=mesm)

    def test_against_other_modalities(self, mesm, corpus, tmp_path):
        other = write_tiny_run(tmp_path / "other", model=replace(TINY_MODEL, modalities="ta"))
        with pytest.raises(UserError, match="must be an fe2e of 'tav'"):
            benchmark(mesm, data=corpus, against=other)

    @pytest.mark.usefixtures("unpainted")
    def test_folder_that_cannot_be_written(self, fe2e, corpus, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="cannot write the benchmark into"):
            benchmark(fe2e, data=corpus, out=tmp_path / "file", **QUICK)


@pytest.mark.usefixtures("unpainted")
class TestCommandLine:
    def test_writes_and_prints(self, mesm, corpus, tmp_path, capsys):
        words = ["benchmark", str(mesm), "--data", str(corpus), "--top_p", "0.3", "0.6", "--rounds", "1"]
        assert main([*words, "--device", "cpu", "--out", str(tmp_path)]) == 0
        assert (tmp_path / "benchmark_test.json").is_file()
        printed = capsys.readouterr().out
        assert "machine: " in printed
        assert [line.split()[0] for line in printed.splitlines() if line.startswith("  0.")] == ["0.3", "0.6"]

    def test_a_wrong_p_is_one_line(self, mesm, corpus, capsys):
        assert main(["benchmark", str(mesm), "--data", str(corpus), "--top_p", "0.3", "3"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "3" in error

    def test_interrupted(self, mesm, corpus, tmp_path, monkeypatch, capsys):
        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(run, "score_loaded", interrupt)
        words = ["benchmark", str(mesm), "--data", str(corpus), "--top_p", "0.3", "--rounds", "1", "--device", "cpu"]
        assert main([*words, "--out", str(tmp_path / "out")]) == 130
        assert "nothing was written" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_normalisations_of_the_random_fe2e_are_settled(mesm, corpus):
    loaded = load_run(mesm)
    sample = run._Sample(corpus=load_corpus(corpus), split="test", utterances=7, batch_size=7)
    (batch,) = sample.batches(loaded)
    model = run._random_fe2e(loaded, batch).model
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert all(norm.momentum == 0.1 and float(norm.running_mean.abs().sum()) > 0 for norm in norms)
    assert not model.training
    assert not loaded.model.training
    assert np.isfinite(model(batch).detach().numpy()).all()
