import csv
import dataclasses
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_corpus import LABEL_NAMES, write_tiny_corpus
from tiny_runs import TINY_MODEL

from mme2e.config import AugmentSettings, TrainSettings
from mme2e.errors import UserError
from mme2e.models import build_model
from mme2e.runs.folder import load_run
from mme2e.training.history import EpochRecord
from mme2e.training.resume import owned
from mme2e.training.train import train
from mme2e.training.trainer import TrainResult, train_model

TINY = TrainSettings(
    model=TINY_MODEL,
    # Whatever draws random numbers is on, so that exact resuming is put to the test.
    augment=AugmentSettings(
        crop_jitter_px=2, flip=0.5, brightness=0.2, time_masks=1, frequency_masks=1, word_dropout=0.2
    ),
    epochs=4,
    batch_size=2,
    learning_rate=1e-2,
    scheduler="cosine",
    warmup_epochs=1,
    early_stop=0,
    num_workers=0,
    accelerator="cpu",
)
TRAIN_IN_ANOTHER_PROCESS = """
import pickle, sys
from pathlib import Path
from mme2e.training.train import train
if __name__ == "__main__":
    settings = pickle.loads(bytes.fromhex(sys.argv[1]))
    train(settings, data=Path(sys.argv[2]), out=Path(sys.argv[3]))
"""


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_tiny_corpus(tmp_path_factory.mktemp("tiny") / "corpus", 6)


@pytest.fixture(scope="module")
def straight(corpus, tmp_path_factory) -> TrainResult:
    """A run that was never interrupted."""
    return train(TINY, data=corpus, out=tmp_path_factory.mktemp("straight") / "run")


def raise_interrupted(*arguments, **options):
    raise Interrupted


def timeless(record: EpochRecord) -> EpochRecord:
    return dataclasses.replace(record, seconds=0, data_wait_share=0)


def assert_same_run(one: TrainResult, other: TrainResult) -> None:
    assert [timeless(record) for record in one.history] == [timeless(record) for record in other.history]
    weights, expected = load_file(other.run / "model.safetensors"), load_file(one.run / "model.safetensors")
    assert weights.keys() == expected.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], expected[name], rtol=0, atol=0)
    for name in ("best.ckpt", "last.ckpt"):
        states = [torch.load(r.run / "checkpoints" / name, weights_only=True)["state_dict"] for r in (one, other)]
        for key in states[0]:
            assert torch.equal(states[0][key], states[1][key]), key


def interrupt(monkeypatch, epoch: int, batch: int, error: type[BaseException]) -> None:
    """Makes training fail in the given epoch (from 0) at the given batch."""
    from mme2e.training.module import EmotionModule

    step = EmotionModule.training_step

    def failing(self, given, batch_idx):
        if (self.current_epoch, batch_idx) == (epoch, batch):
            raise error
        return step(self, given, batch_idx)

    monkeypatch.setattr(EmotionModule, "training_step", failing)


