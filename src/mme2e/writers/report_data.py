"""What the report's script draws, as JSON, and images of a timeline as small ones that a page may hold."""

import base64
import binascii
import io
import json
from typing import Any

from mme2e.inference.timeline import Evidence, Moment, Segment, Timeline

MOST_IMAGE_PX = 1024
"""Larger images than that in a timeline are no face crops, and are left out."""

IMAGE_QUALITY = 80
"""Of WebP, 0..100: a face crop takes a tenth of its PNG."""

FLAG_MEANINGS = {
    "no face": "No face was seen, so the answer rests on voice and words.",
    "small face": "The face is less than 48 pixels wide or high: expressions are hard to read.",
    "low light": "The face is dark.",
    "blur": "The face is out of focus or moves fast.",
    "silence": "The audio is silent or nearly so.",
    "clipping": "The recording was too loud: the audio is distorted.",
    "noise": "The voice is not much louder than what is around it.",
    "no words": "No transcript covers this time, so the words were not read.",
    "no speech": "Nobody speaks here.",
    "damage": "Part of the file could not be decoded.",
}

KIND_MEANINGS = {"speech": "speech", "no speech": "no speech", "window": "window", "whole": "whole stretch"}

CHOICE_MEANINGS = {
    "mouth": "the mouth moves with the voice",
    "largest": "the largest face",
    "only": "the only face",
    "turn": "named by the speaker turns",
    "asked": "every visible person was asked for",
}


def data_island(timeline: Timeline, colours: dict[str, list[str]]) -> str:
    """What the script draws, as JSON that cannot end its `<script>` element."""
    found = {
        "source": timeline.source,
        "duration": _rounded(max([timeline.duration_s, *(segment.end_s for segment in timeline.segments)])),
        "labels": timeline.label_names,
        "colours": colours,
        "people": [{"id": each.id, "name": each.name or each.id} for each in timeline.people],
        "flags": FLAG_MEANINGS,
        "kinds": KIND_MEANINGS,
        "choices": CHOICE_MEANINGS,
        "segments": [_segment(each) for each in sorted(timeline.segments, key=lambda each: each.start_s)],
    }
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _segment(segment: Segment) -> dict[str, Any]:
    found: dict[str, Any] = {
        "start": _rounded(segment.start_s),
        "end": _rounded(segment.end_s),
        "kind": segment.kind,
        "person": segment.person,
        "chosenBy": segment.chosen_by,
        "choice": _rounded(segment.choice_confidence),
        "speaker": segment.speaker,
        "text": segment.text,
        "names": [emotion.name for emotion in segment.emotions],
        "probabilities": [_rounded(emotion.probability) for emotion in segment.emotions],
        "thresholds": [_rounded(emotion.threshold) for emotion in segment.emotions],
        "decided": segment.decided,
        "decision": segment.decision,
        "uncertain": segment.uncertain,
        "used": segment.used,
        "missing": segment.missing,
        "flags": segment.flags,
        "frames": segment.frames,
        "faces": segment.frames_with_face,
        "notes": segment.notes,
        "smoothed": None if segment.smoothed is None else [_rounded(each) for each in segment.smoothed],
        "evidence": None if segment.evidence is None else _evidence(segment.evidence),
    }
    # Zero stays: a time or a probability of 0 is an answer.
    return {name: value for name, value in found.items() if value or (value == 0 and value is not False)}


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "emotion": evidence.emotion,
        "probability": _rounded(evidence.probability),
        "without": {name: _rounded(value) for name, value in evidence.without.items()},
        "words": [[word.text, _rounded(word.effect)] for word in evidence.words],
        "moments": [_moment(moment) for moment in evidence.moments],
    }


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "modality": moment.modality,
        "start": _rounded(moment.start_s),
        "end": _rounded(moment.end_s),
        "effect": _rounded(moment.effect),
        "image": small_image(moment.image),
        "sites": [[round(each, 2) for each in row] for row in moment.sites],
    }


def _rounded(number: float | None) -> float | None:
    """To four places; what is no number becomes 0, since JSON has no form for it."""
    if number is None:
        return None
    return round(number, 4) if number == number and abs(number) != float("inf") else 0.0


def small_image(encoded: str) -> str:
    """An image of a timeline as a small `data:` address; empty where it is none."""
    from PIL import Image

    if not encoded:
        return ""
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=("PNG", "JPEG")) as image:
            if max(image.size) > MOST_IMAGE_PX:
                return ""
            small = io.BytesIO()
            image.convert("RGB").save(small, "WEBP", quality=IMAGE_QUALITY)
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    return "data:image/webp;base64," + base64.b64encode(small.getvalue()).decode()
