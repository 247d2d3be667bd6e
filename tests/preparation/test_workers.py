import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from small_recordings import KILLER_GREY, dead_on_arrival, killed_tracker, mean_tracker, three_recordings, write_video

from mme2e.config import PrepareSettings
from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.preparation.corpus import prepare_corpus

SLOWLY = """
import sys
from pathlib import Path
from small_recordings import slow_tracker, three_recordings
from mme2e.config import PrepareSettings
from mme2e.preparation.corpus import prepare_corpus

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    raw = three_recordings(folder / "raw")
    settings = PrepareSettings(jobs=2, frame_interval_ms=100)
    try:
        prepare_corpus(raw, folder / "out", settings, source="raw", make_tracker=slow_tracker)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def prepare(raw, out, make_tracker=mean_tracker, **settings):
    return prepare_corpus(raw, out, PrepareSettings(jobs=2, **settings), source="raw", make_tracker=make_tracker)


def test_a_worker_that_is_killed_costs_its_recording_only(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    write_video(tmp_path / "raw" / "first.mp4", 3, first_grey=KILLER_GREY)
    summary = prepare(raw, tmp_path / "out", killed_tracker)
    assert summary.counts == {"valid": 2, "test": 2}
    assert summary.failed == 1
    assert [item.item for item in summary.skipped] == ["first"]
    assert "killed, twice" in summary.skipped[0].reason
    assert load_corpus(tmp_path / "out").splits == ("valid", "test")


def test_workers_write_what_one_process_writes(tmp_path):
    raw = three_recordings(tmp_path / "raw")
    prepare(raw, tmp_path / "several")
    prepare_corpus(raw, tmp_path / "one", PrepareSettings(), source="raw", make_tracker=mean_tracker)
    for split in ("train", "valid", "test"):
        several, one = (load_corpus(tmp_path / out).split(split).to_list() for out in ("several", "one"))
        assert several == one


def test_workers_that_cannot_start_are_no_endless_story(tmp_path):
    with pytest.raises(UserError, match="--jobs 1"):
        prepare(three_recordings(tmp_path / "raw"), tmp_path / "out", dead_on_arrival)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_at_any_moment_can_be_resumed(tmp_path, how):
    script = tmp_path / "slowly.py"
    script.write_text(SLOWLY)
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen([sys.executable, script, tmp_path], env={**os.environ, "PYTHONPATH": paths})
    first = tmp_path / "out" / ".progress"
    try:
        deadline_s = time.monotonic() + 60
        while not list(first.glob("*.entry.json")) and process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.02)
        with pytest.raises(UserError, match="another 'mme2e prepare' is working on"):
            prepare(three_recordings(tmp_path / "raw"), tmp_path / "out", frame_interval_ms=100)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        status = process.wait(30)
    finally:
        process.kill()
    assert status == (130 if how == signal.SIGINT else -signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    with pytest.raises(UserError, match="not finished"):
        load_corpus(tmp_path / "out")
    done = len(list(first.glob("*.entry.json")))
    assert 0 < done < 3
    raw, settings = three_recordings(tmp_path / "raw"), PrepareSettings(frame_interval_ms=100)
    summary = prepare_corpus(raw, tmp_path / "out", settings, source="raw", make_tracker=mean_tracker)
    assert (summary.done, summary.already_done) == (6 - 2 * done, 2 * done)


@pytest.mark.parametrize("children", [1, 2, 3])
def test_ctrl_c_while_workers_start_is_no_traceback(tmp_path, children):
    three_recordings(tmp_path / "raw")
    script = tmp_path / "slowly.py"
    script.write_text(SLOWLY)
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, script, tmp_path],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline_s = time.monotonic() + 60
        parent = psutil.Process(process.pid)
        while len(parent.children(recursive=True)) < children and time.monotonic() < deadline_s:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in said