class TestRun:
    def test_what_is_written(self, straight, corpus):
        run = straight.run
        assert [record.epoch for record in straight.history] == [1, 2, 3, 4]
        assert straight.best is max(straight.history, key=lambda record: record.valid_macro_f1)
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["finished"]
        assert metrics["best"]["valid_macro_f1"] == straight.best.valid_macro_f1
        assert len(metrics["history"]) == 4
        with (run / "logs" / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
        assert all(0 <= float(row["data_wait_share"]) <= 1 for row in rows)
        assert list((run / "logs").glob("events.out.tfevents.*"))
        assert not list(run.rglob("*.tmp"))

    def test_the_best_weights_are_loadable_with_their_thresholds(self, straight):
        loaded = load_run(straight.run)
        assert loaded.info.label_names == LABEL_NAMES
        assert loaded.info.thresholds == straight.best.thresholds
        assert loaded.info.loss == "bce"
        assert loaded.info.corpus.startswith("tiny ")
        best = torch.load(straight.run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
        for name, tensor in loaded.model.state_dict().items():
            assert torch.equal(tensor, best[f"model.{name}"]), name

    def test_the_settings_file_repeats_the_run(self, straight):
        from jsonargparse import ArgumentParser

        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(TrainSettings, "train")
        content = yaml.safe_load((straight.run / "train_settings.yaml").read_text())
        assert parser.instantiate(parser.parse_object({"train": content})).train == TINY

    def test_same_seed_same_weights_and_another_seed_others(self, straight, corpus, tmp_path):
        assert_same_run(straight, train(TINY, data=corpus, out=tmp_path / "again"))
        other = train(dataclasses.replace(TINY, seed=1, epochs=1), data=corpus, out=tmp_path / "other")
        assert other.history[0].train_loss != straight.history[0].train_loss

    def test_workers_change_no_number(self, straight, corpus, tmp_path):
        assert_same_run(straight, train(dataclasses.replace(TINY, num_workers=1), data=corpus, out=tmp_path / "run"))

    @pytest.mark.parametrize(
        "changes",
        [
            {"precision": "bf16"},
            {"accumulate": 2, "gradient_clip": 0.0, "pos_weight": False},
            {"loss": "ce"},
            {"model": dataclasses.replace(TINY.model, modalities="a"), "scheduler": "none", "warmup_epochs": 0},
        ],
        ids=["bf16", "accumulate", "ce", "sound only"],
    )
    def test_other_ways_of_training(self, corpus, tmp_path, changes):
        settings = dataclasses.replace(TINY, epochs=1, **changes)
        result = train(settings, data=corpus, out=tmp_path / "run")
        info = load_run(result.run).info
        assert info.loss == settings.loss
        assert (info.thresholds is None) == (settings.loss == "ce")

    @pytest.mark.parametrize("deterministic", [True, False])
    def test_determinism_is_a_setting(self, corpus, tmp_path, monkeypatch, deterministic):
        given = []
        monkeypatch.setattr("mme2e.training.fit.Trainer", lambda **named: given.append(named) or raise_interrupted())
        with pytest.raises(Interrupted):
            train(dataclasses.replace(TINY, deterministic=deterministic), data=corpus, out=tmp_path / "run")
        assert given[0]["deterministic"] is deterministic
        assert TINY.deterministic

    def test_early_stop(self, corpus, tmp_path):
        settings = dataclasses.replace(
            TINY, epochs=10, early_stop=1, learning_rate=1e-12, scheduler="none", warmup_epochs=0
        )
        assert len(train(settings, data=corpus, out=tmp_path / "run").history) < 10

    def test_multi_label(self, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 6, multi_label=True)
        result = train(dataclasses.replace(TINY, epochs=1), data=corpus, out=tmp_path / "run")
        assert load_run(result.run).info.multi_label

    def test_it_learns(self, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 12)
        settings = dataclasses.replace(
            TINY,
            epochs=12,
            augment=AugmentSettings(),
            text_lr_factor=1.0,
            batch_size=4,
            scheduler="none",
            warmup_epochs=0,
        )
        assert train(settings, data=corpus, out=tmp_path / "run").best.valid_macro_f1 > 0.9


class TestResume:
    @pytest.mark.parametrize(("epoch", "batch"), [(0, 1), (2, 0), (2, 1)], ids=["first epoch", "between", "within"])
    def test_the_numbers_are_those_of_a_run_that_was_never_interrupted(self, straight, corpus, tmp_path, epoch, batch):
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, epoch, batch, Interrupted)
            with pytest.raises(Interrupted):
                train(TINY, data=corpus, out=tmp_path / "run")
        assert not json.loads((tmp_path / "run" / "metrics.json").read_text())["finished"]
        torch.rand(7)  # the state of the generators at the time of resuming must not matter
        assert_same_run(straight, train(TINY, data=corpus, out=tmp_path / "run", resume=True))
        with (tmp_path / "run" / "logs" / "metrics.csv").open() as file:
            assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]

    def test_a_full_disk(self, straight, corpus, tmp_path):
        save = torch.save

        class FullDisk(io.RawIOBase):
            def write(self, content):
                raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "mme2e.training.fit.torch.save",
                lambda checkpoint, file: save(checkpoint, FullDisk() if checkpoint["epoch"] == 2 else file),
            )
            with pytest.raises(
                UserError, match=r"cannot write to .*run \(No space left on device\): what was finished"
            ):
                train(TINY, data=corpus, out=tmp_path / "run")
        assert not list(tmp_path.rglob("*.tmp"))
        assert_same_run(straight, train(TINY, data=corpus, out=tmp_path / "run", resume=True))

    def test_ctrl_c(self, straight, corpus, tmp_path, monkeypatch):
        handler = signal.getsignal(signal.SIGINT)
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, 1, 1, KeyboardInterrupt)
            with pytest.raises(KeyboardInterrupt):
                train(TINY, data=corpus, out=tmp_path / "run")
        assert signal.getsignal(signal.SIGINT) is handler
        assert_same_run(straight, train(TINY, data=corpus, out=tmp_path / "run", resume=True))

    def test_a_worker_that_dies_of_ctrl_c_is_an_interrupt(self, corpus, tmp_path, monkeypatch):
        def step(self, batch, batch_idx):
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")

        monkeypatch.setattr("mme2e.training.module.EmotionModule.training_step", step)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, data=corpus, out=tmp_path / "run")

    @pytest.mark.slow
    def test_kill(self, straight, corpus, tmp_path):
        import pickle

        # With `spawn`ed interpreters the settings travel as hexadecimal digits.
        script = tmp_path / "train.py"
        script.write_text(TRAIN_IN_ANOTHER_PROCESS)
        command = [sys.executable, str(script), pickle.dumps(TINY).hex(), str(corpus), str(tmp_path / "run")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        last = tmp_path / "run" / "checkpoints" / "last.ckpt"
        while not last.exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert_same_run(straight, train(TINY, data=corpus, out=tmp_path / "run", resume=True))

    def test_a_moved_run_keeps_its_best(self, straight, corpus, tmp_path):
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, 3, 0, Interrupted)
            with pytest.raises(Interrupted):
                train(TINY, data=corpus, out=tmp_path / "here")
        (tmp_path / "here").rename(tmp_path / "there")
        assert_same_run(straight, train(TINY, data=corpus, out=tmp_path / "there", resume=True))

    def test_early_stopping_goes_on_counting(self, corpus, tmp_path):
        settings = dataclasses.replace(
            TINY, epochs=10, early_stop=3, learning_rate=1e-12, scheduler="none", warmup_epochs=0
        )
        whole = train(settings, data=corpus, out=tmp_path / "whole")
        with pytest.MonkeyPatch.context() as patch:
            interrupt(patch, len(whole.history) - 1, 0, Interrupted)
            with pytest.raises(Interrupted):
                train(settings, data=corpus, out=tmp_path / "run")
        assert_same_run(whole, train(settings, data=corpus, out=tmp_path / "run", resume=True))

    @pytest.mark.parametrize("early", [False, True], ids=["all epochs", "early stop"])
    def test_killed_after_the_last_epoch(self, corpus, tmp_path, early):
        settings = dataclasses.replace(TINY, epochs=2, scheduler="none", warmup_epochs=0)
        if early:
            settings = dataclasses.replace(settings, epochs=10, early_stop=1, learning_rate=1e-12)
        whole = train(settings, data=corpus, out=tmp_path / "whole")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mme2e.training.trainer.save_run", raise_interrupted)
            with pytest.raises(Interrupted):
                train(settings, data=corpus, out=tmp_path / "run")
        assert_same_run(whole, train(settings, data=corpus, out=tmp_path / "run", resume=True))

    def test_a_damaged_checkpoint_is_named(self, straight, corpus, tmp_path):
        run = shutil.copytree(straight.run, tmp_path / "run")
        metrics = json.loads((run / "metrics.json").read_text())
        (run / "metrics.json").write_text(json.dumps({**metrics, "finished": False}))
        last = run / "checkpoints" / "last.ckpt"
        for content in (last.read_bytes()[:-500], b"", b"no checkpoint"):
            last.write_bytes(content)
            with pytest.raises(UserError, match=r"last\.ckpt is damaged"):
                train(TINY, data=corpus, out=run, resume=True)

    def test_a_finished_run_is_left_as_it_is(self, straight, corpus, capsys):
        before = {path: path.stat().st_mtime_ns for path in straight.run.rglob("*")}
        again = train(TINY, data=corpus, out=straight.run, resume=True)
        assert "is finished after 4 epochs: nothing to resume" in capsys.readouterr().err
        assert {path: path.stat().st_mtime_ns for path in straight.run.rglob("*")} == before
        assert (again.best, again.history) == (straight.best, straight.history)

    def test_other_settings(self, straight, corpus):
        other = dataclasses.replace(TINY, epochs=9, model=dataclasses.replace(TINY.model, dropout=0.5))
        both = r"started with: epochs was 4, now it is 9; model\.dropout was 0\.1, now it is 0\.5$"
        with pytest.raises(UserError, match=both):
            train(other, data=corpus, out=straight.run, resume=True)

    def test_another_corpus(self, straight, tmp_path):
        other = write_tiny_corpus(tmp_path / "other", 3, name="other")
        with pytest.raises(UserError, match=r"requires the corpus 'tiny .*' .* not 'other "):
            train(TINY, data=other, out=straight.run, resume=True)

    def test_nothing_there(self, corpus, tmp_path):
        with pytest.raises(UserError, match="nothing to resume"):
            train(TINY, data=corpus, out=tmp_path / "run", resume=True)

    @pytest.mark.parametrize("name", ["train_settings.yaml", "metrics.json"])
    def test_damaged_files(self, straight, corpus, tmp_path, name):
        (tmp_path / "run").mkdir()
        for file in ("train_settings.yaml", "metrics.json"):
            (tmp_path / "run" / file).write_bytes((straight.run / file).read_bytes())
        (tmp_path / "run" / name).write_bytes(b"{\xff")
        with pytest.raises(UserError, match=name):
            train(TINY, data=corpus, out=tmp_path / "run", resume=True)


