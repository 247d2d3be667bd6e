"""A function that watches the epochs of a training run, and may end it."""

import dataclasses
import io

import pytest
from rich.console import Console
from test_trainer import TINY
from tiny_corpus import write_tiny_corpus

from mme2e.data.corpus import load_corpus
from mme2e.training.history import TrainingReport
from mme2e.training.trainer import train_model


class EnoughError(Exception):
    pass


def test_it_sees_every_epoch_and_the_console_is_the_one_given(tmp_path):
    corpus = load_corpus(write_tiny_corpus(tmp_path / "corpus", 3))
    seen, told = [], io.StringIO()
    settings = dataclasses.replace(TINY, epochs=2)
    result = train_model(settings, data=corpus, out=tmp_path / "run", console=Console(file=told), on_epoch=seen.append)
    assert tuple(seen) == result.history
    assert "epoch 2/2" in told.getvalue()


def test_what_it_raises_comes_out_and_the_epoch_is_kept(tmp_path, capsys):
    def stop(record):
        raise EnoughError

    with pytest.raises(EnoughError):
        train_model(TINY, data=write_tiny_corpus(tmp_path / "corpus", 3), out=tmp_path / "run", on_epoch=stop)
    report = TrainingReport.read(tmp_path / "run")
    assert [record.epoch for record in report.history] == [1]
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert not report.finished
