"""`predict`: one recording or a folder of them, into files, interrupted and continued."""

import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
from media_writing import write_sound
from talking import speech, write_subtitles, write_talk
from tiny_runs import TINY_MODEL, write_tiny_run

import mme2e
from mme2e.__main__ import EXIT_INTERRUPTED, main
from mme2e.config import AnalysisSettings
from mme2e.errors import UserError
from mme2e.inference.timeline import read_timeline
from mme2e.locking import locked
from mme2e.prediction.journal import DONE_FILE
from mme2e.prediction.run import LOCK_FILE

WINDOWS = AnalysisSettings(segments="window", window_s=2.0, hop_s=2.0)
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_tiny_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def talk(tmp_path_factory) -> Path:
    return write_talk(tmp_path_factory.mktemp("media") / "talk.mp4", 6.0, [(1.0, 4.0)])


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three short sounds."""
    made = tmp_path / "in"
    made.mkdir()
    for number, name in enumerate(NAMES):
        write_sound(made / f"{name}.wav", speech(5.0 + number, [(1.0, 4.0)])[None])
    return made


def into(out, *given, run, **more):
    more = {"settings": WINDOWS, "formats": ("csv",), "device": "cpu"} | more
    return mme2e.predict(list(given), run=run, out=out, **more)


def command(*words: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "mme2e", "predict", *map(str, words), "--device", "cpu"]
    line += ["--segments", "window", "--window-s", "2", "--hop-s", "1"]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def answer(path: Path) -> list[tuple[float, float, list[float]]]:
    segments = read_timeline(path).segments
    return [(s.start_s, s.end_s, [round(e.probability, 4) for e in s.emotions]) for s in segments]


def test_a_folder_with_a_damaged_file(run, folder, tmp_path, capsys):
    (folder / "b.wav").write_bytes(b"RIFF")
    out = tmp_path / "out"
    assert main(["predict", str(folder), "--run", str(run), "--out", str(out), "--formats", "csv", "srt"]) == 1
    printed = capsys.readouterr().out
    assert f"failed: {folder / 'b.wav'}" in printed.replace("\n", "")
    expected = {f"{name}.mme2e.{suffix}" for name in "ac" for suffix in ("json", "csv", "srt")}
    assert names_in(out) == expected | {"summary.csv", "summary.parquet"}
    rows = list(csv.DictReader((out / "summary.csv").read_text().splitlines()))
    assert [row["source"] for row in rows] == ["a.wav", "c.wav"]
    assert pd.read_parquet(out / "summary.parquet")["duration_s"].tolist() == pytest.approx([5.0, 7.0], abs=0.01)


def test_the_same_command_again_does_nothing_and_a_changed_file_alone_is_done_again(run, folder, tmp_path):
    out = tmp_path / "out"
    first = into(out, folder, run=run)
    assert (first.already, len(first.rows), first.complete) == (0, 3, True)
    kept = {name: (out / f"{name}.mme2e.json").stat().st_mtime_ns for name in NAMES}
    again = into(out, folder, run=run)
    assert (again.already, again.rows) == (3, first.rows)
    assert {name: (out / f"{name}.mme2e.json").stat().st_mtime_ns for name in NAMES} == kept
    write_sound(folder / "b.wav", speech(9.0, [(1.0, 4.0)])[None])
    changed = into(out, folder, run=run)
    assert (changed.already, changed.rows[1]["duration_s"]) == (2, pytest.approx(9.0, abs=0.01))
    (out / "c.mme2e.csv").unlink()
    assert into(out, folder, run=run).already == 2
    assert into(out, folder, run=run, settings=replace(WINDOWS, smooth=3)).already == 0
    other = write_tiny_run(tmp_path / "other", seed=1)
    assert into(out, folder, run=other).already == 0


def test_a_single_recording_into_a_folder(run, talk, tmp_path):
    found = into(tmp_path / "new" / "out", talk, run=run, formats=("html",))
    assert names_in(tmp_path / "new" / "out") == {"talk.mme2e.json", "talk.mme2e.html"}
    assert read_timeline(tmp_path / "new" / "out" / "talk.mme2e.json") == found.timeline
    again = into(tmp_path / "new" / "out", talk, run=run, formats=("html",))
    assert (again.already, again.timeline) == (1, found.timeline)


def test_a_file(run, talk, tmp_path):
    words = write_subtitles(tmp_path / "words.srt", (0.5, 2.0, "What a [/x] day."), (2.5, 5.0, "\x1b[31mIt is gloomy."))
    found = into(tmp_path / "talk.srt", talk, run=run, transcript=str(words), settings=AnalysisSettings())
    assert "What a [/x] day." in (tmp_path / "talk.srt").read_text()
    assert found.files == (tmp_path / "talk.srt",)
    assert found.timeline.segments[0].start_s == 0.5


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"out": "x.mp3"}, "mp3"),
        ({"out": "out", "formats": ("doc",)}, "unknown format 'doc'; choose from"),
        ({"out": "nowhere/x.json"}, "there is no folder"),
        ({"jobs": 0}, "jobs must be 1 or more"),
        ({"start_s": 3.0, "end_s": 2.0}, "not a stretch of time"),
        ({"start_s": float("nan")}, "not a stretch of time"),
        ({"abstain": 2.0}, "abstain must be"),
        ({"region": "1,2,3"}, "x,y,width,height"),
        ({"channel_per_speaker": True, "audio_channel": 1}, "--audio-channel reads one"),
        ({"picture": "x.gif"}, "must end in"),
        ({"picture": "x.png", "out": "answers"}, "--picture is drawn of one recording"),
        ({"picture": "x.png"}, "fe2e computes all sites"),
        ({"annotate": "nowhere/x.mp4"}, "there is no folder"),
        ({"transcript": "nowhere.srt"}, "there is no file nowhere.srt"),
        ({"turns": "nowhere.rttm"}, "nowhere.rttm"),
    ],
)
def test_mistakes_are_found_before_the_model_is_loaded(run, talk, more, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mme2e.inference.recognizer.load_run", lambda *_: pytest.fail("loaded"))
    with pytest.raises(UserError, match=told):
        mme2e.predict(talk, run=run, **more)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["transcript", "turns", "annotate", "picture", "out"])
def test_what_is_about_one_recording_is_refused_for_several(run, talk, folder, name, tmp_path):
    given = {"transcript": "words", "picture": tmp_path / "x.png", "out": tmp_path / "x.srt"}
    model = replace(TINY_MODEL, name="mesm")
    run = write_tiny_run(tmp_path / "mesm", model=model) if name == "picture" else run
    with pytest.raises(UserError, match=r"for a single recording|is a file, and there are"):
        mme2e.predict([talk, folder], run=run, **{name: given.get(name, tmp_path / "x.mp4")})


def test_without_a_folder_the_answers_are_shown(run, folder, talk, capsys):
    found = mme2e.predict([folder, talk], run=run, settings=WINDOWS)
    assert [timeline.source for timeline in found.timelines] == ["a.wav", "b.wav", "c.wav", "talk.mp4"]
    with pytest.raises(UserError, match="require --out FOLDER"):
        mme2e.predict([folder, talk], run=run, jobs=2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(run, talk, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot be written"):
        into(out, talk, run=run)


def test_a_file_in_the_place_of_the_folder(run, talk, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="cannot write to"):
        into(tmp_path / "out", talk, run=run)


def test_a_full_disk_is_one_line_and_nothing_is_half_written(run, folder, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("mme2e.prediction.many.write_outputs", full)
        with pytest.raises(UserError, match=r"No space left on device.*make room"):
            into(tmp_path / "out", folder / "a.wav", run=run)
    assert names_in(tmp_path / "out") == set()
    assert into(tmp_path / "out", folder / "a.wav", run=run).already == 0


def test_two_recordings_of_one_name(run, folder, tmp_path):
    (folder / "deep").mkdir()
    shutil.copy(folder / "a.wav", folder / "deep" / "a.wav")
    found = into(tmp_path / "out", folder, run=run)
    assert len(found.rows) == 4
    assert {"a.wav.mme2e.json", "a.wav-2.mme2e.json"} <= names_in(tmp_path / "out")


@pytest.mark.parametrize("name", [b"caf\xe9", b"\x1b[31m[x]\n", b"a" * 250, b" "])
def test_names_of_all_kinds(run, folder, tmp_path, name, capsys):
    path = folder / os.fsdecode(name + b".wav")
    (folder / "b.wav").rename(path)
    words = ["--formats", "csv", "html", "srt", "--run", str(run)]
    assert main(["predict", str(folder), "--out", str(tmp_path / "out"), *words]) == 0
    assert main(["predict", str(folder), "--out", str(tmp_path / "out"), *words]) == 0
    printed = capsys.readouterr()
    assert "3 recordings were done before" in printed.out
    assert "\x1b[31m" not in printed.out
    assert main(["predict", str(path), "--out", str(tmp_path / "alone"), *words]) == 0
    assert len(names_in(tmp_path / "alone")) == 4


def test_each_segment_is_printed_in_order(run, talk, capsys):
    assert main(["predict", str(talk), "--run", str(run), "--stream", "--segments", "window"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " - " in line and "[window]" in line]
    starts = [line.split(" - ")[0].strip() for line in lines if line.startswith("0:")]
    assert starts[:3] == ["0:00.0", "0:02.0", "0:04.0"]


def test_another_process_has_the_folder(run, talk, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with locked(out / LOCK_FILE, ""):
        process = command(talk, "--run", run, "--out", out)
        assert "another process writes to" in process.communicate(timeout=60)[1]
        assert process.returncode == 2


def test_two_jobs_give_the_same_as_one(run, folder, tmp_path):
    one = into(tmp_path / "one", folder, run=run)
    two = into(tmp_path / "two", folder, run=run, jobs=2)
    assert two.rows == one.rows
    for name in NAMES:
        assert answer(tmp_path / "two" / f"{name}.mme2e.json") == answer(tmp_path / "one" / f"{name}.mme2e.json")


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the library ray")
@pytest.mark.slow
def test_on_ray_the_same(run, folder, tmp_path):
    (folder / "b.wav").write_bytes(b"RIFF")
    one = into(tmp_path / "one", folder, run=run)
    process = command(folder, "--run", run, "--out", tmp_path / "ray", "--engine", "ray", "--jobs", "2")
    printed, error = process.communicate(timeout=120)
    assert process.returncode == 1, (printed, error)
    assert len(one.failed) == 1
    assert len(pd.read_csv(tmp_path / "ray" / "summary.csv")) == 2


def partial(out: Path) -> list[Path]:
    return list(out.glob(".*.partial.jsonl"))


def until(condition, process: subprocess.Popen[str], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.wav"
    return write_sound(path, speech(600.0, [(n * 10.0, n * 10.0 + 4.0) for n in range(60)])[None])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_what_an_interruption_leaves_is_taken_up(run, long_talk, tmp_path, signum):
    out, words = tmp_path / "out", ["--run", run, "--formats", "csv"]
    process = command(long_talk, "--out", out, *words)
    until(lambda: any(file.read_bytes().count(b"\n") > 3 for file in partial(out)), process)
    process.send_signal(signum)
    _, error = process.communicate(timeout=60)
    if signum == signal.SIGINT:
        assert process.returncode == EXIT_INTERRUPTED
        assert error.splitlines()[-1].endswith("the same command goes on")
        assert "Traceback" not in error
    (file,) = partial(out)
    assert names_in(out) == set()
    known = [json.loads(line) for line in file.read_bytes().splitlines()[1:3]]
    process = command(long_talk, "--out", out, *words)
    assert process.communicate(timeout=100)[1] == ""
    assert process.returncode == 0
    assert partial(out) == []
    process = command(long_talk, "--out", tmp_path / "whole", *words)
    process.communicate(timeout=100)
    found = answer(out / "long.mme2e.json")
    assert [segment["start_s"] for each in known for segment in each["segments"]] == [s for s, *_ in found[:9]]
    assert found == answer(tmp_path / "whole" / "long.mme2e.json")


def test_a_worker_that_is_killed_costs_nothing(run, folder, tmp_path, long_talk):
    shutil.copy(long_talk, folder / "long.wav")
    process = command(folder, "--out", tmp_path / "out", "--run", run, "--jobs", "2")
    until(lambda: any("long" in file.name for file in partial(tmp_path / "out")), process)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if any("/long.wav" in each.path for each in _open_files(child)) or child.memory_info().rss > 200 << 20
    ]
    assert workers
    workers[-1].kill()
    printed, error = process.communicate(timeout=120)
    assert process.returncode == 0, (printed, error)
    assert len(pd.read_csv(tmp_path / "out" / "summary.csv")) == 4


def _open_files(process: psutil.Process) -> list:
    try:
        return process.open_files()
    except psutil.Error:
        return []


def test_a_file_that_grows_is_answered_as_far_as_it_was(run, folder, tmp_path):
    (folder / "b.wav").write_bytes((folder / "b.wav").read_bytes()[: 44 + 3 * 32_000])
    (found,) = into(tmp_path / "out", folder / "b.wav", run=run).timelines
    assert found.duration_s == pytest.approx(3.0, abs=0.05)
    write_sound(folder / "b.wav", speech(6.0, [(1.0, 4.0)])[None])
    again = into(tmp_path / "out", folder / "b.wav", run=run)
    assert (again.already, again.timeline.duration_s) == (0, pytest.approx(6.0, abs=0.05))


def test_every_odd_file_has_an_answer_or_one_line(run, shared, tmp_path, capsys):
    inputs = sorted(path for path in shared("inputs").iterdir() if path.is_file())
    words = ["--run", str(run), "--formats", "csv", "--out", str(tmp_path / "out")]
    status = main(["predict", *map(str, inputs), *words])
    assert status in (0, 1)
    printed = capsys.readouterr()
    assert printed.out.count("failed: ") == len(inputs) - len(pd.read_csv(tmp_path / "out" / "summary.csv"))
    assert "Traceback" not in printed.err
    done = [json.loads(line)["name"] for line in (tmp_path / "out" / DONE_FILE).read_text().splitlines()]
    assert {"base.mp4", "two_audio", "late_video", "starts_at_5", "live_v"} <= set(done)
