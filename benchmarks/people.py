"""People followed through videos, and who of them speaks: identity, speaker and time.

    python benchmarks/people.py MEDIA_FOLDER

Real clips come from MEDIA_FOLDER: single_face.mp4, WolfgangLanger_Pexels.mp4, face_noface.mov and no_face.mp4. Of the
first two a video of alternating people is made, with a cut every three seconds. Nobody speaks in them, so the active
speaker is measured on generated dialogues of two people side by side, mixed to mono, and on the two real clips side by
side, in which the mouth of one after the other is stretched with a generated voice while both faces go on to move as
they did. Writes benchmarks/results/people.md.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from faces import environment
from PIL import Image

from mme2e.atomic import write_text
from mme2e.config import FaceSettings, SampleSettings
from mme2e.faces.detector import FaceDetector
from mme2e.faces.people import PeopleTracker, PersonFrame
from mme2e.faces.tracker import FaceTracker
from mme2e.generated.encoding import FRAME_RATE_HZ, to_int16, write_video
from mme2e.generated.portrait import gaussian, sample_bilinear
from mme2e.generated.utterances import perform
from mme2e.generated.voices import CONTROL_RATE_HZ, SAMPLE_RATE_HZ, random_voice
from mme2e.generated.writer import sample
from mme2e.media.decoder import DecoderProcess
from mme2e.media.glance import Glance
from mme2e.media.recording import Interval, IntervalEnd, ReadSettings
from mme2e.media.video import Frame, sample_frames
from mme2e.perception.active_speaker import MouthMotion, loudness, speaker_of

RESULTS = Path(__file__).parent / "results"
CLIPS = ("single_face.mp4", "WolfgangLanger_Pexels.mp4", "face_noface.mov", "no_face.mp4")
PIECE_S = 3  # of one person in the alternating video
ALTERNATING_S = 60
INTERVALS_MS = (200, 500, 700, 1500)
UTTERANCES = 80
TURNS = 40  # of the two real faces
STRETCH = 0.07  # of the height of a face, by which a wide open mouth moves down
TIMES = 5


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Who speaks when, on which side."""

    start_s: float
    end_s: float
    on_the_right: bool


def follow(frames: Iterable[Frame], detector: FaceDetector) -> tuple[PeopleTracker, list[PersonFrame]]:
    tracker = PeopleTracker(detector)
    found = [each for frame in frames for each in tracker.add(frame)]
    return tracker, found + tracker.finish()


def images(clip: Path) -> list[np.ndarray]:
    """Frames at the rate of made videos, 640 x 360."""
    return [
        np.asarray(Image.fromarray(frame.image).resize((640, 360)))
        for frame in sample_frames(clip, float(1000 / FRAME_RATE_HZ))
    ]


def there_and_back(length: int, position: int) -> int:
    """A clip that is too short plays forward and backward."""
    position %= 2 * length - 2
    return position if position < length else 2 * length - 2 - position


def alternating(folder: Path, out: Path) -> None:
    clips = [images(folder / name) for name in CLIPS[:2]]
    played = [0, 0]
    shown = []
    for i in range(round(ALTERNATING_S * FRAME_RATE_HZ)):
        who = int(i / FRAME_RATE_HZ) // PIECE_S % 2
        shown.append(clips[who][there_and_back(len(clips[who]), played[who])])
        played[who] += 1
    write_video(out, shown, np.zeros((ALTERNATING_S * SAMPLE_RATE_HZ, 1), np.int16))


