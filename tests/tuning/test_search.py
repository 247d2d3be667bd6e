"""Searches with tiny models: their results, their end before the end, and the split that is closed to them."""

import csv
import dataclasses
import shutil
import sys
from pathlib import Path

import optuna
import pytest
import yaml
from tiny_corpus import write_tiny_corpus
from tiny_runs import TINY_MODEL

from mme2e.__main__ import main
from mme2e.config import TrainSettings
from mme2e.config.search import Dimension, PrunerSettings, SearchSettings
from mme2e.data.corpus import ClosedSplitError
from mme2e.errors import UserError
from mme2e.runs.folder import load_run
from mme2e.training.history import TrainingReport, settings_to_yaml
from mme2e.tuning.search import search

BASE = TrainSettings(
    model=dataclasses.replace(TINY_MODEL, modalities="t"),
    epochs=2,
    batch_size=2,
    learning_rate=1e-2,
    early_stop=0,
    num_workers=0,
    accelerator="cpu",
)
SETTINGS = SearchSettings(
    base=BASE,
    space={
        "learning_rate": Dimension(low=1e-4, high=1e-1, log=True),
        "model.tower_channels": Dimension(choices=[[4, 4, 8, 8], [4, 4, 4, 4]]),
    },
    pruner=PrunerSettings(name="none"),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "corpus", 4)


@pytest.fixture(scope="module")
def done(corpus, tmp_path_factory):
    """A search of three trials, never interrupted; with its folder."""
    out = tmp_path_factory.mktemp("done") / "search"
    return search(SETTINGS, data=corpus, out=out, trials=3), out


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "search"))


def outcome(result):
    return [(trial.state, trial.value, trial.point, trial.epochs) for trial in result.trials]


def interrupt_second_epoch(monkeypatch) -> None:
    from mme2e.training.module import EmotionModule

    step = EmotionModule.training_step

    def interrupted(self, given, batch_idx):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, given, batch_idx)

    monkeypatch.setattr(EmotionModule, "training_step", interrupted)


def count_trainings(monkeypatch) -> list[float]:
    """Learning rates of the runs that are trained from now on."""
    from mme2e.training import trainer

    train, rates = trainer.train_model, []

    def counting(settings, **options):
        rates.append(settings.learning_rate)
        return train(settings, **options)

    monkeypatch.setattr(trainer, "train_model", counting)
    return rates


