"""Experiments that are run: what is missing is done, kills and failures cost nothing that was done."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from shown import shown
from tiny_corpus import write_tiny_corpus
from tiny_features import write_tiny_features

from mme2e.__main__ import main
from mme2e.errors import UserError
from mme2e.experiments.experiment import experiment
from mme2e.experiments.file import read_experiment
from mme2e.experiments.plan import Stage, plan_runs
from mme2e.experiments.runner import duration_text

SHIPPED = sorted(Path("configs/experiments").glob("*.yaml"))
TINY = (
    "model.text.model=scratch", "model.text.vocab_size=60", "model.text.hidden_dim=8", "model.text.num_layers=1",
    "model.text.num_heads=2", "model.tower_channels=[4,4,8,8]", "model.tower_dim=16", "model.trans_dim=8",
    "model.num_layers=1", "model.num_heads=2", "model.feedforward_dim=16", "batch_size=4", "epochs=2", "num_workers=0",
    "accelerator=cpu", "anneal_epochs=0", "scheduler=none", "warmup_epochs=0",
)  # fmt: skip
FILE = """
name: tiny
variants:
  words: {model.modalities: t}
  features: {model: {name: lf_rnn, modalities: ta}}
seeds: [0, 1]
baseline: words
metrics: [f1]
bootstrap: {draws: 100}
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_tiny_features(write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "corpus", 6))


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("file") / "tiny.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture(autouse=True)
def _no_plots_of_single_runs(monkeypatch) -> None:
    for name in ("plot_evaluation", "plot_reliability"):
        monkeypatch.setattr(f"mme2e.evaluation.score_run.{name}", lambda *_: b"")


@pytest.fixture
def settings(file, corpus):
    return read_experiment(file, data=[str(corpus)], changes=TINY)


def fail_at(monkeypatch, call: int, error: BaseException) -> None:
    """Makes the training step fail when it is called for that time, counted from 1."""
    from mme2e.training.module import EmotionModule

    step, calls = EmotionModule.training_step, []

    def failing(self, given, batch_idx):
        calls.append(batch_idx)
        if len(calls) == call:
            raise error
        return step(self, given, batch_idx)

    monkeypatch.setattr(EmotionModule, "training_step", failing)


def contents(out: Path) -> dict[str, str]:
    """What does not depend on when it was made."""
    return {name: (out / name).read_text() for name in ("summary.csv", "comparisons.csv")}


@pytest.fixture(scope="module")
def straight(file, corpus, tmp_path_factory) -> Path:
    """An experiment that was never interrupted, from the command line."""
    out = tmp_path_factory.mktemp("straight") / "out"
    words = ["--data", str(corpus), "--out", str(out), "--set", *TINY]
    assert main(["experiment", str(file), *words]) == 0
    return out


def test_what_is_written(straight, settings) -> None:
    runs = plan_runs(settings, straight)
    assert len(runs) == 4
    for run in runs:
        assert json.loads((run.folder / "metrics.json").read_text())["finished"]
        assert (run.scores / "predictions_test.csv").is_file()
    assert {path.name for path in straight.iterdir()} >= {"results.csv", "results.md", "results.tex", "results.png"}
    text = (straight / "results.md").read_text()
    assert "| words | 2 |" in text
    assert "0 of 2 speakers and 3 of 3 texts are in the training split too" in text


def test_nothing_is_done_twice(straight, settings, monkeypatch) -> None:
    fail_at(monkeypatch, 1, RuntimeError("trained again"))
    before = contents(straight)
    result = experiment(settings, out=straight)
    assert result.complete
    assert not result.failures
    assert contents(straight) == before


@pytest.mark.parametrize("step", [1, 3, 7], ids=["first run", "second epoch", "third run"])
def test_a_kill_in_the_middle_changes_no_number(straight, settings, tmp_path, step) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
            experiment(settings, out=tmp_path)
    assert not (tmp_path / "results.csv").exists()
    result = experiment(settings, out=tmp_path)
    assert result.complete
    assert contents(tmp_path) == contents(straight)


def test_a_kill_between_training_and_scoring(straight, settings, tmp_path) -> None:
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    run = plan_runs(settings, tmp_path)[0]
    shutil.rmtree(run.scores)
    (tmp_path / "runs/split/features/seed1").rename(tmp_path / "elsewhere")
    stages = experiment(settings, out=tmp_path, dry_run=True).stages
    assert stages[run] is Stage.TRAINED
    assert sum(stage is Stage.MISSING for stage in stages.values()) == 1
    assert experiment(settings, out=tmp_path).complete
    assert contents(tmp_path) == contents(straight)


