import json

import numpy as np
import pytest
from media_writing import grey_image, write_video

from mme2e.media import wire
from mme2e.media.decoder import DecoderProcess
from mme2e.media.glance import Glance, glance_times
from mme2e.media.recording import Interval, IntervalEnd, ReadSettings, read_recording
from mme2e.media.video import Frame, sample_frames

LUMA = np.array([0.299, 0.587, 0.114])


def smooth(height_px, width_px, seed):
    """A picture of slow changes of grey, which video keeps."""
    rows, columns = np.mgrid[:height_px, :width_px]
    grey = 120 + 80 * np.sin(rows / (20 + 3 * seed)) * np.cos(columns / 31 + seed)
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


def glances(events):
    return [event for event in events if isinstance(event, Glance)]


@pytest.mark.parametrize("rotation", [0, 90, 180])
def test_glances_are_the_frames_small_and_grey(tmp_path, rotation):
    path = write_video(tmp_path / "v.mp4", [smooth(240, 640, i) for i in range(12)], rotation=rotation)
    found = glances(read_recording(path, [Interval()], ReadSettings(glance_interval_ms=80)))
    frames = list(sample_frames(path, 80))
    assert [glance.time_s for glance in found] == pytest.approx([frame.requested_s for frame in frames])
    assert len(found) == 15
    for glance, frame in zip(found, frames, strict=True):
        height_px, width_px = (side // 2 for side in frame.image.shape[:2])
        assert glance.scale == 0.5
        assert glance.image.shape == (height_px, width_px)
        assert glance.image.dtype == np.uint8
        grey = (frame.image @ LUMA).reshape(height_px, 2, width_px, 2).mean((1, 3))
        assert np.abs(grey - glance.image).max() < 6
        assert np.abs(grey - glance.image).mean() < 2


def test_small_videos_are_not_enlarged_and_pixels_are_square(tmp_path):
    path = write_video(tmp_path / "v.mp4", [grey_image(level) for level in (0, 130, 255)])
    found = glances(read_recording(path, [Interval()], ReadSettings(glance_interval_ms=100)))
    assert [(glance.scale, glance.image.shape) for glance in found] == [(1.0, (48, 64))] * 3
    assert [float(glance.image.mean()) for glance in found] == pytest.approx([0, 130, 255], abs=3)
    from fractions import Fraction

    path = write_video(tmp_path / "wide.mp4", [grey_image(99)], aspect=Fraction(2))
    (glance,) = glances(read_recording(path, [Interval()], ReadSettings(glance_interval_ms=100)))
    assert glance.image.shape == (48, 128)


def test_events_come_in_the_order_of_time_also_from_the_child(tmp_path):
    path = write_video(tmp_path / "v.mp4", [grey_image(10 * i) for i in range(20)])
    intervals = [Interval(start_s=0.1, end_s=0.7), Interval(start_s=0.5, end_s=1.2)]
    settings = ReadSettings(frame_interval_ms=300, glance_interval_ms=100, audio=False)
    ours = list(read_recording(path, intervals, settings))
    with DecoderProcess() as decoder:
        theirs = list(decoder.read_recording(path, intervals, settings))
    assert [type(event) for event in ours] == [type(event) for event in theirs]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(glances(ours), glances(theirs), strict=True))
    times_s = [
        event.time_s if isinstance(event, Glance) else event.requested_s
        for event in ours
        if not isinstance(event, IntervalEnd)
    ]
    assert times_s == sorted(times_s)
    assert [glance.time_s for glance in glances(ours)] == pytest.approx([i / 10 for i in range(1, 12)])
    first_end = next(i for i, event in enumerate(ours) if isinstance(event, IntervalEnd))
    assert any(isinstance(event, Glance) for event in ours[first_end:])  # ends do not wait for the last glance


def test_who_does_not_ask_sees_none(tmp_path):
    path = write_video(tmp_path / "v.mp4", [grey_image(99)] * 5)
    without = list(read_recording(path, [Interval()], ReadSettings(frame_interval_ms=100)))
    asked = list(read_recording(path, [Interval()], ReadSettings(frame_interval_ms=100, glance_interval_ms=50)))
    assert not glances(without)
    assert [type(event) for event in asked if not isinstance(event, Glance)] == [type(event) for event in without]
    for one, other in zip(without, (event for event in asked if not isinstance(event, Glance)), strict=True):
        if isinstance(one, Frame):
            assert np.array_equal(one.image, other.image)


def test_times_are_multiples_within_the_intervals():
    assert list(glance_times([(0.0, 0.2), (0.1, 0.3), (1.0, 1.2)], 100)) == pytest.approx([0.0, 0.1, 0.2, 1.0, 1.1])
    assert list(glance_times([(0.15, 0.15)], 100)) == []
    endless = glance_times([(0.25, None)], 100)
    assert [next(endless) for _ in range(3)] == pytest.approx([0.3, 0.4, 0.5])
    with pytest.raises(ValueError, match="positive, not 0"):
        next(glance_times([(0.0, 1.0)], 0))


def test_a_glance_travels_and_a_false_one_is_refused():
    glance = Glance(time_s=0.5, image=np.arange(12, dtype=np.uint8).reshape(3, 4), scale=0.25)
    header, array = wire.message_of(glance)
    found = wire.event_from(json.loads(json.dumps(header)), array)
    assert (found.time_s, found.scale) == (0.5, 0.25)
    assert np.array_equal(found.image, glance.image)
    with pytest.raises(wire.WireError, match="glance of int16"):
        wire.event_from(header, array.astype(np.int16))
    with pytest.raises(wire.WireError, match="glance"):
        wire.event_from({"kind": "glance", "fields": {"time_s": 1.0}}, array)
