import itertools
import tracemalloc

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from media_writing import grey_image, write_sound, write_video

from mme2e.errors import MediaError
from mme2e.media import cursor, video
from mme2e.media.notes import Damage
from mme2e.media.recording import Interval, ReadSettings, read_recording
from mme2e.media.region import Region
from mme2e.media.video import Frame, frame_times, probe, read_frames, sample_frames

LEVELS = [20, 60, 100, 140, 180, 220]


def levels(frames):
    return [round(frame.image.mean() / 20) * 20 for frame in frames]


def corners():
    """An image of which every corner differs."""
    image = grey_image(40)
    image[:24, :32], image[:24, 32:], image[24:, :32] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    return image


def close(image, wanted):
    return image.shape == wanted.shape and np.abs(image.astype(int) - wanted).mean() < 12


def test_probe_tells_what_is_there(tmp_path):
    info = probe(write_video(tmp_path / "v.mp4", [grey_image(level) for level in LEVELS]))
    assert (info.has_video, info.has_audio, info.width_px, info.height_px) == (True, False, 64, 48)
    assert info.duration_s == pytest.approx(0.6, abs=0.1)
    assert info.frame_rate == pytest.approx(10, rel=0.01)
    sound = probe(write_sound(tmp_path / "a.wav", np.ones((1, 1600), dtype=np.int16)))
    assert (sound.has_video, sound.has_audio, sound.frame_rate, sound.width_px) == (False, True, None, 0)


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv", "mov"])
def test_frames_are_found_by_time(tmp_path, suffix):
    path = write_video(tmp_path / f"v.{suffix}", [grey_image(level) for level in LEVELS])
    frames = list(read_frames(path, [0.0, 0.05, 0.3, 0.349, 0.5]))
    assert levels(frames) == [20, 20, 140, 140, 220]
    assert [frame.requested_s for frame in frames] == [0.0, 0.05, 0.3, 0.349, 0.5]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0, 0.3, 0.3, 0.5], abs=1e-3)
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.shape == (48, 64, 3)


def test_times_past_the_end_yield_nothing(tmp_path):
    path = write_video(tmp_path / "v.mp4", [grey_image(level) for level in LEVELS])
    assert levels(read_frames(path, [0.55, 5.0, 50.0])) == [220]
    assert list(read_frames(path, [100.0])) == []
    assert list(read_frames(path, [])) == []


def test_variable_frame_rate_and_late_first_timestamp(tmp_path):
    times_s = [3.0, 3.1, 3.15, 4.0, 4.9, 5.0]
    path = write_video(tmp_path / "v.mkv", [grey_image(level) for level in LEVELS], times_s)
    frames = list(read_frames(path, [0.0, 0.12, 0.9, 1.5, 1.95]))
    assert levels(frames) == [20, 60, 100, 140, 180]
    assert frames[2].time_s == pytest.approx(0.15, abs=2e-3)