class TestResult:
    def test_the_first_trial_is_the_base_and_the_best_has_the_best_score(self, done):
        result, _ = done
        assert [trial.number for trial in result.trials] == [0, 1, 2]
        assert result.trials[0].point == {"learning_rate": 1e-2, "model.tower_channels": (4, 4, 8, 8)}
        assert result.best.value == max(trial.value for trial in result.trials)
        assert all(trial.epochs == 2 for trial in result.trials)
        assert result.best_settings.learning_rate == result.best.point["learning_rate"]

    def test_the_best_settings_train_to_the_best_score(self, done, corpus, tmp_path, capsys):
        result, out = done
        words = ["train", "--config", str(out / "best.yaml"), "--data", str(corpus), "--out", str(tmp_path / "run")]
        assert main(words) == 0
        assert TrainingReport.read(tmp_path / "run").best.valid_macro_f1 == result.best.value

    def test_the_best_run_is_kept_and_no_other(self, done, corpus):
        from mme2e.data.corpus import load_corpus

        result, out = done
        assert list((out / "runs").iterdir()) == [result.best_run]
        # The run belongs to the corpus with its test split: it can be scored there.
        assert load_run(result.best_run).info.corpus == f"tiny {load_corpus(corpus).fingerprint}"

    def test_the_files_tell_every_trial(self, done):
        result, out = done
        with (out / "trials.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [float(row["valid_macro_f1"]) for row in rows] == [trial.value for trial in result.trials]
        assert float(rows[1]["learning_rate"]) == result.trials[1].point["learning_rate"]
        report = (out / "search.md").read_text()
        assert f"trial {result.best.number}, valid_macro_f1 {result.best.value:.4f}" in report
        assert "test split was closed" in report
        assert (out / "best.yaml").read_text() == settings_to_yaml(result.best_settings)
        assert (out / "history.png").read_bytes().startswith(b"\x89PNG")
        assert (out / "importances.png").exists() == bool(result.importances)
        assert not list(out.rglob("*.tmp"))

    def test_the_lowest_loss_wins(self, corpus, tmp_path):
        settings = dataclasses.replace(SETTINGS, objective="valid_loss")
        result = search(settings, data=corpus, out=tmp_path / "search", trials=2)
        assert result.best.value == min(trial.value for trial in result.trials)
        assert result.importances.keys() == settings.space.keys()
        assert sum(result.importances.values()) == pytest.approx(1)

    def test_a_point_that_comes_again_is_not_trained_again(self, corpus, tmp_path, monkeypatch):
        rates = count_trainings(monkeypatch)
        space = {"learning_rate": Dimension(choices=[0.01, 0.02])}
        settings = dataclasses.replace(SETTINGS, base=dataclasses.replace(BASE, epochs=1), space=space)
        result = search(settings, data=corpus, out=tmp_path / "search", trials=6)
        assert len(result.trials) == 6
        assert sorted(rates) == [0.01, 0.02]
        assert result.best_run.is_dir()


class TestEnds:
    def test_a_search_that_was_cut_off_ends_like_one_that_was_not(self, done, corpus, tmp_path, monkeypatch):
        straight, _ = done
        out = tmp_path / "search"
        search(SETTINGS, data=corpus, out=out, trials=1)
        with monkeypatch.context() as patched:
            interrupt_second_epoch(patched)
            with pytest.raises(KeyboardInterrupt, match="1 trials are kept"):
                search(SETTINGS, data=corpus, out=out, trials=3)
        assert (out / "search.md").is_file()
        rates = count_trainings(monkeypatch)
        result = search(SETTINGS, data=corpus, out=out, trials=3)
        assert outcome(result) == outcome(straight)
        assert len(rates) == 2  # the first trial is not done again

    def test_a_trial_that_was_running_when_the_process_was_killed_is_repeated(self, done, corpus, tmp_path):
        straight, folder = done
        out = copied(folder, tmp_path)
        study = optuna.load_study(study_name="search", storage=f"sqlite:///{out / 'study.db'}")
        killed = study.ask()
        point = {
            "learning_rate": killed.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            "model.tower_channels": killed.suggest_categorical(
                "model.tower_channels", ["[4, 4, 8, 8]", "[4, 4, 4, 4]"]
            ),
        }
        close(study)
        (out / "runs" / f"trial_{killed.number:04d}").mkdir()
        result = search(SETTINGS, data=corpus, out=out, trials=4)
        assert outcome(result)[:3] == outcome(straight)
        assert result.trials[3].number == killed.number + 1
        assert result.trials[3].point["learning_rate"] == point["learning_rate"]
        states = states_of(out)
        assert states == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]

    def test_a_finished_search_trains_nothing(self, done, corpus, tmp_path, monkeypatch):
        straight, folder = done
        rates = count_trainings(monkeypatch)
        assert outcome(search(SETTINGS, data=corpus, out=copied(folder, tmp_path), trials=3)) == outcome(straight)
        assert not rates

    def test_no_trial_begins_after_the_time_is_up(self, done, corpus, tmp_path, monkeypatch, capsys):
        _, folder = done
        rates = count_trainings(monkeypatch)
        result = search(SETTINGS, data=corpus, out=copied(folder, tmp_path), trials=9, timeout_s=1e-9)
        assert len(result.trials) == 3
        assert not rates
        assert "the time is up after 3 of 9 trials" in capsys.readouterr().err

    def test_no_time_for_any_trial_is_an_error(self, corpus, tmp_path):
        with pytest.raises(UserError, match=r"no trial of .* is complete: there was no time"):
            search(SETTINGS, data=corpus, out=tmp_path / "search", trials=2, timeout_s=1e-9)

    def test_trials_that_are_worse_than_the_median_are_given_up(self, corpus, tmp_path, monkeypatch):
        from mme2e.tuning.run import _Search

        # From the third trial on every epoch counts as a very bad one.
        train = _Search._train

        def worse(self, trial):
            if trial.number >= 2:
                report = trial.report
                trial.report = lambda value, step: report(value - 1, step)
            return train(self, trial)

        monkeypatch.setattr(_Search, "_train", worse)
        pruner = PrunerSettings(startup_trials=2, warmup_epochs=1)
        result = search(dataclasses.replace(SETTINGS, pruner=pruner), data=corpus, out=tmp_path / "search", trials=3)
        assert [trial.state for trial in result.trials] == ["complete", "complete", "pruned"]
        assert result.trials[2].epochs == 1
        assert "pruned" in (tmp_path / "search" / "search.md").read_text()
        assert result.best.number < 2


