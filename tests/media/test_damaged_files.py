"""Files that were cut off or changed anywhere: an answer or a `MediaError`, within bounds of time and memory."""

import random
import time
from pathlib import Path

import pytest

from mme2e.errors import MediaError
from mme2e.media.decoder import DecoderProcess
from mme2e.media.recording import Interval, IntervalEnd, ReadSettings

MOST_MB, MOST_S = 600, 20.0
CHANGED_BYTES = 20
HEAD_BYTES = 2000
"""Half of the changes are made here, where a file says what it is."""

NAMES = {
    "inputs": [
        "anamorphic.mp4",
        "antiphase.wav",
        "base.mp4",
        "base.wav",
        "c8.wav",
        "chained_mono_stereo.oga",
        "chained_tones.opus",
        "flv_tells_1s.flv",
        "late_video.mp4",
        "leap.ts",
        "live_v.webm",
        "mixed_channels.mp3",
        "starts_at_5.mkv",
        "two_audio.mp4",
        "two_video.mkv",
        "vbr_silence_first.mp3",
    ],
    "media": ["WolfgangLanger_Pexels.mp4", "face_noface.mov", "no_face.mp4", "single_face.mp4"],
}
FILES = [f"{folder}/{name}" for folder, names in NAMES.items() for name in names]
VARIANTS = 20
TRIED = 4
"""Of the 20 cuts and the 20 changes of each file; all of them take minutes."""


@pytest.fixture(scope="module")
def decoder():
    with DecoderProcess(memory_limit_mb=MOST_MB, silence_limit_s=MOST_S) as process:
        yield process


def cut(data, rng):
    return data[: rng.randrange(len(data))]


def change(data, rng):
    changed = bytearray(data)
    for number in range(CHANGED_BYTES):
        changed[rng.randrange(min(HEAD_BYTES, len(data)) if number % 2 else len(data))] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("name", FILES)
def test_undamaged_they_take_little_memory(shared, name):
    with DecoderProcess(memory_limit_mb=MOST_MB) as decoder:
        events = list(decoder.read_recording(shared(name), [Interval()], ReadSettings()))
        assert isinstance(events[-1], IntervalEnd)
        status = Path(f"/proc/{decoder._process.pid}/status").read_text()
        assert int(status.split("VmHWM:")[1].split()[0]) < MOST_MB << 10


@pytest.mark.parametrize("damage", [cut, change])
@pytest.mark.parametrize("name", FILES)
def test_an_answer_or_an_error_that_names_the_file(shared, tmp_path, decoder, name, damage):
    data = shared(name).read_bytes()
    for variant in random.Random(name).sample(range(VARIANTS), TRIED):
        path = tmp_path / f"{variant}{Path(name).suffix}"
        path.write_bytes(damage(data, random.Random(f"{name} {damage.__name__} {variant}")))
        start_s = time.monotonic()
        events, reason = [], None
        try:
            events = list(decoder.read_recording(path, [Interval(), Interval(start_s=1.0, end_s=2.0)], ReadSettings()))
        except MediaError as error:
            reason = str(error)
        assert time.monotonic() - start_s < MOST_S
        if reason is not None:
            assert reason.startswith(str(path))
            assert not any(limit in reason for limit in (f"more than {MOST_MB} MB", "no progress"))
            continue
        ends = [event for event in events if isinstance(event, IntervalEnd)]
        assert sorted(end.position for end in ends) == [0, 1]
        assert all(end.end_s < 60 for end in ends)
        assert len(events) < 150