def test_a_video_that_starts_after_its_sound_shows_its_first_frame_before(tmp_path):
    path = tmp_path / "v.mkv"
    write_video(path, [grey_image(level) for level in LEVELS], [2.0 + i / 10 for i in range(6)])
    with av.open(str(path)) as container:
        assert container.start_time == 2_000_000
    assert levels(sample_frames(path, 200)) == [20, 100, 180]


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_rotated_video_is_upright(tmp_path, turn):
    path = write_video(tmp_path / "v.mp4", [corners()] * 3, rotation=turn)
    frame = next(read_frames(path, [0.0]))
    assert close(frame.image, np.rot90(corners(), turn // 90))
    info = probe(path)
    assert (info.height_px, info.width_px) == frame.image.shape[:2]


def test_mirrored_video_is_not_turned_upside_down(tmp_path):
    path = write_video(tmp_path / "v.mp4", [corners()] * 3, rotation=180)
    data = path.read_bytes()
    minus, one = (-65536).to_bytes(4, "big", signed=True), (65536).to_bytes(4, "big")
    nothing = bytes(4)
    half_turn = minus + nothing * 3 + minus
    assert data.count(half_turn) == 1
    path.write_bytes(data.replace(half_turn, minus + nothing * 3 + one))
    assert close(next(read_frames(path, [0.0])).image, corners()[:, ::-1])


def test_region_is_cut_and_must_fit(tmp_path):
    path = write_video(tmp_path / "v.mp4", [corners()] * 3)
    cut = next(read_frames(path, [0.0], Region(x_px=32, y_px=0, width_px=32, height_px=24))).image
    assert cut.shape == (24, 32, 3)
    assert cut[12, 16].argmax() == 1
    assert cut.base is None or cut.base.nbytes == cut.nbytes  # the full picture is not kept alive
    for region in (
        Region(x_px=40, y_px=0, width_px=32, height_px=24),
        Region(x_px=-1, y_px=0, width_px=4, height_px=4),
        Region(x_px=0, y_px=0, width_px=0, height_px=4),
    ):
        with pytest.raises(MediaError, match="does not fit into a frame of 64x48"):
            list(read_frames(path, [0.0], region))


def test_long_gaps_are_jumped_and_give_the_same_frames(tmp_path, monkeypatch):
    images = [grey_image(20 * (1 + i % 11)) for i in range(300)]
    path = write_video(tmp_path / "v.mp4", images, key_spacing=10)
    times_s = [0.0, 11.0, 11.1, 25.55, 29.9]
    decoded = []
    count = cursor.decoded
    monkeypatch.setattr(cursor, "decoded", lambda *args: (decoded.append(f) or f for f in count(*args)))
    frames = list(read_frames(path, times_s))
    assert levels(frames) == [20 * (1 + round(t * 10 - 0.49) % 11) for t in times_s]
    assert len(decoded) < 60
    monkeypatch.setattr(cursor, "SEEK_GAP_S", float("inf"))
    assert levels(read_frames(path, times_s)) == levels(frames)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", "mp4"), ("libx264", "mkv"), ("mpeg4", "mp4"), ("mpeg4", "avi")]
)
def test_frames_that_are_not_asked_for_need_no_decoding(tmp_path, monkeypatch, codec, suffix):
    noise = np.random.default_rng(0)
    images = [grey_image(10 + i) + noise.integers(0, 9, (48, 64, 3), dtype=np.uint8) for i in range(100)]
    path = write_video(tmp_path / f"v.{suffix}", images, codec=codec, key_spacing=100, b_frames=3)
    with av.open(str(path)) as container:
        whole = [(frame.time, frame.pict_type, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert sum(kind == av.video.frame.PictureType.B for _, kind, _ in whole) > 40
    decoded = []
    count = cursor.decoded
    monkeypatch.setattr(cursor, "decoded", lambda *args: (decoded.append(f) or f for f in count(*args)))
    times_s = [i / 10 for i in (1, 2, 13, 29, 30, 46, 62, 63, 64, 65, 81, 98, 99)]
    frames = list(read_frames(path, times_s))
    assert [frame.requested_s for frame in frames] == times_s
    for frame in frames:
        shown_s, _, image = [shown for shown in whole if shown[0] < frame.requested_s + 0.01][-1]
        assert frame.time_s == pytest.approx(shown_s)
        assert np.array_equal(frame.image, image)
    assert len(decoded) < (80 if suffix != "avi" else 101)  # AVI has no timestamps to tell them by


def test_regions_are_read_in_one_pass(tmp_path):
    path = write_video(tmp_path / "v.mp4", [corners()] * 10)
    left, right = (Region(x_px=x, y_px=0, width_px=32, height_px=24) for x in (0, 32))
    outside = Region(x_px=40, y_px=0, width_px=32, height_px=24)
    asked = [(0.5, right), (0.0, left), (0.0, right), (0.3, outside), (0.3, None), (9.0, left), (0.25, right)]
    intervals = [Interval(start_s=time_s, end_s=time_s + 0.1, region=region) for time_s, region in asked]
    events = list(read_recording(path, intervals, ReadSettings(frame_interval_ms=300)))
    frames = [event for event in events if isinstance(event, Frame)]
    assert [(frame.requested_s, frame.region) for frame in frames] == [asked[i] for i in (1, 2, 6, 4, 0)]
    assert [frame.intervals for frame in frames] == [(1,), (2,), (6,), (4,), (0,)]
    assert [frame.image[12, 16].argmax() for frame in frames] == [0, 1, 1, 0, 1]
    assert frames[3].image.shape == (48, 64, 3)
    ends = {event.position: event for event in events if not isinstance(event, Frame)}
    assert [ends[i].frames for i in range(7)] == [1, 1, 1, 0, 1, 0, 1]
    assert "does not fit into a frame of 64x48" in ends[3].video.missing
    assert [ends[i].video.missing for i in (0, 1, 2, 4, 5, 6)] == [None] * 6
    assert [event.position for event in events if not isinstance(event, Frame)][:2] == [1, 2]  # as they are complete
    with pytest.raises(ValueError, match="expected 0 <= start_s <= end_s"):
        read_recording(path, [Interval(start_s=2.0, end_s=1.0)], ReadSettings())
    assert list(read_recording(path, [], ReadSettings())) == []


def test_large_pictures_are_decoded_by_two_threads(tmp_path):
    path = write_video(tmp_path / "v.mp4", [grey_image(20 + i, 1056, 1024) for i in range(12)])
    assert [round(frame.image.mean()) for frame in sample_frames(path, 300)] == pytest.approx([20, 23, 26, 29], abs=2)


def test_without_key_frames_jumping_is_given_up(tmp_path):
    images = [grey_image(20 * (1 + i % 11)) for i in range(300)]
    path = write_video(tmp_path / "v.mp4", images, key_spacing=600)
    times_s = [0.0, 10.0, 20.0, 29.0]
    assert levels(read_frames(path, times_s)) == [20 * (1 + round(t * 10) % 11) for t in times_s]


def test_sampling_without_a_duration(tmp_path):
    # A raw stream has neither duration nor timestamps; FFmpeg takes it to run at 25 frames a second.
    path = write_video(tmp_path / "v.h264", [grey_image(level) for level in LEVELS * 5], codec="libx264")
    assert probe(path).duration_s is None
    assert [frame.time_s for frame in sample_frames(path, 500)] == pytest.approx([0.0, 0.48, 1.0])
    mkv = write_video(tmp_path / "v.mkv", [grey_image(level) for level in LEVELS])
    assert levels(sample_frames(mkv, 200)) == [20, 100, 180]
    assert levels(sample_frames(mkv, 200, start_s=0.1, end_s=0.4)) == [60, 140]


def test_frame_times():
    assert frame_times(1.0, 2.0, 500) == [1.0, 1.5]
    assert frame_times(1.0, 1.1, 500) == [1.0]
    assert frame_times(0.0, 0.3, 100) == pytest.approx([0.0, 0.1, 0.2])
    assert frame_times(1.0, 1.0, 500) == []
    with pytest.raises(ValueError, match="must be positive"):
        frame_times(0.0, 1.0, 0)


def test_times_must_ascend(tmp_path):
    with pytest.raises(ValueError, match="ascend"):
        read_frames(tmp_path / "v.mp4", [1.0, 0.5])


def test_unreadable_files(tmp_path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("no video at all, only words\n" * 50)
    for path in (empty, text, tmp_path / "missing.mp4", tmp_path):
        with pytest.raises(MediaError, match=path.name):
            probe(path)
        with pytest.raises(MediaError, match=path.name):
            list(read_frames(path, [0.0]))
    sound = write_sound(tmp_path / "a.wav", np.ones((1, 1600), dtype=np.int16))
    with pytest.raises(MediaError, match="no video"):
        list(read_frames(sound, [0.0]))


def test_a_truncated_header_is_an_error_and_a_truncated_end_an_end(tmp_path):
    images = [grey_image(level) for level in LEVELS * 5]
    whole = write_video(tmp_path / "v.mp4", images).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])  # mp4 has its index at the end
    with pytest.raises(MediaError):
        list(read_frames(cut, [0.0]))
    whole = write_video(tmp_path / "v.mkv", images).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    served = levels(sample_frames(cut, 100))
    assert 5 < len(served) < 30
    assert served == (LEVELS * 5)[: len(served)]


def test_damage_in_the_middle_costs_only_its_frames(tmp_path):
    noise = np.random.default_rng(0)
    images = [noise.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(60)]
    data = bytearray(write_video(tmp_path / "v.mkv", images, codec="libx264").read_bytes())
    start = len(data) // 2
    data[start : start + 3000] = noise.integers(0, 255, 3000, dtype=np.uint8).tobytes()
    path = tmp_path / "damaged.mkv"
    path.write_bytes(data)
    frames = list(sample_frames(path, 100))
    assert len(frames) == 60
    assert frames[-1].time_s > 5


@pytest.mark.parametrize("bad", [0, 2])
def test_a_frame_that_cannot_be_converted_is_damage_and_the_one_before_stays(tmp_path, monkeypatch, bad):
    path = write_video(tmp_path / "v.mp4", [grey_image(level) for level in LEVELS])

    class Reformatter:
        def __init__(self):
            self.real, self.number = VideoReformatter(), -1

        def reformat(self, *args, **kwargs):
            self.number += 1
            if self.number == bad:
                raise av.error.OSError(95, "Operation not supported")
            return self.real.reformat(*args, **kwargs)

    monkeypatch.setattr(video, "VideoReformatter", Reformatter)
    damage = Damage()
    served = levels(sample_frames(path, 100, damage=damage))
    assert served == (LEVELS[1:] if bad == 0 else [20, 60, 60, 140, 180, 220])
    assert str(damage) == "1 packet could not be decoded"


def test_memory_does_not_grow_with_length(tmp_path):
    image = grey_image(100, 480, 640)
    path = write_video(tmp_path / "v.mp4", [image] * 120)
    tracemalloc.start()
    for _ in sample_frames(path, 100):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * image.nbytes


def test_stopping_early_closes_the_file(tmp_path):
    path = write_video(tmp_path / "v.mp4", [grey_image(level) for level in LEVELS])
    frames = sample_frames(path, 100)
    assert len(list(itertools.islice(frames, 2))) == 2
    frames.close()
    path.unlink()


def test_a_whole_video_has_no_damage(tmp_path):
    for suffix in ("mp4", "avi", "mkv"):
        damage = Damage()
        list(sample_frames(write_video(tmp_path / f"v.{suffix}", [grey_image(20)] * 20), 100, damage=damage))
        assert (damage, bool(damage), str(damage)) == (Damage(), False, "")


@pytest.mark.parametrize("suffix", ["avi", "mkv"])
def test_damage_of_a_video_that_was_cut_off_is_told(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), dtype=np.uint8)
    path = write_video(tmp_path / f"v.{suffix}", list(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    damage = Damage()
    assert len(list(sample_frames(path, 100, damage=damage))) < 25
    assert damage
    assert "could not be decoded" in str(damage) or "breaks off at" in str(damage)