class TestFailures:
    def test_settings_that_contradict_each_other_fail_and_the_search_goes_on(self, corpus, tmp_path):
        space = {"model.num_heads": Dimension(choices=[3, 4]), "model.trans_dim": Dimension(choices=[6, 8])}
        settings = dataclasses.replace(SETTINGS, space=space, base=dataclasses.replace(BASE, epochs=1), seed=3)
        result = search(settings, data=corpus, out=tmp_path / "search", trials=5)
        failed = [trial for trial in result.trials if trial.state == "failed"]
        assert failed
        assert "is not a multiple of model.num_heads" in failed[0].reason
        assert failed[0].reason in (tmp_path / "search" / "search.md").read_text()

    def test_three_failures_in_a_row_end_it_with_the_reason(self, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 3)
        shutil.rmtree(corpus / "valid")
        with pytest.raises(UserError, match=r"3 trials in a row failed, .*'valid'"):
            search(SETTINGS, data=corpus, out=tmp_path / "search", trials=9)

    def test_an_undefined_score_is_a_failure(self, corpus, tmp_path, monkeypatch):
        from mme2e.tuning.run import _Search

        monkeypatch.setattr(_Search, "_train", lambda self, trial: float("nan"))
        with pytest.raises(UserError, match="valid_macro_f1 is undefined"):
            search(SETTINGS, data=corpus, out=tmp_path / "search", trials=1)

    @pytest.mark.parametrize(
        ("options", "told"), [({"trials": 0}, "trials must be at least 1"), ({"timeout_s": 0}, "timeout_s must be")]
    )
    def test_nonsense_is_refused(self, options, told, corpus, tmp_path):
        with pytest.raises(UserError, match=told):
            search(SETTINGS, data=corpus, out=tmp_path / "search", **options)

    def test_another_search_in_the_same_folder_is_refused_and_named(self, done, corpus, tmp_path):
        out = copied(done[1], tmp_path)
        other = dataclasses.replace(SETTINGS, seed=1, base=dataclasses.replace(BASE, epochs=3))
        with pytest.raises(UserError, match=r"another base\.epochs, seed: give another --out"):
            search(other, data=corpus, out=out, trials=3)

    def test_a_folder_with_something_else_is_refused(self, corpus, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(UserError, match="holds no search"):
            search(SETTINGS, data=corpus, out=tmp_path)
        with pytest.raises(UserError, match="holds no search"):
            search(SETTINGS, data=corpus, out=tmp_path / "notes.txt")

    def test_two_searches_at_once_in_one_folder_are_refused(self, done, corpus, tmp_path):
        from filelock import FileLock

        out = copied(done[1], tmp_path)
        with FileLock(out / ".lock"), pytest.raises(UserError, match="another 'mme2e search' is working"):
            search(SETTINGS, data=corpus, out=out, trials=3)

    def test_without_optuna_the_extra_is_named(self, corpus, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "optuna", None)
        with pytest.raises(UserError, match=r"mme2e\[search\]"):
            search(SETTINGS, data=corpus, out=tmp_path / "search")


class TestClosedSplit:
    def test_training_code_that_asks_for_the_test_split_is_stopped(self, corpus, tmp_path, monkeypatch):
        from mme2e.training import trainer

        def cheat(opened, settings):
            opened.labels("test")

        monkeypatch.setattr(trainer, "_check_corpus", cheat)
        with pytest.raises(ClosedSplitError, match="'test'"):
            search(SETTINGS, data=corpus, out=tmp_path / "search", trials=2)

    def test_so_is_a_dataset_of_it(self, corpus, tmp_path, monkeypatch):
        from mme2e.data import hand_crafted
        from mme2e.training import data_module

        def cheat(opened, split, settings, tokenizer, **options):
            return hand_crafted.open_dataset(opened, "test", settings, tokenizer, **options)

        monkeypatch.setattr(data_module, "open_dataset", cheat)
        with pytest.raises(ClosedSplitError, match="'test'"):
            search(SETTINGS, data=corpus, out=tmp_path / "search", trials=2)

    def test_a_test_split_that_nobody_could_read_changes_nothing(self, done, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 4)
        for path in (corpus / "test").iterdir():
            path.write_bytes(b"no Parquet")
        result = search(SETTINGS, data=corpus, out=tmp_path / "search", trials=1)
        assert outcome(result) == outcome(done[0])[:1]


def test_the_verb(corpus, tmp_path, capsys):
    file = tmp_path / "search.yaml"
    content = {
        "base": yaml.safe_load(settings_to_yaml(dataclasses.replace(BASE, epochs=1))),
        "space": {"learning_rate": {"choices": [0.01, 0.03]}},
    }
    file.write_text(yaml.safe_dump(content))
    words = ["search", str(file), "--data", str(corpus), "--out", str(tmp_path / "out"), "--trials", "2"]
    assert main(words) == 0
    assert "best is trial" in capsys.readouterr().out
    assert main([*words[:-1], "0"]) == 2
    assert "trials must be at least 1" in capsys.readouterr().err


def close(study: optuna.Study) -> None:
    storage = study._storage._backend
    storage.remove_session()
    storage.engine.dispose()


def states_of(out: Path) -> list[str]:
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{out / 'study.db'}")
    states = [trial.state.name for trial in study.trials]
    close(study)
    return states
