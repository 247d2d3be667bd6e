"""Intervals in, observations out: one pass over each file, and a fault costs what it is a fault of."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from killing_decoder import die_of
from media_writing import grey_image, write_sound, write_video

from mme2e.errors import MediaError
from mme2e.faces.face_crop import FaceCrop, FaceFlag
from mme2e.media.recording import Interval, ReadSettings, read_recording
from mme2e.media.region import Region
from mme2e.perception.decoders import Decoders
from mme2e.perception.observation import Observation, Quality, count_frames
from mme2e.perception.perceive import Senses, perceive
from mme2e.perception.stopwatch import Stopwatch

LEFT = Region(x_px=0, y_px=0, width_px=32, height_px=48)


class LateTracker:
    """Hands out the crops of three frames at once, as a tracker that waits for a key frame; a crop has their grey."""

    def crops(self, frames):
        waiting = []
        for frame in frames:
            waiting.append(frame)
            if len(waiting) == 3:
                yield from map(self._crop, waiting)
                waiting = []
        yield from map(self._crop, waiting)

    def _crop(self, frame):
        crop = np.full((48, 48, 3), round(frame.image.mean()), dtype=np.uint8)
        box = (0.0, 0.0, 4.0, 4.0)
        return FaceCrop(
            time_s=frame.requested_s, crop=crop, box=box, flag=FaceFlag.DETECTED, probability=0.9, region=frame.region
        )


class CountingDecoders(Decoders):
    """Reads in this process and notes what is read; of some files the audio, or the video, cannot be."""

    def __init__(self, bad_audio: str = "-", bad_video: str = "-") -> None:
        super().__init__()
        self.read: list[tuple[str, bool, bool, int]] = []
        self._bad = bad_audio, bad_video

    @contextmanager
    def borrowed(self):
        yield self

    def read_recording(self, path, intervals, settings):
        self.read.append((path.name, settings.video, settings.audio, len(intervals)))
        bad_audio, bad_video = self._bad
        for event in read_recording(path, intervals, settings):
            if (settings.audio and bad_audio in path.name) or (settings.video and bad_video in path.name):
                raise MediaError(f"{path}: decoding it ended the decoder process (SIGSEGV)")
            yield event


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    video = write_video(tmp_path / "v.mp4", [grey_image(20 + 10 * i) for i in range(20)])
    tone = (np.arange(32000) % 1000).astype(np.int16)
    return video, write_sound(tmp_path / "a.wav", tone[None])


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Two seconds of video and audio in one file."""
    import av

    path = tmp_path / "both.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for i in range(20):
            container.mux(video.encode(av.VideoFrame.from_ndarray(grey_image(20 + 10 * i), format="rgb24")))
            samples = np.full((1, 1600), 100 * i, dtype=np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, 1600 * i
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def see(
    video: Path | None, audios: list[Path | None], intervals: list[Interval], decoders: Decoders
) -> dict[int, Observation]:
    senses = Senses(tracker=LateTracker(), decoders=decoders, stopwatch=Stopwatch())
    return {o.position: o for o in perceive(video, audios, intervals, ReadSettings(), senses)}


def greys(observation: Observation) -> list[int]:
    return [int(face.crop[0, 0, 0]) for face in observation.faces]


INTERVALS = [
    Interval(start_s=1.0, end_s=2.0),
    Interval(start_s=0.0, end_s=1.2),
    Interval(start_s=0.0, end_s=1.2, region=LEFT),
    Interval(start_s=0.5),
]
TIMES = [[1.0, 1.5], [0.0, 0.5, 1.0], [0.0, 0.5, 1.0], [0.5, 1.0, 1.5]]


def test_a_file_is_read_once_for_all_intervals(both: Path) -> None:
    decoders = CountingDecoders()
    seen = see(both, [both] * 4, INTERVALS, decoders)
    assert decoders.read == [("both.mkv", True, True, 4)]
    assert [[face.time_s for face in seen[i].faces] for i in range(4)] == TIMES
    for i, times in enumerate(TIMES):
        np.testing.assert_allclose(greys(seen[i]), [20 + 100 * time_s for time_s in times], atol=4)
    assert [len(seen[i].samples) for i in range(4)] == [16000, 19200, 19200, 24000]
    assert (seen[3].end_s, seen[3].open_ended, seen[0].frames_expected) == (2.0, True, 2)
    assert all(seen[i].notes == () for i in range(4))


def test_audio_of_other_files_is_read_beside_the_video_each_file_once(files: tuple[Path, Path], tmp_path: Path) -> None:
    video, audio = files
    other = write_sound(tmp_path / "b.wav", np.full((1, 32000), 7, dtype=np.int16))
    decoders = CountingDecoders()
    seen = see(video, [audio, other, audio, None], INTERVALS, decoders)
    assert sorted(decoders.read) == [("a.wav", False, True, 2), ("b.wav", False, True, 1), ("v.mp4", True, False, 4)]
    assert [len(seen[i].samples) for i in range(4)] == [16000, 19200, 19200, 0]
    assert set(seen[1].samples) == {7}
    assert list(seen[0].samples[:2]) == [0, 1]
    assert [len(seen[i].faces) for i in range(4)] == [2, 3, 3, 3]
    assert seen[3].audio_file is None


def test_audio_alone(files: tuple[Path, Path]) -> None:
    decoders = CountingDecoders()
    seen = see(None, [files[1]] * 4, INTERVALS, decoders)
    assert decoders.read == [("a.wav", False, True, 4)]
    assert [len(seen[i].samples) for i in range(4)] == [16000, 19200, 19200, 24000]
    assert seen[3].end_s == 2.0
    assert all(not seen[i].faces and seen[i].notes == () for i in range(4))


def test_a_fault_of_the_audio_does_not_cost_the_video(both: Path) -> None:
    decoders = CountingDecoders(bad_audio="both")
    seen = see(both, [both] * 4, INTERVALS, decoders)
    assert [[face.time_s for face in seen[i].faces] for i in range(4)] == TIMES
    for i in range(4):
        (note,) = seen[i].notes
        assert (note.modality, note.quality, note.unreadable) == ("acoustic", Quality.MISSING, True)
        assert str(note) == "audio missing: both.mkv: decoding it ended the decoder process (SIGSEGV)"


def test_a_fault_of_the_video_does_not_cost_the_audio(both: Path) -> None:
    seen = see(both, [both] * 4, INTERVALS, CountingDecoders(bad_video="both"))
    assert [len(seen[i].samples) for i in range(4)] == [16000, 19200, 19200, 24000]
    notes = [note for i in range(4) for note in seen[i].notes]
    assert {note.modality for note in notes} == {"visual"}
    assert all("both.mkv: decoding it ended the decoder process" in note.reason and note.unreadable for note in notes)


def test_a_child_that_dies_costs_its_file_only(
    both: Path, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die_of(monkeypatch, tmp_path, "both", "audio")
    with Decoders() as decoders:
        (dead,) = see(both, [both], [Interval()], decoders).values()
        (whole,) = see(files[0], [files[1]], [Interval()], decoders).values()
    assert (len(dead.faces), len(dead.samples)) == (4, 0)
    assert [str(note) for note in dead.notes] == [
        "audio missing: both.mkv: decoding it ended the decoder process (SIGSEGV)"
    ]
    assert (len(whole.faces), len(whole.samples), whole.notes) == (4, 32000, ())


def test_a_file_that_is_not_there_costs_both(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.mp4"
    (seen,) = see(nowhere, [nowhere], [Interval(end_s=1.0)], CountingDecoders()).values()
    assert seen.is_empty
    assert [str(note) for note in seen.notes] == [
        "video missing: nowhere.mp4 is not a file",
        "audio missing: nowhere.mp4 is not a file",
    ]
    assert not seen.starts_after_its_files


def test_an_interval_after_the_end(both: Path) -> None:
    (seen,) = see(both, [both], [Interval(start_s=5.0)], CountingDecoders()).values()
    assert seen.starts_after_its_files
    assert seen.files_end_s == pytest.approx(2.0, abs=0.01)
    assert seen.covered_to_s == seen.end_s == 5.0


def test_a_file_without_a_track(files: tuple[Path, Path]) -> None:
    video, audio = files
    (seen,) = see(video, [video], [Interval()], CountingDecoders()).values()
    assert [str(note) for note in seen.notes] == ["audio missing: v.mp4: the file has no audio"]
    assert seen.notes[0].no_track
    assert not seen.notes[0].unreadable
    (seen,) = see(audio, [audio], [Interval()], CountingDecoders()).values()
    assert [str(note) for note in seen.notes] == ["video missing: a.wav: the file has no video"]


@pytest.mark.parametrize(("start_s", "end_s", "step_ms"), [(0, 3, 500), (0.1, 0.7, 200), (5, 5, 500), (0, 2.9999, 3)])
def test_frames_are_counted_as_they_are_listed(start_s: float, end_s: float, step_ms: float) -> None:
    from mme2e.media.video import frame_times

    assert count_frames(start_s, end_s, step_ms) == len(frame_times(start_s, end_s, step_ms))


def test_counting_takes_no_time() -> None:
    assert count_frames(0.0, 1e12, 500) == 2 * 10**12


def test_decoders_are_lent_to_one_at_a_time() -> None:
    with Decoders() as decoders:

        def lent() -> Iterator[int]:
            with decoders.borrowed() as first, decoders.borrowed() as second:
                assert first is not second
                yield id(first)
                yield id(second)

        twice = set(lent())
        with decoders.borrowed() as again:
            assert id(again) in twice


@pytest.mark.parametrize(("name", "frames"), [("flv_tells_1s.flv", 7), ("live_v.webm", 6), ("starts_at_5.mkv", 6)])
def test_ends_are_what_was_decoded(shared, name: str, frames: int) -> None:  # type: ignore[no-untyped-def]
    path = shared(f"inputs/{name}")
    (seen,) = see(path, [path], [Interval()], CountingDecoders()).values()
    assert len(seen.faces) == frames
    assert seen.end_s == pytest.approx(3.0, abs=0.04)
    assert seen.covered_to_s == pytest.approx(3.0, abs=0.04)
    assert not [note for note in seen.notes if note.modality == "visual"]
