"""A generated corpus in the raw layout of IEMOCAP (`mme2e.corpora.iemocap` reads it)."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mme2e.corpora.iemocap import LABEL_NAMES, RELEASE_FOLDER
from mme2e.generated.actor import HALF_SIZE_PX, Actor, actor
from mme2e.generated.conditions import FRONTAL, HeadPose, random_head_pose, random_light, random_room
from mme2e.generated.encoding import FRAME_RATE_HZ, to_int16, write_video, write_wav
from mme2e.generated.utterances import Performance, Pose, perform, resting_pose
from mme2e.generated.voices import SAMPLE_RATE_HZ

SESSIONS = 5
TURNS_PER_DIALOGUE = 8
_SCENES = (
    *(f"impro{number:02}" for number in range(1, 9)),
    *(f"script{number}" for number in ("01_1", "01_2", "01_3", "02_1", "02_2", "03_1", "03_2")),
)
_CROSSTALK = 0.04  # of the other's microphone
_CATEGORIES = {
    "ang": ("Anger", (1.5, 4.0, 4.0)),
    "exc": ("Excited", (4.0, 4.0, 3.5)),
    "fru": ("Frustration", (2.0, 3.0, 3.0)),
    "hap": ("Happiness", (4.0, 3.0, 3.0)),
    "neu": ("Neutral state", (3.0, 2.5, 2.5)),
    "sad": ("Sadness", (2.0, 2.0, 2.0)),
}
"""The annotators' name of each emotion, and its usual valence, activation and dominance (1 to 5)."""


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """One recording to make.

    Attributes:
        name: "Ses01F_impro01".
        session: 1 to 5.
        emotions: One a turn; turns alternate, the person on the left begins.
        seed: Seed of the corpus.
    """

    name: str
    session: int
    emotions: tuple[str, ...]
    seed: int

    @property
    def speakers(self) -> str:
        """Letters of the people on the left and on the right."""
        return "FM" if self.name[5] == "F" else "MF"


@dataclass(frozen=True, kw_only=True)
class _Turn:
    id: str
    side: int
    start_s: float
    performance: Performance
    head: HeadPose

    @property
    def end_s(self) -> float:
        return self.start_s + self.performance.speech.duration_s


