"""The tracks of a recording, tile after tile: nothing is lost between two, and little is kept."""

from pathlib import Path

import killing_decoder
import numpy as np
import pytest
from media_writing import grey_image, write_sound, write_video
from signals import SAMPLE_RATE_HZ
from talking import speech, write_talk

from mme2e.errors import MediaError
from mme2e.faces.people import PersonFrame
from mme2e.inference.streams import TILE_S, AudioStream, FaceStream, tiles_of
from mme2e.media.audio import read_audio
from mme2e.media.mel_statistics import BandStatistics, statistics_of
from mme2e.media.recording import Interval, IntervalEnd, ReadSettings
from mme2e.media.video import Frame
from mme2e.perception.decoders import Decoders

LENGTH_S = 3 * TILE_S + 1.7


class Counting:
    """In place of what finds faces: says when it was shown a frame."""

    def __init__(self, delay: int = 0) -> None:
        self.waiting: list[PersonFrame] = []
        self.delay = delay

    def add(self, frame: Frame) -> list[PersonFrame]:
        self.waiting.append(PersonFrame(time_s=frame.requested_s, faces=()))
        many = max(0, len(self.waiting) - self.delay)
        ready, self.waiting = self.waiting[:many], self.waiting[many:]
        return ready

    def finish(self) -> list[PersonFrame]:
        ready, self.waiting = self.waiting, []
        return ready


@pytest.fixture(scope="module")
def decoders():
    with Decoders() as found:
        yield found


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "sound.wav"
    return write_sound(path, speech(LENGTH_S, [(1.0, 6.0), (9.0, 15.0)])[None], SAMPLE_RATE_HZ)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("film") / "film.mp4", [grey_image(90)] * 70)


def audio_of(path: Path | None, decoders: Decoders, claimed_s: float | None = None, **interval: float) -> AudioStream:
    return AudioStream(path, decoders, ReadSettings(), Interval(**interval), claimed_s, statistics=True)


def faces_of(path: Path | None, decoders: Decoders, reader: Counting, **interval: float) -> FaceStream:
    return FaceStream(path, decoders, ReadSettings(frame_interval_ms=500), Interval(**interval), None, reader)


@pytest.mark.parametrize("claimed_s", [None, 1.0, LENGTH_S, 3600.0])
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, None), (2.3, None), (2.3, 11.0)])
def test_tiles_cover_a_recording_whatever_length_it_claims(sound, decoders, start_s, end_s, claimed_s):
    ends = []
    for event in tiles_of(
        sound, decoders, ReadSettings(video=False), Interval(start_s=start_s, end_s=end_s), 1.2, claimed_s
    ):
        assert isinstance(event, IntervalEnd)
        ends.append(event)
        if event.audio.end_s is not None or event.audio.missing is not None:
            break
    assert [event.position for event in ends] == list(range(len(ends)))
    found = np.concatenate([event.samples for event in ends])
    np.testing.assert_array_equal(found, read_audio(sound, start_s=start_s, end_s=end_s))


@pytest.mark.parametrize("start_s", [0.0, 3.1])
def test_samples_are_those_of_the_whole(sound, decoders, start_s):
    audio = audio_of(sound, decoders, LENGTH_S, start_s=start_s)
    whole = read_audio(sound)
    audio.read_to(np.inf)
    assert (audio.ended, audio.missing) == (True, None)
    assert audio.end_s == pytest.approx(LENGTH_S, abs=1e-3)
    for first_s, last_s in ((start_s, LENGTH_S), (start_s + 1, 9.7), (TILE_S, 2 * TILE_S), (12.0, 99.0)):
        expected = whole[round(first_s * SAMPLE_RATE_HZ) : round(last_s * SAMPLE_RATE_HZ)]
        np.testing.assert_array_equal(audio.samples(first_s, last_s), expected)
    assert not len(audio.samples(LENGTH_S + 1, LENGTH_S + 2))


def test_no_more_is_read_than_was_asked_for(sound, decoders):
    audio = audio_of(sound, decoders)
    audio.read_to(1.0)
    assert audio.reached_s == pytest.approx(TILE_S)
    assert not audio.ended
    assert len(audio.samples(0.0, 99.0)) == round(TILE_S * SAMPLE_RATE_HZ)
    audio.close()


def test_statistics_of_tiles_add_up_to_those_of_the_whole(sound, decoders):
    audio = audio_of(sound, decoders)
    audio.read_to(np.inf)
    added, whole = (
        BandStatistics.unpacked([each]).mean_and_deviation()
        for each in (audio.statistics(0.0, LENGTH_S), statistics_of(read_audio(sound)))
    )
    for ours, theirs in zip(added, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0.02, atol=0.02)


def test_what_is_over_is_forgotten(sound, decoders):
    audio = audio_of(sound, decoders)
    for number in range(1, 5):
        audio.read_to(number * TILE_S)
        audio.forget_before((number - 1) * TILE_S)
        assert len(audio._tiles) <= 2
    assert not audio.samples(0.0, TILE_S).any()


def test_without_a_file_there_is_nothing(decoders):
    audio = audio_of(None, decoders)
    audio.read_to(10.0)
    assert (audio.end_s, audio.missing) == (0.0, "the model was trained without it")
    assert not len(audio.samples(0.0, 10.0))
    assert audio.statistics(0.0, 10.0) is None


def test_a_file_without_the_track(sound, film, decoders):
    audio, faces = audio_of(film, decoders), faces_of(sound, decoders, Counting())
    audio.read_to(1.0)
    faces.read_to(1.0)
    assert (audio.end_s, audio.unreadable) == (0.0, False)
    assert audio.missing.endswith("the file has no audio")
    assert faces.ended
    assert faces.missing.endswith("the file has no video")
    assert not faces.frames


@pytest.mark.parametrize("delay", [0, 3])
def test_frames_come_once_in_order_to_the_end(film, decoders, delay):
    faces = faces_of(film, decoders, Counting(delay))
    faces.read_to(2.0)
    assert len(faces.between(0.0, 2.0)) == 4
    faces.read_to(np.inf)
    assert faces.end_s == pytest.approx(7.0, abs=0.11)
    assert [frame.time_s for frame in faces.frames] == pytest.approx(np.arange(0, 7, 0.5).tolist())
    faces.forget_before(5.0)
    assert faces.frames[0].time_s == 5.0


def test_a_decoder_that_dies_costs_its_track_alone(tmp_path, monkeypatch):
    path = write_talk(tmp_path / "fatal.mp4", 3.0)
    killing_decoder.die_of(monkeypatch, tmp_path, "fatal", "video")
    with Decoders() as decoders:
        audio, faces = audio_of(path, decoders), faces_of(path, decoders, Counting())
        faces.read_to(np.inf)
        audio.read_to(np.inf)
        assert faces.unreadable
        assert "ended the decoder process (SIGSEGV)" in faces.missing
        assert (audio.missing, audio.unreadable) == (None, False)
        assert audio.end_s == pytest.approx(3.0, abs=0.1)


def test_a_file_that_nobody_can_read_ends_the_track(tmp_path, decoders):
    (tmp_path / "empty.mp4").write_bytes(b"")
    audio = audio_of(tmp_path / "empty.mp4", decoders)
    try:
        audio.read_to(1.0)
    except MediaError:
        pytest.fail("one track's fault is not the other's")
    assert audio.unreadable
    assert audio.end_s == 0.0
