import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import killing_decoder
import numpy as np
import pytest
from media_writing import grey_image, write_sound, write_video
from PIL import Image

from mme2e.errors import MediaError
from mme2e.media import decoder as decoder_module
from mme2e.media import wire
from mme2e.media.decoder import DecoderProcess
from mme2e.media.image import StillImage, read_image
from mme2e.media.recording import Interval, IntervalEnd, ReadSettings, StreamReport, read_recording
from mme2e.media.region import Region
from mme2e.media.video import Frame, probe

LEVELS = [20, 60, 100, 140, 180, 220]


@pytest.fixture(scope="module")
def decoder():
    with DecoderProcess() as process:
        yield process


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "v.mp4", [grey_image(level) for level in LEVELS])


def stand_in(monkeypatch, tmp_path, body):
    """A child of which the test says what it does when it is asked for something."""
    script = tmp_path / "child.py"
    script.write_text(
        "import os, sys, time, signal\n"
        "from mme2e.media import wire\n"
        "out = os.fdopen(1, 'wb')\n"
        "wire.send(out, {'kind': 'ready'})\n"
        "sys.stdin.buffer.read1(1)\n" + textwrap.dedent(body)
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(decoder_module.sys, "executable", str(python))


def test_a_child_gives_what_this_process_gives(decoder, video):
    region = Region(x_px=0, y_px=0, width_px=32, height_px=24)
    intervals = [Interval(), Interval(start_s=0.1, end_s=0.4, region=region)]
    ours = list(read_recording(video, intervals, ReadSettings(frame_interval_ms=100)))
    theirs = list(decoder.read_recording(video, intervals, ReadSettings(frame_interval_ms=100)))
    assert [type(event) for event in theirs] == [type(event) for event in ours]
    assert sum(isinstance(event, Frame) for event in ours) == 9
    for our, their in zip(ours, theirs, strict=True):
        fields = {name: value for name, value in vars(our).items() if not isinstance(value, np.ndarray)}
        assert {name: getattr(their, name) for name in fields} == fields
        array = "image" if isinstance(our, Frame) else "samples"
        np.testing.assert_array_equal(getattr(their, array), getattr(our, array))
    assert decoder.probe(video) == probe(video)


def test_one_child_reads_several_files_and_outlives_those_that_cannot_be_read(decoder, tmp_path, video):
    decoder.probe(video)
    child = decoder._process.pid
    text = tmp_path / "text.mp4"
    text.write_text("no video at all\n" * 50)
    with pytest.raises(MediaError, match=f"^{text} cannot be read"):
        list(decoder.read_recording(text, [Interval()], ReadSettings()))
    assert decoder.probe(write_sound(tmp_path / "a.wav", np.ones((1, 1600), dtype=np.int16))).has_audio
    assert decoder._process.pid == child


def test_the_file_that_kills_the_child_is_named_and_the_next_is_read(tmp_path):
    video = write_video(tmp_path / "v.mp4", [grey_image(level, 240, 320) for level in LEVELS])
    with DecoderProcess() as decoder:
        events = decoder.read_recording(video, [Interval()], ReadSettings(frame_interval_ms=10))
        next(events)
        os.kill(decoder._process.pid, signal.SIGSEGV)
        with pytest.raises(MediaError, match=r"v\.mp4: decoding it ended the decoder process \(SIGSEGV\)"):
            list(events)
        assert decoder.probe(video).has_video


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("time.sleep(60)", "made no progress for 0.3 s"),
        ("sys.exit(7)", "ended the decoder process (exit status 7)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended the decoder process (SIGKILL)"),
        ("out.write(b'never mind'); out.flush(); time.sleep(60)", "ended the decoder process (it answers nonsense)"),
        ("wire.send(out, {'kind': 'frame', 'array': ['object', [1]]}); time.sleep(60)", "(it answers nonsense)"),
        ("wire.send(out, {'kind': 'frame', 'fields': {}}); time.sleep(60)", "(it answers nonsense)"),
        ("wire.send(out, {'kind': 'memory'})", "takes more than 1000 MB of memory"),
    ],
)
def test_whatever_a_child_does_is_an_error_that_names_the_file(monkeypatch, tmp_path, video, body, message):
    stand_in(monkeypatch, tmp_path, body)
    with DecoderProcess(memory_limit_mb=1000, silence_limit_s=0.3) as decoder:
        with pytest.raises(MediaError) as error:
            list(decoder.read_recording(video, [Interval()], ReadSettings()))
        assert str(error.value).startswith(f"{video}: decoding")
        assert message in str(error.value)
        assert decoder._process is None