def plan_dialogues(utterances: int, seed: int) -> list[Dialogue]:
    """Spreads the utterances over five sessions, emotions in equal parts."""
    generator = np.random.default_rng([seed, 1])
    rounds = -(-utterances // len(LABEL_NAMES))
    emotions = [LABEL_NAMES[i] for _ in range(rounds) for i in generator.permutation(len(LABEL_NAMES))]
    bounds = np.linspace(0, utterances, SESSIONS + 1).round().astype(int)
    dialogues = []
    for session, (start, stop) in enumerate(pairwise(bounds.tolist()), start=1):
        names = [f"Ses{session:02}{side}_{scene}" for scene in _SCENES for side in "FM"]
        count = min(len(names), -(-(stop - start) // TURNS_PER_DIALOGUE))
        for name, turns in zip(
            names[:count], np.array_split(np.array(emotions[start:stop]), max(count, 1)), strict=False
        ):
            dialogues.append(Dialogue(name=name, session=session, emotions=tuple(turns.tolist()), seed=seed))
    return dialogues


def write_dialogue(dialogue: Dialogue, out: Path) -> int:
    """Writes video, audio, labels and transcript of one dialogue; returns its number of turns."""
    generator = np.random.default_rng([dialogue.seed, 2, *dialogue.name.encode()])
    actors = [
        actor((dialogue.seed, 3, dialogue.session, ord(letter)), letter == "F", HALF_SIZE_PX)
        for letter in dialogue.speakers
    ]
    camera = np.random.default_rng([dialogue.seed, 8, *dialogue.name.encode()])
    light = random_light(camera)
    turns = _rehearse(dialogue, actors, generator, camera)
    duration_s = turns[-1].end_s + 0.5
    white = generator.standard_normal((int(duration_s * SAMPLE_RATE_HZ), 2))
    channels = np.zeros_like(white)
    for turn in turns:
        start, samples = round(turn.start_s * SAMPLE_RATE_HZ), turn.performance.speech.samples
        channels[start : start + len(samples), turn.side] += samples
        channels[start : start + len(samples), 1 - turn.side] += _CROSSTALK * samples
    room = random_room(camera, microphones=2)
    audio = to_int16(room.record(channels, white, sample_rate_hz=SAMPLE_RATE_HZ))

    dialog = out / RELEASE_FOLDER / f"Session{dialogue.session}" / "dialog"
    for folder in ("EmoEvaluation", "transcriptions", "wav", "avi/DivX"):
        (dialog / folder).mkdir(parents=True, exist_ok=True)
    write_wav(dialog / "wav" / f"{dialogue.name}.wav", audio)
    times = (float(index / FRAME_RATE_HZ) for index in range(int(duration_s * FRAME_RATE_HZ)))
    write_video(
        dialog / "avi" / "DivX" / f"{dialogue.name}.avi",
        (np.hstack([a.picture(*_stance(turns, side, t), light) for side, a in enumerate(actors)]) for t in times),
        audio,
    )
    (dialog / "EmoEvaluation" / f"{dialogue.name}.txt").write_text(_labels(turns, generator), encoding="utf-8")
    (dialog / "transcriptions" / f"{dialogue.name}.txt").write_text(
        "".join(f"{t.id} [{t.start_s:08.4f}-{t.end_s:08.4f}]: {t.performance.text}\n" for t in turns), encoding="utf-8"
    )
    return len(turns)


def _rehearse(
    dialogue: Dialogue, actors: list[Actor], generator: np.random.Generator, camera: np.random.Generator
) -> list[_Turn]:
    turns: list[_Turn] = []
    time_s = 0.6
    for index, emotion in enumerate(dialogue.emotions):
        side = index % 2
        turn = _Turn(
            id=f"{dialogue.name}_{dialogue.speakers[side]}{index // 2:03}",
            side=side,
            start_s=round(time_s, 4),
            performance=perform([emotion], actors[side].voice, generator),
            head=random_head_pose(camera),
        )
        turns.append(turn)
        time_s = turn.end_s + generator.uniform(0.2, 0.4)
    return turns


def _stance(turns: list[_Turn], side: int, time_s: float) -> tuple[Pose, HeadPose]:
    """Face and head of the person on one side; who listens holds the head as when speaking last."""
    last = None
    for turn in turns:
        if turn.side == side and turn.start_s <= time_s:
            last = turn
    if last is None:
        return resting_pose(time_s + 1.3 * side), FRONTAL
    if time_s < last.end_s:
        return last.performance.pose(time_s - last.start_s), last.head
    return resting_pose(time_s + 1.3 * side), last.head


def _labels(turns: list[_Turn], generator: np.random.Generator) -> str:
    """The label file: header, and for each turn the verdict and the annotators behind it (E) and the speaker (F, M)."""
    text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    for turn in turns:
        label = turn.performance.emotions[0]
        category, usual = _CATEGORIES[label]
        scores = np.clip(np.round(np.array(usual) + generator.normal(0, 0.5, (2, 3))), 1, 5)
        mean = ", ".join(f"{value:.4f}" for value in scores.mean(axis=0))
        text += f"[{turn.start_s:.4f} - {turn.end_s:.4f}]\t{turn.id}\t{label}\t[{mean}]\n"
        doubtful = int(generator.integers(8))
        for number, annotator in enumerate(("E2", "E3", "E4")):
            seen = "Other" if number == doubtful else category
            text += f"C-{annotator}:\t{seen};\t()\n"
        speaker = f"{turn.id[-4]}{turn.id[4]}"
        text += f"C-{speaker}:\t{category};\t()\n"
        for annotator, row in zip(("E3", "E4", speaker), (*scores, scores[0]), strict=True):
            valence, activation, dominance = row.astype(int)
            text += f"A-{annotator}:\tval {valence}; act {activation}; dom  {dominance};\t()\n"
        text += "\n"
    return text
