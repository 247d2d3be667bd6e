import errno
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import psutil
import pytest
from small_recordings import (
    KILLER_GREY,
    LEFT,
    MeanTracker,
    corpus,
    dead_on_arrival,
    mean_tracker,
    never,
    utterance,
    write_video,
)

from mme2e.config import PrepareSettings
from mme2e.data.corpus import load_corpus
from mme2e.errors import UserError
from mme2e.preparation import worker
from mme2e.preparation.corpus import prepare_corpus
from mme2e.scheduling import ray_engine

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs the library ray: pip install 'mme2e[cluster]'"
)
GREYS = (40, 80, KILLER_GREY, 120, 160, 200)
KILLER, FATAL = GREYS.index(KILLER_GREY), 4
SPLITS = ("train", "valid", "test")
DRIVER = """
import sys
from pathlib import Path
from test_ray_engine import on_ray, six_recordings, slow_watched_tracker

if __name__ == "__main__":
    folder, address = Path(sys.argv[1]), sys.argv[2]
    try:
        on_ray(six_recordings(folder / "raw"), folder / "out", slow_watched_tracker, address or None)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def six_recordings(folder):
    """Six recordings of a second, without audio; the grey of the first picture tells which it is."""
    folder.mkdir(exist_ok=True)
    found = []
    for number, grey in enumerate(GREYS):
        video = folder / f"{number}.mp4"
        if not video.exists():
            write_video(video, 1, first_grey=grey)
        files = {"video": video, "region": LEFT, "split": SPLITS[number % 3]}
        found.append(utterance(f"u{number}", f"r{number}", 0.0, 1.0, **files))
    return corpus(*found)


def on_ray(raw, out, make_tracker, address=None, jobs=2):
    settings = PrepareSettings(engine="ray", jobs=jobs, ray_address=address, frame_interval_ms=100)
    return prepare_corpus(raw, out, settings, source="raw", make_tracker=make_tracker)


def locally(raw, out):
    return prepare_corpus(raw, out, PrepareSettings(frame_interval_ms=100), source="raw", make_tracker=mean_tracker)


def rows(out):
    return {split: load_corpus(out).split(split).to_list() for split in SPLITS}


class WatchedTracker(MeanTracker):
    """Notes in a folder which process loaded it and which recordings it begins."""

    def __init__(self):
        self.notes = Path(os.environ["WATCHED"])
        (self.notes / f"loaded-{os.getpid()}-{time.monotonic_ns()}").touch()

    def crops(self, frames):
        for number, crop in enumerate(super().crops(frames)):
            if number == 0:
                recording = min(range(len(GREYS)), key=lambda i: abs(int(crop.crop[0, 0, 0]) - GREYS[i]))
                (self.notes / f"begun-{recording}-{time.monotonic_ns()}").touch()
                self.begin(recording)
            yield crop

    def begin(self, recording):
        pass


def watched_tracker(_):
    return WatchedTracker()


class KilledTracker(WatchedTracker):
    """Is killed, as by the kernel's out-of-memory killer: once by one recording, always by another."""

    def begin(self, recording):
        killed = self.notes / "killed"
        if recording == KILLER and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if recording == FATAL:  # leaves no note: it may come first
            os.kill(os.getpid(), signal.SIGKILL)


def killed_tracker(_):
    return KilledTracker()


class SlowWatchedTracker(WatchedTracker):
    def crops(self, frames):
        for crop in super().crops(frames):
            time.sleep(0.1)
            yield crop


def slow_watched_tracker(_):
    return SlowWatchedTracker()


class FullTracker(MeanTracker):
    def crops(self, frames):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_tracker(_):
    return FullTracker()


class Notes:
    """What the watched trackers have noted since the last `clear`."""

    def __init__(self, folder):
        self.folder = folder

    def clear(self):
        for note in self.folder.iterdir():
            note.unlink()

    def begun(self):
        return Counter(int(note.name.split("-")[1]) for note in self.folder.glob("begun-*"))

    def loaded(self):
        return Counter(int(note.name.split("-")[1]) for note in self.folder.glob("loaded-*"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with mock.patch.dict(os.environ, {"WATCHED": str(folder), "PYTHONPATH": paths}):
        yield folder


@pytest.fixture(scope="module")
def cluster(environment):
    """Address of a cluster of two workers on this machine, to which this process is connected."""
    with ray_engine.connected("local", jobs=2):
        import ray

        yield ray.get_runtime_context().gcs_address


@pytest.fixture
def notes(environment):
    notes = Notes(environment)
    notes.clear()
    return notes


def driver(folder, address=""):
    """Begins to prepare in a process of its own; returns when the first recording is done."""
    script = folder / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, script, folder, address]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline_s = time.monotonic() + 90
    entries = folder / "out" / ".progress"
    while not list(entries.glob("*.entry.json")) and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return process


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'mme2e\[cluster\]'"):
        on_ray(six_recordings(tmp_path / "raw"), tmp_path / "out", never)


def test_an_address_wants_the_engine():
    with pytest.raises(UserError, match="ray_address head:6379 requires --engine ray"):
        PrepareSettings(ray_address="head:6379")


@needs_ray
@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_answers_is_one_line(tmp_path, scheme):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError, match=f"no Ray cluster answers at {address} .*refused") as raised:
            on_ray(six_recordings(tmp_path / "raw"), tmp_path / "out", never, address)
    assert "\n" not in str(raised.value)


