"""A generated corpus in the raw layout of CMU-MOSEI (`mme2e.corpora.mosei` reads it)."""

import csv
import io
import string
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mme2e.corpora.mosei import (
    AUDIO_FOLDERS,
    CLIP_COLUMN,
    ID_COLUMN,
    LABEL_FOLDERS,
    LABEL_NAMES,
    TRANSCRIPT_FOLDERS,
    VIDEO_FOLDERS,
)
from mme2e.generated.actor import FULL_SIZE_PX, actor
from mme2e.generated.conditions import FRONTAL, HeadPose, random_head_pose, random_light, random_room
from mme2e.generated.encoding import FRAME_RATE_HZ, to_int16, write_video, write_wav
from mme2e.generated.utterances import Pose, perform, resting_pose
from mme2e.generated.voices import SAMPLE_RATE_HZ

CLIPS_PER_VIDEO = 6
ENOUGH_VIDEOS = 6
"""Small samples get shorter videos, to have this many: by recording they can then be split in three."""

ANNOTATORS = 3
_NUMBER_OF_EMOTIONS = (0, 1, 1, 1, 2, 2)  # of six clips in a row
_LABEL_FILE = "Batch_generated_results.csv"


@dataclass(frozen=True, kw_only=True)
class Video:
    """One recording to make.

    Attributes:
        id: Eleven characters, like those of a video platform.
        clips: Emotions of each clip, none to two.
        seed: Seed of the corpus.
    """

    id: str
    clips: tuple[tuple[str, ...], ...]
    seed: int


def plan_videos(utterances: int, seed: int) -> list[Video]:
    """Cuts the utterances into videos of one speaker each, emotions in equal parts."""
    generator = np.random.default_rng([seed, 4])
    clips: list[tuple[str, ...]] = []
    waiting: list[str] = []
    while len(clips) < utterances:
        for count in generator.permutation(_NUMBER_OF_EMOTIONS).tolist():
            if len(set(waiting)) < 2:  # shuffle in another round, so that all emotions come equally often
                waiting.extend(LABEL_NAMES[i] for i in generator.permutation(len(LABEL_NAMES)))
            chosen: list[str] = []
            while len(chosen) < count:
                chosen.append(waiting.pop(next(i for i, emotion in enumerate(waiting) if emotion not in chosen)))
            clips.append(tuple(chosen))
    del clips[utterances:]
    length = min(CLIPS_PER_VIDEO, max(1, utterances // ENOUGH_VIDEOS))
    starts = range(0, utterances, length)
    return [
        Video(id=_id(generator, first=start == 0), clips=tuple(clips[start : start + length]), seed=seed)
        for start in starts
    ]


def _id(generator: np.random.Generator, *, first: bool) -> str:
    """A random id; the first one begins with '-', as some of the real ones do."""
    letters = string.ascii_letters + string.digits
    name = "".join(letters[i] for i in generator.integers(len(letters), size=11))
    return f"-{name[1:]}" if first else name


def write_one_video(video: Video, out: Path) -> int:
    """Writes video, audio and transcript of one recording; returns its number of clips."""
    generator = np.random.default_rng([video.seed, 5, *video.id.encode()])
    person = actor((video.seed, 6, *video.id.encode()), bool(generator.integers(2)), FULL_SIZE_PX)
    performances = [perform(emotions, person.voice, generator) for emotions in video.clips]
    starts_s, time_s = [], 0.4
    for performance in performances:
        starts_s.append(round(time_s, 3))
        time_s += performance.speech.duration_s + generator.uniform(0.2, 0.4)
    duration_s = time_s + 0.2
    white = generator.standard_normal(int(duration_s * SAMPLE_RATE_HZ))
    samples = np.zeros_like(white)
    for start_s, performance in zip(starts_s, performances, strict=True):
        start = round(start_s * SAMPLE_RATE_HZ)
        samples[start : start + len(performance.speech.samples)] += performance.speech.samples
    camera = np.random.default_rng([video.seed, 9, *video.id.encode()])
    light, room = random_light(camera), random_room(camera, microphones=1)
    heads = [random_head_pose(camera) for _ in performances]
    audio = to_int16(room.record(samples[:, None], white[:, None], sample_rate_hz=SAMPLE_RATE_HZ))

    def stance(time_s: float) -> tuple[Pose, HeadPose]:
        clip = bisect_right(starts_s, time_s) - 1
        if clip < 0:
            return resting_pose(time_s), FRONTAL
        spent_s = time_s - starts_s[clip]
        speaks = spent_s < performances[clip].speech.duration_s
        return performances[clip].pose(spent_s) if speaks else resting_pose(time_s), heads[clip]

    for folder in (VIDEO_FOLDERS[0], AUDIO_FOLDERS[0], TRANSCRIPT_FOLDERS[0]):
        (out / folder).mkdir(parents=True, exist_ok=True)
    write_wav(out / AUDIO_FOLDERS[0] / f"{video.id}.wav", audio)
    times = (float(index / FRAME_RATE_HZ) for index in range(int(duration_s * FRAME_RATE_HZ)))
    write_video(out / VIDEO_FOLDERS[0] / f"{video.id}.mp4", (person.picture(*stance(t), light) for t in times), audio)
    lines = (
        f"{video.id}___{clip}___{start_s:.3f}___{start_s + performance.speech.duration_s:.3f}___{performance.text}\n"
        for clip, (start_s, performance) in enumerate(zip(starts_s, performances, strict=True))
    )
    (out / TRANSCRIPT_FOLDERS[0] / f"{video.id}.txt").write_text("".join(lines), encoding="utf-8")
    return len(performances)


def write_labels(videos: list[Video], out: Path) -> None:
    """Writes the rows of all annotators: each scores 0 to 3, and not everyone sees every emotion."""
    generator = np.random.default_rng([videos[0].seed, 7])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["HITId", "WorkerId", ID_COLUMN, CLIP_COLUMN, *(f"Answer.{name}" for name in LABEL_NAMES)])
    for video in videos:
        for clip, emotions in enumerate(video.clips):
            scores = generator.integers(0, 4, size=(ANNOTATORS, len(LABEL_NAMES)))
            scores[0] = np.maximum(scores[0], 1)  # an emotion that is there is seen by someone
            scores *= np.array([name in emotions for name in LABEL_NAMES])
            hit = "".join(string.ascii_uppercase[i] for i in generator.integers(26, size=12))
            for number in generator.permutation(ANNOTATORS):
                writer.writerow([hit, f"A{number + 1}", video.id, clip, *scores[number].tolist()])
    folder = out / LABEL_FOLDERS[0]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _LABEL_FILE).write_text(text.getvalue(), encoding="utf-8")