def identity(folder: Path, made: Path, detector: FaceDetector) -> list[str]:
    lines = ["| video | every | frames | with a face | people | identity right |", "|---|---|---|---|---|---|"]
    for name in CLIPS:
        _, found = follow(sample_frames(folder / name, 500), detector)
        counts = Counter(face.person for frame in found for face in frame.faces)
        with_face = sum(bool(frame.faces) for frame in found)
        right = f"{max(counts.values()) / with_face:.0%}" if with_face else "-"
        lines.append(f"| {name} | 500 ms | {len(found)} | {with_face} | {len(counts)} | {right} |")
    for interval_ms in INTERVALS_MS:
        frames = list(sample_frames(made, interval_ms))
        tracker, found = follow(frames, detector)
        # A frame is right where one person is seen, the one whom the first frame of theirs showed.
        expected = [int(frame.time_s + 1e-3) // PIECE_S % 2 + 1 for frame in frames]
        same = [[face.person for face in each.faces] == [who] for each, who in zip(found, expected, strict=True)]
        with_face = sum(bool(frame.faces) for frame in found)
        lines.append(
            f"| two alternating | {interval_ms} ms | {len(found)} | {with_face} | {tracker.people} "
            f"| {sum(same) / len(found):.1%} |"
        )
    return lines


def moving_mouths(folder: Path, out: Path, detector: FaceDetector) -> list[Turn]:
    """The two real clips side by side, one stretched mouth at a time; mono."""
    generator = np.random.default_rng(0)
    clips = [images(folder / name) for name in CLIPS[:2]]
    landmarks = [[faces.landmarks[0] if len(faces) else None for faces in detector.detect(clip)] for clip in clips]
    heights = [float(np.ptp(next(m for m in marks if m is not None)[:, 1])) for marks in landmarks]
    turns: list[Turn] = []
    opened: list[np.ndarray] = []
    pieces, time_s = [np.zeros(SAMPLE_RATE_HZ // 2)], 0.5
    for i in range(TURNS):
        speech = perform(["neu"], random_voice(generator, woman=bool(i % 2)), generator).speech
        turns.append(Turn(start_s=time_s, end_s=time_s + speech.duration_s, on_the_right=bool(i % 2)))
        opened.append(speech.mouth)
        pieces += [speech.samples, np.zeros(SAMPLE_RATE_HZ // 2)]
        time_s += speech.duration_s + 0.5

    def picture(i: int) -> np.ndarray:
        shown = []
        for side, clip in enumerate(clips):
            at = there_and_back(len(clip), i)
            now_s, opening = i / float(FRAME_RATE_HZ), 0.0
            for turn, mouth in zip(turns, opened, strict=True):
                if turn.on_the_right == bool(side) and turn.start_s <= now_s < turn.end_s:
                    opening = float(mouth[min(int((now_s - turn.start_s) * CONTROL_RATE_HZ), len(mouth) - 1)])
            shown.append(stretched(clip[at], landmarks[side][at], 2.2 * heights[side] * STRETCH * opening))
        return np.hstack(shown)

    samples = to_int16(np.concatenate(pieces))[:, None]
    write_video(out, (picture(i) for i in range(int(time_s * FRAME_RATE_HZ))), samples)
    return turns


def stretched(image: np.ndarray, marks: np.ndarray | None, down_px: float) -> np.ndarray:
    """The lower lip and the chin of a face moved down."""
    if marks is None or down_px <= 0:
        return image
    (left, right), size = marks[3:, 0], float(np.ptp(marks[:, 1]))
    y, x = (grid.astype(np.float32) for grid in np.mgrid[: image.shape[0], : image.shape[1]])
    centre = (float(left + right) / 2, float(marks[3:, 1].mean()) + 0.3 * size)
    weight = gaussian(x, y, centre, (0.5 * size, 0.3 * size))
    moved = sample_bilinear(image.astype(np.float32), x, y - weight * np.float32(down_px))
    return np.clip(moved, 0, 255).astype(np.uint8)


def dialogue_turns(video: Path) -> list[Turn]:
    text = (video.parents[2] / "transcriptions" / f"{video.stem}.txt").read_text(encoding="utf-8")
    return [
        Turn(start_s=float(start), end_s=float(end), on_the_right=who != video.stem[5])
        for who, start, end in re.findall(r"_([FM])\d+ \[([\d.]+)-([\d.]+)\]", text)
    ]


def choices(video: Path, turns: list[Turn], detector: FaceDetector) -> Counter[str]:
    """How the speakers were chosen, and how often that was right."""
    motion, tracker = MouthMotion(), PeopleTracker(detector)
    found: list[PersonFrame] = []
    samples, middle_px = np.zeros(0, np.int16), 0.0
    with DecoderProcess() as decoder:
        for event in decoder.read_recording(video, [Interval()], ReadSettings(glance_interval_ms=80)):
            if isinstance(event, Glance):
                motion.look(event)
            elif isinstance(event, Frame):
                middle_px = event.image.shape[1] / 2
                ready = tracker.add(event)
                found += ready
                motion.locate(ready)
            elif isinstance(event, IntervalEnd):
                samples = event.samples
    ready = tracker.finish()
    found += ready
    motion.locate(ready)
    motion.finish()
    right_side = {face.person: sum(face.crop.box[::2]) / 2 > middle_px for each in found for face in each.faces}
    heard = loudness(samples, start_s=0.0)
    counts: Counter[str] = Counter()
    for turn in turns:
        choice = speaker_of(motion.between(turn.start_s, turn.end_s), heard)
        how = "nobody in sight" if choice is None else choice.how
        counts[how] += 1
        counts["right"] += choice is not None and right_side[choice.person] == turn.on_the_right
    return counts


def speakers(folder: Path, scratch: Path, detector: FaceDetector) -> list[str]:
    sample(scratch / "raw", SampleSettings(layout="iemocap", utterances=UTTERANCES, seed=3))
    generated: Counter[str] = Counter()
    for video in sorted((scratch / "raw").rglob("*.avi")):
        generated += choices(video, dialogue_turns(video), detector)
    both = scratch / "both.mp4"
    real = choices(both, moving_mouths(folder, both, detector), detector)
    lines = ["| video | segments | by the mouth | largest | only | nobody | right |", "|---|---|---|---|---|---|---|"]
    for name, counts in (("generated dialogues", generated), ("two real faces, mouths stretched", real)):
        hows = [counts[how] for how in ("mouth", "largest", "only", "nobody in sight")]
        lines.append(f"| {name} | {sum(hows)} | {' | '.join(map(str, hows))} | {counts['right'] / sum(hows):.1%} |")
    return lines


def tracking_times(folder: Path, made: Path, detector: FaceDetector) -> list[str]:
    lines = ["| video | every | one face, ms a frame | all people, ms a frame | ratio |", "|---|---|---|---|---|"]
    for clip, interval_ms in [
        (folder / CLIPS[0], 100),
        (folder / CLIPS[0], 500),
        (folder / CLIPS[1], 500),
        (made, 500),
    ]:
        frames = list(sample_frames(clip, interval_ms))
        one, everyone = [], []
        for _ in range(TIMES):
            start = time.perf_counter()
            list(FaceTracker(detector).crops(frames))
            middle = time.perf_counter()
            follow(frames, detector)
            one.append((middle - start) * 1000 / len(frames))
            everyone.append((time.perf_counter() - middle) * 1000 / len(frames))
        before, after = statistics.median(one), statistics.median(everyone)
        name = "two alternating" if clip == made else clip.name
        lines.append(f"| {name} | {interval_ms} ms | {before:.1f} | {after:.1f} | {after / before:.2f} |")
    return lines


def decoding_times(folder: Path) -> list[str]:
    lines = ["| video | glances | times real time |", "|---|---|---|"]
    clip = folder / CLIPS[1]
    with DecoderProcess() as decoder:
        for glances_ms in (None, 80.0):
            settings = ReadSettings(audio=False, glance_interval_ms=glances_ms)
            taken, end_s = [], 0.0
            for _ in range(TIMES):
                start = time.perf_counter()
                for event in decoder.read_recording(clip, [Interval()], settings):
                    end_s = event.end_s if isinstance(event, IntervalEnd) else end_s
                taken.append(time.perf_counter() - start)
            every = "none" if glances_ms is None else f"{glances_ms:g} ms"
            lines.append(f"| {clip.name}, 640x360 | {every} | {end_s / statistics.median(taken):.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media_folder", type=Path)
    folder = parser.parse_args().media_folder
    detector = FaceDetector(FaceSettings())
    facts = ", ".join(f"{name} {value}" for name, value in environment().items())
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "alternating.mp4"
        alternating(folder, made)
        sections = [
            ("Identity", identity(folder, made, detector)),
            ("Active speaker", speakers(folder, Path(scratch), detector)),
            ("Following all people instead of the largest face", tracking_times(folder, made, detector)),
            ("Decoding with glances", decoding_times(folder)),
        ]
    text = f"# People: identity, active speaker, time\n\n{facts}.\n"
    for title, lines in sections:
        text += "\n".join(["", f"## {title}", "", *lines, ""])
    RESULTS.mkdir(exist_ok=True)
    write_text(RESULTS / "people.md", text)
    print(text)


if __name__ == "__main__":
    main()
