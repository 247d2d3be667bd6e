"""Who speaks: made mouths, and a generated dialogue of two people side by side."""

import re

import numpy as np
import pytest

from mme2e.config import FaceSettings
from mme2e.faces.detector import FaceDetector
from mme2e.faces.face_crop import FaceCrop, FaceFlag
from mme2e.faces.people import PeopleTracker, PersonFace, PersonFrame
from mme2e.generated.iemocap_layout import Dialogue, write_dialogue
from mme2e.media.glance import Glance
from mme2e.media.recording import Interval, ReadSettings, read_recording
from mme2e.media.video import Frame
from mme2e.perception.active_speaker import Motion, MouthMotion, loudness, mouth_change, speaker_of

NO_CROP = np.zeros((48, 48, 3), np.uint8)


def seen(time_s, **boxes):
    faces = [
        PersonFace(
            person=int(name[1:]),
            crop=FaceCrop(time_s=time_s, crop=NO_CROP, box=box, flag=FaceFlag.DETECTED, probability=1.0),
        )
        for name, box in boxes.items()
    ]
    return PersonFrame(time_s=time_s, faces=tuple(faces))


def noise(seed, height_px=120, width_px=240):
    coarse = np.random.default_rng(seed).uniform(40, 200, (height_px // 6, width_px // 6))
    return np.kron(coarse, np.ones((6, 6))).astype(np.uint8)


def motion_of(values, side_px=50.0):
    return Motion(times_s=np.arange(len(values)) * 0.08, values=np.array(values, np.float32), side_px=side_px)


def beats(count=40):
    """Loudness that goes up and down twice a second, and the mouth that goes with it."""
    samples = np.zeros(count * 1280, np.int16)
    spoken = (np.arange(count) // 3) % 2 == 0
    for i in np.flatnonzero(spoken):
        samples[i * 1280 : (i + 1) * 1280] = 8000 * np.sin(np.arange(1280) / 4)
    return samples, np.where(spoken, 0.15, 0.01)


def test_a_mouth_that_moves_is_told_from_a_head_that_moves():
    face = noise(0)[:64, :64].astype(np.float32)
    mouth = face.copy()
    mouth[44:60, 20:44] += 60
    shifted = np.roll(face, 1, axis=1)
    small = [each.reshape(32, 2, 32, 2).mean((1, 3)) for each in (face, mouth, shifted)]
    moved, still, head = (
        mouth_change(small[0], small[1]),
        mouth_change(small[0], small[0]),
        mouth_change(small[0], small[2]),
    )
    assert moved > 0.3
    assert still == 0
    assert head < 0.3 * moved
    assert mouth_change(np.full((32, 32), 9.0, np.float32), small[0] * 0 + 9) == 0


def test_faces_are_looked_at_between_their_frames():
    motion, base = MouthMotion(), noise(1)
    left, right = (10.0, 20.0, 70.0, 100.0), (140.0, 20.0, 200.0, 100.0)
    for i in range(26):
        image = base.copy()
        if i % 2:
            image[75:95, 155:185] //= 2  # the mouth on the right
        motion.look(Glance(time_s=i * 0.08, image=image, scale=0.5))
        if i % 6 == 0:
            boxes = {"p1": tuple(2 * x for x in left), "p2": tuple(2 * x for x in right)}
            motion.locate([seen(i * 0.08, **boxes)])
    motion.finish()
    found = motion.between(0.0, 3.0)
    assert set(found) == {1, 2}
    assert len(found[1].times_s) == 25
    assert found[2].side_px == pytest.approx(120)
    assert found[2].values.mean() > 0.2 > 10 * found[1].values.mean()
    assert len(motion.between(0.5, 1.0)[1].times_s) == 6
    motion.forget(1.0)
    assert motion.between(0.0, 3.0)[1].times_s.min() >= 1.0
    motion.forget(99.0)
    assert motion.between(0.0, 3.0) == {}


def test_a_cut_is_no_motion():
    motion = MouthMotion()
    for i in range(20):
        motion.look(Glance(time_s=i * 0.08, image=noise(2 + (i >= 10)), scale=1.0))
    motion.locate([seen(0.0, p1=(10.0, 20.0, 70.0, 100.0)), seen(0.5, p1=(10.0, 20.0, 70.0, 100.0))])
    motion.locate([seen(1.0, p2=(10.0, 20.0, 70.0, 100.0)), seen(1.5, p2=(10.0, 20.0, 70.0, 100.0))])
    motion.finish()
    assert motion.between(0.0, 2.0)[1].values.max() == 0


def test_a_face_at_the_edge_and_one_of_a_pixel():
    motion = MouthMotion()
    for i in range(8):
        motion.look(Glance(time_s=i * 0.08, image=noise(i), scale=1.0))
    boxes = {"p1": (-30.0, -20.0, 40.0, 60.0), "p2": (500.0, 500.0, 600.0, 600.0), "p3": (5.0, 5.0, 5.2, 5.2)}
    motion.locate([seen(0.0, **boxes), seen(0.5, **boxes)])
    motion.finish()
    assert all(np.isfinite(found.values).all() for found in motion.between(0.0, 1.0).values())


def test_the_mouth_that_moves_with_the_audio_is_chosen():
    samples, spoken = beats()
    heard = loudness(samples, start_s=0.0)
    still = np.full_like(spoken, 0.01)
    choice = speaker_of({1: motion_of(still, 90.0), 2: motion_of(spoken)}, heard)
    assert (choice.person, choice.how) == (2, "mouth")
    assert 0.6 <= choice.confidence <= 1
    restless = np.random.default_rng(0).permutation(spoken)  # as much motion, at other times
    choice = speaker_of({1: motion_of(restless, 90.0), 2: motion_of(spoken)}, heard)
    assert (choice.person, choice.how) == (2, "mouth")


def test_without_a_difference_the_largest_is_chosen():
    samples, spoken = beats()
    heard = loudness(samples, start_s=0.0)
    still = motion_of(np.zeros(40))
    choice = speaker_of({1: still, 2: motion_of(np.zeros(40), 90.0)}, heard)
    assert (choice.person, choice.how, choice.confidence) == (2, "largest", 0.5)
    assert speaker_of({1: motion_of(spoken), 2: motion_of(spoken, 90.0)}, heard).how == "largest"
    assert speaker_of({1: motion_of(spoken), 2: still}, None).how == "largest"
    assert speaker_of({1: motion_of(spoken[:2]), 2: motion_of([0.0, 0.0])}, heard).how == "largest"


def test_one_face_or_none():
    choice = speaker_of({4: motion_of(np.zeros(3))}, None)
    assert (choice.person, choice.how, choice.confidence) == (4, "only", 1.0)
    assert speaker_of({}, None) is None


def test_loudness_of_silence_and_of_nothing():
    assert len(loudness(np.zeros(0, np.int16), start_s=0.0).values) == 0
    assert len(loudness(np.zeros(700, np.int16), start_s=0.0).values) == 2
    loud = loudness(np.repeat([0, 9000], 8000).astype(np.int16), start_s=3.0)
    assert loud.times_s[0] == pytest.approx(3.01)
    assert loud.values[:20].max() == 0
    assert loud.values[-20:].min() > 0.9


@pytest.mark.slow
def test_speakers_of_a_generated_dialogue(tmp_path):
    emotions = ("neu", "hap", "sad", "ang", "neu", "fru")
    write_dialogue(Dialogue(name="Ses01F_impro01", session=1, emotions=emotions, seed=0), tmp_path)
    (video,) = tmp_path.rglob("*.avi")
    (transcript,) = tmp_path.rglob("transcriptions/*.txt")
    motion, tracker, found = MouthMotion(), PeopleTracker(FaceDetector(FaceSettings())), []
    for event in read_recording(video, [Interval()], ReadSettings(glance_interval_ms=80)):
        if isinstance(event, Glance):
            motion.look(event)
        elif isinstance(event, Frame):
            ready = tracker.add(event)
            found += ready
            motion.locate(ready)
        else:
            heard = loudness(event.samples, start_s=0.0)
    motion.locate(tracker.finish())
    motion.finish()
    assert tracker.people == 2
    (left,) = {face.person for frame in found for face in frame.faces if face.crop.box[0] < 300}
    turns = re.findall(r"_([FM])\d+ \[([\d.]+)-([\d.]+)\]", transcript.read_text())
    assert len(turns) == len(emotions)
    for who, start, end in turns:
        choice = speaker_of(motion.between(float(start), float(end)), heard)
        assert choice.how == "mouth"
        assert (choice.person == left) == (who == "F")