def test_a_kill_before_a_run_says_what_it_is(settings, tmp_path) -> None:
    settings = replace(settings, variants=settings.variants[:1], seeds=(0,))
    (plan_runs(settings, tmp_path)[0].folder / "checkpoints").mkdir(parents=True)
    assert experiment(settings, out=tmp_path).complete


def test_a_failing_run_does_not_end_the_others(
    straight, file, corpus, tmp_path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    words = ["experiment", str(file), "--data", str(corpus), "--out", str(tmp_path), "--set", *TINY]
    with monkeypatch.context() as patch:
        fail_at(patch, 1, RuntimeError("the GPU caught\nfire"))
        assert main(words) == 1
    captured = capsys.readouterr()
    assert "failed: RuntimeError: the GPU caught fire (see " in captured.err
    assert "INCOMPLETE: 3 of 4 runs are done" in captured.out
    failure = tmp_path / "runs/split/words/seed0/failure.txt"
    assert "Traceback" in failure.read_text()
    assert "failed: words, seed 0 (split)" in (tmp_path / "results.md").read_text()
    assert main([*words, "--only_report"]) == 1
    assert main(words) == 0
    assert not failure.exists()
    assert contents(tmp_path) == contents(straight)


def test_a_dry_run_writes_nothing(settings, tmp_path) -> None:
    result = experiment(settings, out=tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert set(result.stages.values()) == {Stage.MISSING}
    assert "4 of 4 runs are to be done" in shown(result)


def test_a_report_of_nothing(settings, tmp_path) -> None:
    result = experiment(settings, out=tmp_path, only_report=True)
    assert result.tables is None
    assert "nothing to show" in shown(result)


def test_other_settings_and_other_corpora_are_not_mixed_in(straight, settings, file, corpus, tmp_path) -> None:
    other = read_experiment(file, data=[str(corpus)], changes=[*TINY, "learning_rate=0.5"])
    with pytest.raises(UserError, match=r"learning_rate was 5e-05, now it is 0.5.*give another --out"):
        experiment(other, out=straight)
    elsewhere = write_tiny_features(write_tiny_corpus(tmp_path / "corpus", 6, seed=1))
    moved = read_experiment(file, data=[str(elsewhere)], changes=TINY)
    with pytest.raises(UserError, match=r"requires the corpus 'tiny .*give another --out"):
        experiment(moved, out=straight)


def test_scores_on_another_corpus_are_made_again(straight, settings, tmp_path) -> None:
    shutil.copytree(straight, tmp_path, dirs_exist_ok=True)
    run = plan_runs(settings, tmp_path)[0]
    path = run.scores / "metrics_test.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "corpus": "mosei 1234"}))
    assert experiment(settings, out=tmp_path, dry_run=True).stages[run] is Stage.TRAINED


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda corpus: shutil.rmtree(corpus / "test"), "no utterances in split 'test'"),
        (lambda corpus: shutil.rmtree(corpus / "features"), "features"),
        (lambda corpus: shutil.rmtree(corpus), "no folder"),
    ],
    ids=["no test split", "no features", "no corpus"],
)
def test_corpora_are_checked_before_anything_is_trained(corpus, file, tmp_path, prepare, told) -> None:
    copy = shutil.copytree(corpus, tmp_path / "corpus", ignore=shutil.ignore_patterns(".cache"))
    prepare(copy)
    settings = read_experiment(file, data=[str(copy)], changes=TINY)
    with pytest.raises(UserError, match=told):
        experiment(settings, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_at_once_are_refused(settings, tmp_path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(UserError, match="another 'mme2e experiment' is working on"):
        experiment(settings, out=tmp_path)


def test_durations() -> None:
    assert [duration_text(seconds) for seconds in (40, 600, 7200)] == ["40 s", "10 min", "2.0 h"]


@pytest.mark.slow
@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_run_in_a_reduced_form(file, corpus, tmp_path) -> None:
    """Tiny models, one epoch, one seed; of the variants the first, the baseline and the last."""
    settings = read_experiment(
        file, data=[str(corpus)], seeds=[0], changes=[word.replace("epochs=2", "epochs=1") for word in TINY]
    )
    ends = {settings.variants[0].name, settings.baseline, settings.variants[-1].name}
    kept = tuple(each for each in settings.variants if each.name in ends)
    published = settings.published
    if published is not None:
        published = replace(published, rows={name: row for name, row in published.rows.items() if name in ends})
    settings = replace(settings, variants=kept, published=published, bootstrap=replace(settings.bootstrap, draws=100))
    assert experiment(settings, out=tmp_path).complete
    text = (tmp_path / "results.md").read_text()
    assert "are in the training split too" in text
    if published is not None:
        assert "| paper |" in text
    if file.stem == "top_p":
        assert "| mesm top_p=1 | " in text.split("## Operations")[1]
        assert "8.65" in text