def test_a_child_that_makes_progress_may_take_its_time(monkeypatch, tmp_path, video):
    stand_in(
        monkeypatch,
        tmp_path,
        """
        for _ in range(5):
            time.sleep(0.2)
            wire.send(out, {"kind": "progress"})
        wire.send(out, {"kind": "done"})
        """,
    )
    with DecoderProcess(silence_limit_s=0.8) as decoder:
        assert list(decoder.read_recording(video, [Interval()], ReadSettings())) == []


def test_a_fault_of_the_program_is_no_fault_of_the_file(monkeypatch, tmp_path, video):
    stand_in(monkeypatch, tmp_path, "wire.send(out, {'kind': 'fault', 'reason': 'ZeroDivisionError'})")
    with DecoderProcess() as decoder, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        decoder.probe(video)


def test_a_child_that_does_not_start_is_no_fault_of_the_file(monkeypatch, video):
    monkeypatch.setattr(decoder_module.sys, "executable", "/bin/false")
    with DecoderProcess() as decoder, pytest.raises(RuntimeError, match="does not start"):
        decoder.probe(video)


def test_memory_has_a_limit(tmp_path):
    path = write_video(tmp_path / "v.mp4", [grey_image(level, 2160, 3840) for level in (20, 60)])
    with DecoderProcess(memory_limit_mb=120) as decoder:
        try:
            *_, end = decoder.read_recording(path, [Interval()], ReadSettings(frame_interval_ms=100))
            reason = end.video.missing
        except MediaError as error:
            reason = str(error)
        assert "v.mp4" in reason
        assert "memory" in reason
        small = write_video(tmp_path / "small.mp4", [grey_image(20)] * 3)
        assert decoder.probe(small).has_video


def test_stopping_early_ends_the_child_and_a_busy_one_is_not_asked(video):
    with DecoderProcess() as decoder:
        events = decoder.read_recording(video, [Interval()], ReadSettings(frame_interval_ms=10))
        next(events)
        with pytest.raises(RuntimeError, match="still reading"):
            decoder.probe(video)
        process = decoder._process
        events.close()
        assert process.returncode is not None
        assert decoder.probe(video).has_video