@needs_ray
@pytest.mark.parametrize("address", ["nonsense", "host:port", ":", "head:99999"])
def test_an_address_that_is_none_is_one_line(tmp_path, address):
    with pytest.raises(UserError, match=f"no Ray cluster answers at {address}"):
        on_ray(six_recordings(tmp_path / "raw"), tmp_path / "out", never, address)


@needs_ray
@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_recording_only(tmp_path, cluster, notes):
    raw = six_recordings(tmp_path / "raw")
    summary = on_ray(raw, tmp_path / "out", killed_tracker)
    assert (summary.done, summary.failed) == (5, 1)
    assert notes.begun() == {number: 2 if number in (KILLER, FATAL) else 1 for number in range(6)}
    assert set(notes.loaded().values()) == {1}
    assert len(notes.loaded()) <= 2 + 3  # two workers, and one more after each death
    reasons = {item.item: item.reason for item in summary.skipped}
    assert "killed, twice" in reasons[f"r{FATAL}"]
    assert f"r{KILLER}" not in reasons
    summary = on_ray(raw, tmp_path / "out", watched_tracker)
    assert (summary.done, summary.already_done, summary.failed) == (1, 5, 0)
    locally(raw, tmp_path / "local")
    assert rows(tmp_path / "out") == rows(tmp_path / "local")
    assert on_ray(raw, tmp_path / "out", never).already_done == 6


@needs_ray
def test_a_full_disk_is_one_line(tmp_path, cluster):
    with pytest.raises(UserError, match=r"No space left on device\); what was prepared is kept"):
        on_ray(six_recordings(tmp_path / "raw"), tmp_path / "out", full_tracker)


@needs_ray
def test_a_machine_that_does_not_see_the_files_is_named(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(worker, "fingerprint", lambda task: "of other files")
    with pytest.raises(UserError, match=f"machine {socket.gethostname()} does not see the files of recording r0"):
        on_ray(six_recordings(tmp_path / "raw"), tmp_path / "out", never, jobs=1)


@needs_ray
@pytest.mark.slow
def test_a_driver_that_is_killed_can_be_called_again(tmp_path, cluster, notes):
    process = driver(tmp_path, cluster)
    process.kill()
    process.communicate()
    deadline_s = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in notes.loaded()) and time.monotonic() < deadline_s:
        time.sleep(0.02)  # its workers end with it
    done = len(list((tmp_path / "out" / ".progress").glob("*.entry.json")))
    assert 1 <= done <= 4
    assert sum(notes.begun().values()) <= done + 2
    notes.clear()
    summary = on_ray(six_recordings(tmp_path / "raw"), tmp_path / "out", watched_tracker)
    assert (summary.done, summary.already_done) == (6 - done, done)
    assert set(notes.begun().values()) == {1}
    assert sum(notes.begun().values()) == 6 - done
    locally(six_recordings(tmp_path / "raw"), tmp_path / "local")
    assert rows(tmp_path / "out") == rows(tmp_path / "local")


@needs_ray
def test_workers_that_cannot_start_are_no_endless_story(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(ray_engine, "DEATHS_BEFORE_DOUBT", 1)
    with pytest.raises(UserError, match="processes die as soon as they start"):
        on_ray(six_recordings(tmp_path / "raw"), tmp_path / "out", dead_on_arrival, jobs=1)


@needs_ray
@pytest.mark.slow
def test_ctrl_c_ends_a_cluster_of_its_own_that_nobody_outside_reached(tmp_path, environment):
    process = driver(tmp_path)
    started = psutil.Process(process.pid).children(recursive=True)
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for child in started
        for connection in child.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said, said
    assert process.returncode == 130, said
    assert listening == {"127.0.0.1"}
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive
    done = len(list((tmp_path / "out" / ".progress").glob("*.entry.json")))
    assert 0 < done < 6
    assert locally(six_recordings(tmp_path / "raw"), tmp_path / "out").already_done == done