class TestRefusals:
    def test_folder_in_use(self, corpus, tmp_path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(UserError, match="exists and is not empty"):
            train(TINY, data=corpus, out=tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_two_at_once_on_one_folder(self, corpus, tmp_path):
        refused = []

        def train_beside(_: EpochRecord) -> None:
            for resume in (True, False):
                with pytest.raises(UserError) as error:
                    train(TINY, data=corpus, out=tmp_path / "run", resume=resume)
                refused.append(str(error.value))

        settings = dataclasses.replace(TINY, epochs=1, scheduler="none", warmup_epochs=0)
        train_model(settings, data=corpus, out=tmp_path / "run", on_epoch=train_beside)
        out = tmp_path / "run"
        assert refused == [
            f"another mme2e process is working on {out}: wait for its end, or give another folder",
            f"{out} exists and is not empty: give another --out, or --resume to go on with it",
        ]
        assert train(settings, data=corpus, out=out, resume=True).history  # the lock is free again

    @pytest.mark.parametrize("works", [True, False])
    def test_another_takes_the_folder_while_this_one_makes_its_model(self, corpus, tmp_path, monkeypatch, works):
        out, other = tmp_path / "run", ExitStack()

        def build(*given, **named):
            other.enter_context(owned(out))
            if not works:  # it has begun and was killed
                (out / "train_settings.yaml").touch()
                other.close()
            return build_model(*given, **named)

        monkeypatch.setattr("mme2e.training.trainer.build_model", build)
        with other, pytest.raises(UserError, match="is working on" if works else "exists and is not empty"):
            train(TINY, data=corpus, out=out)
        assert not (out / "checkpoints").exists()

    def test_one_choice_of_several(self, tmp_path):
        corpus = write_tiny_corpus(tmp_path / "corpus", 3, multi_label=True)
        with pytest.raises(UserError, match="loss ce requires a corpus with one emotion per utterance"):
            train(dataclasses.replace(TINY, loss="ce"), data=corpus, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_half_precision_on_the_cpu(self, corpus, tmp_path):
        with pytest.raises(UserError, match="precision 16 requires a GPU"):
            train(dataclasses.replace(TINY, precision="16"), data=corpus, out=tmp_path / "run")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_no_gpu(self, corpus, tmp_path):
        with pytest.raises(UserError, match="accelerator gpu"):
            train(dataclasses.replace(TINY, accelerator="gpu"), data=corpus, out=tmp_path / "run")

    @pytest.mark.parametrize("accelerator", ["cpu", "auto"])
    def test_more_devices_than_there_are(self, corpus, tmp_path, accelerator):
        settings = dataclasses.replace(TINY, accelerator=accelerator, devices=7000)
        with pytest.raises(UserError, match=r"devices 7000 is more than there are here: \d+ [CG]PU"):
            train(settings, data=corpus, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_folder_that_cannot_be(self, corpus):
        with pytest.raises(UserError, match=r"cannot write to /dev/null/x \(Not a directory\)"):
            train(TINY, data=corpus, out=Path("/dev/null/x"))

    def test_no_corpus(self, tmp_path):
        with pytest.raises(UserError, match="no folder"):
            train(TINY, data=tmp_path / "nowhere", out=tmp_path / "run")

    def test_a_refusal_leaves_no_folder_behind(self, corpus, tmp_path):
        text = dataclasses.replace(TINY.model.text, model=str(tmp_path))
        settings = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, text=text))
        with pytest.raises(UserError, match="holds no text encoder"):
            train(settings, data=corpus, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_loss_that_is_no_number(self, corpus, tmp_path):
        settings = dataclasses.replace(
            TINY, learning_rate=1e30, gradient_clip=0.0, scheduler="none", warmup_epochs=0, text_lr_factor=1.0
        )
        with pytest.raises(
            UserError, match=r"the loss became .* in epoch \d at step \d.*learning_rate 1e\+30.*gradient_clip 0"
        ):
            train(settings, data=corpus, out=tmp_path / "run")