def test_the_child_imports_no_torch_and_ends_with_its_parent(tmp_path, video):
    """The parent is a script without a main guard, in a folder with a file that is called as a library."""
    (tmp_path / "av.py").write_text("raise SystemExit('not this one')")
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.pop(0)
            from mme2e.media.decoder import DecoderProcess
            decoder = DecoderProcess()
            assert decoder.probe({str(video)!r}).has_video
            maps = open(f"/proc/{{decoder._process.pid}}/maps").read()
            print(decoder._process.pid, "torch" in maps, "libavcodec" in maps, flush=True)
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
            """
        )
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    child, torch, avcodec = done.stdout.split()
    assert (torch, avcodec) == ("False", "True")
    for _ in range(100):
        if not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes():
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its parent")


def write_images(folder: Path, levels: list[int]) -> list[Path]:
    paths = [folder / f"image_{number}.png" for number in range(len(levels))]
    for path, level in zip(paths, levels, strict=True):
        Image.fromarray(grey_image(level)).save(path)
    return paths


@pytest.mark.parametrize("region", [None, Region(x_px=1, y_px=2, width_px=5, height_px=4)])
def test_a_child_gives_the_images_that_this_process_gives(decoder, tmp_path, monkeypatch, region):
    monkeypatch.setattr(decoder_module, "IMAGES_AT_ONCE", 2)
    paths = write_images(tmp_path, [10, 20, 30, 40, 50])
    paths[1].write_bytes(paths[1].read_bytes()[:40])
    paths[3].unlink()
    found = list(decoder.read_images(paths, region))
    assert [type(image) for image in found] == [StillImage, MediaError, StillImage, MediaError, StillImage]
    for path, image in zip(paths, found, strict=True):
        if isinstance(image, MediaError):
            with pytest.raises(MediaError) as here:
                read_image(path, region)
            assert str(image) == str(here.value)
        else:
            here = read_image(path, region)
            np.testing.assert_array_equal(image.pixels, here.pixels)
            assert (image.reduction, image.animated) == (here.reduction, here.animated)
    assert list(decoder.read_images([])) == []
    assert not decoder._busy


def test_images_are_named_as_they_were_asked_for(decoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, [10])
    _, missing = decoder.read_images(["image_0.png", "gone.png"])
    assert str(missing) == "gone.png is not a file"


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "decoding it ended the decoder process (SIGSEGV)"),
        ("time.sleep(60)", "decoding made no progress for 2 s"),
        ("raise MemoryError", "decoding it takes more than 4096 MB of memory"),
    ],
)
def test_an_image_that_kills_the_child_costs_itself_only(monkeypatch, tmp_path, deed, message):
    killing_decoder.do_at_image(monkeypatch, tmp_path, "image_2", deed)
    paths = write_images(tmp_path, [10, 20, 30, 40])
    with DecoderProcess(silence_limit_s=2) as decoder:
        found = list(decoder.read_images(paths))
        assert [int(image.pixels[0, 0, 0]) for image in found if isinstance(image, StillImage)] == [10, 20, 40]
        assert str(found[2]) == f"{paths[2]}: {message}"
        assert list(map(type, decoder.read_images(paths[2:]))) == [MediaError, StillImage]


def test_a_fault_of_the_program_is_no_fault_of_an_image(monkeypatch, tmp_path):
    killing_decoder.do_at_image(monkeypatch, tmp_path, "image_1", "1 / 0")
    with DecoderProcess() as decoder, pytest.raises(RuntimeError, match=r"image_1\.png:\n(?s:.*)ZeroDivisionError"):
        list(decoder.read_images(write_images(tmp_path, [10, 20, 30])))


def test_what_is_no_image_is_refused():
    for header, array in (
        ({"kind": "image", "fields": {}}, None),
        ({"kind": "image", "fields": {}}, np.zeros((2, 2), dtype=np.uint8)),
        ({"kind": "image", "fields": {"sharpness": 1}}, np.zeros((2, 2, 3), dtype=np.uint8)),
        ({"kind": "no image"}, None),
        ({"kind": "frame", "fields": {}}, np.zeros((2, 2, 3), dtype=np.uint8)),
    ):
        with pytest.raises(wire.WireError):
            wire.image_from(header, array)


def test_what_is_no_message_is_refused():
    def receive(data):
        place = 0

        def fill(buffer):
            nonlocal place
            if place + len(buffer) > len(data):
                raise EOFError
            buffer[:] = data[place : place + len(buffer)]
            place += len(buffer)

        return wire.receive(fill)

    def message(header):
        return len(header).to_bytes(4, "big") + header

    assert receive(message(b'{"kind": "done"}')) == ({"kind": "done"}, None)
    for data in (
        b"\xff" * 8,
        message(b"not json"),
        message(b"[1]"),
        message(b'{"array": ["uint8", [1000000, 1000000]]}'),
        message(b'{"array": ["uint8", [-1]]}'),
        message(b'{"array": ["float64", [1]]}'),
        message(b'{"array": 3}'),
    ):
        with pytest.raises(wire.WireError):
            receive(data)
    with pytest.raises(EOFError):
        receive(message(b'{"array": ["uint8", [4]]}') + b"abc")
    nothing = np.zeros(0, dtype=np.int16)
    for header in (
        {"kind": "frame", "fields": {}},
        {"kind": "end"},
        {"kind": "end", "fields": {"video": {"remarks": []}, "audio": {"remarks": []}}},
        {"kind": "other", "fields": {}},
    ):
        with pytest.raises(wire.WireError):
            wire.event_from(header, nothing)
    end = IntervalEnd(
        position=1, end_s=2.0, samples=nothing, frames=3, video=StreamReport(remarks=("a",)), audio=StreamReport()
    )
    header, array = wire.message_of(end)
    assert wire.event_from(header, array) == end
