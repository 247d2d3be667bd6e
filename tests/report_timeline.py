"""Makes timelines as an analysis writes them, of any length, with people, evidence and hostile texts."""

import base64
import io

import numpy as np
from PIL import Image

from mme2e.inference.result import Emotion
from mme2e.inference.timeline import (
    Evidence,
    FaceAt,
    ModelIdentity,
    Moment,
    Person,
    Segment,
    Timeline,
    WordEffect,
)

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'too' \u2028 {{ 7 * 7 }} <!--"
CARD = "# Card\n\nTrained **end to end**, see [it](https://example.org).\n\n- one\n- two\n\n|a|b|\n|---|---|\n|1|2|\n"
SENTENCE = "I did not think that it would end like this, but here we are."


def encoded(pixels: np.ndarray, kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def face(random: np.random.Generator) -> np.ndarray:
    """As hard to compress as a crop of a real face: smooth shades with a little noise."""
    coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC), dtype=float)
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def evidence(random: np.random.Generator, emotion: Emotion, start_s: float, text: str) -> Evidence:
    crops = [
        Moment(
            modality="visual",
            start_s=start_s + place,
            end_s=start_s + place + 0.5,
            effect=0.1 - 0.05 * place,
            image=encoded(face(random)),
            sites=tuple(map(tuple, random.random((6, 6)).round(2).tolist())),
        )
        for place in range(4)
    ]
    sounds = [
        Moment(
            modality="acoustic",
            start_s=start_s + place,
            end_s=start_s + place + 1,
            effect=0.04 - 0.05 * place,
            image=encoded(random.integers(0, 256, (128, 64), dtype=np.uint8)),
            sites=tuple(map(tuple, random.random((16, 8)).round(2).tolist())),
        )
        for place in range(2)
    ]
    return Evidence(
        emotion=emotion.name,
        probability=emotion.probability,
        without={"text": 0.31, "visual": 0.12, "acoustic": 0.7},
        words=tuple(WordEffect(text=word, effect=float(random.normal(0, 0.1))) for word in text.split()),
        moments=(*crops, *sounds),
    )


def made_segment(place: int, *, people: int = 2, with_evidence: bool = True, text: str = SENTENCE) -> Segment:
    """The segment of a place in a recording, of four seconds."""
    random = np.random.default_rng(place)
    probabilities = random.dirichlet(np.full(len(LABELS), 0.4))
    uncertain = bool(probabilities.max() < 0.5)
    emotions = tuple(
        Emotion(
            name=name,
            probability=float(each),
            threshold=None,
            present=not uncertain and bool(each == probabilities.max()),
        )
        for name, each in zip(LABELS, probabilities, strict=True)
    )
    top = max(emotions, key=lambda emotion: emotion.probability)
    return Segment(
        start_s=4.0 * place,
        end_s=4.0 * place + 3.8,
        kind="speech",
        person=f"person {place % people + 1}",
        chosen_by="mouth",
        choice_confidence=0.8,
        text=text,
        emotions=emotions,
        uncertain=uncertain,
        used=("text", "acoustic", "visual"),
        flags=("blur", "noise") if place % 5 == 0 else (),
        frames=8,
        frames_with_face=7,
        smoothed=tuple(float(each) for each in probabilities * 0.9),
        evidence=evidence(random, top, 4.0 * place, text) if with_evidence else None,
    )


def made_timeline(
    segments: int = 6, *, people: int = 2, with_evidence: bool = True, hostile: bool = False, source: str = "talk.mp4"
) -> Timeline:
    random = np.random.default_rng(7)
    text = HOSTILE if hostile else SENTENCE
    found = [made_segment(place, people=people, with_evidence=with_evidence, text=text) for place in range(segments)]
    if segments > 2:  # nobody is seen, and nothing could be answered
        found[2] = Segment(start_s=8.0, end_s=11.8, kind="no speech", flags=("no speech", "no face"), notes=(text,))
    return Timeline(
        source=HOSTILE if hostile else source,
        duration_s=4.0 * segments,
        label_names=LABELS,
        model=ModelIdentity(
            name=HOSTILE if hostile else "starter",
            run="starter",
            weights_sha256="ab" * 32,
            mme2e="0.3.0",
            card=HOSTILE if hostile else CARD,
        ),
        settings={"segments": "auto", "evidence": with_evidence},
        segments=tuple(found),
        people=tuple(
            Person(
                id=f"person {number}",
                name=(HOSTILE if hostile else "Anna") if number == 1 else "",
                visible_s=2.0 * segments,
                speaking_s=1.5 * segments,
                thumbnail=encoded(face(random), "JPEG"),
                faces=tuple(FaceAt(time_s=0.5 * step, box=(16.0, 12.0, 40.0, 36.0)) for step in range(8 * segments)),
            )
            for number in range(1, people + 1)
        ),
        words_from=HOSTILE if hostile else "talk.srt",
        notes=(HOSTILE,) if hostile else (),
        seconds={"model": 1.5},
    )
