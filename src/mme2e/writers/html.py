"""The report: one HTML file with the timeline, the people, the evidence and the limits, that asks nobody for anything.

A Content-Security-Policy of the page forbids every connection; its own script and style are allowed by their hashes.
Texts of users are data: the template escapes them, and the script only ever sets text, never markup.
"""

import base64
import binascii
import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mme2e.atomic import write_text
from mme2e.errors import UserError
from mme2e.inference.timeline import Evidence, Moment, Person, Segment, Timeline
from mme2e.text_files import printable
from mme2e.writers.palette import emotion_colours

MOST_IMAGE_PX = 1024
"""Larger images than that in a timeline are no face crops, and are left out."""

STYLE_WITHOUT_SCRIPTS = ".script-only{display:none}.paper{display:block}"
"""Where scripts do not run, the table of all segments stands in place of what they draw."""

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
LIMITS = (
    "The model reads what is expressed in face, voice and words. It does not know what a person feels.",
    "A probability is calibrated on the collections the model was trained on. Other cameras, languages, ages and "
    "situations change it.",
    "Evidence shows what moved this model's answer. It does not show what caused an emotion.",
    "Do not base decisions about a person on this report.",
)


def write_report(timeline: Timeline, path: Path, *, video: Path | None = None) -> None:
    """Writes the report of a recording as one HTML file, whole or not at all.

    Args:
        timeline: The answer.
        path: The file to write.
        video: The recording; it is played in the report where it lies in the same folder. None: a file named as the
            timeline's source there, if there is one.

    Raises:
        UserError: The file cannot be written.
    """
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: it is a folder, or its folder does not exist")
    try:
        write_text(path, report_html(timeline, video=_beside(path, video, timeline.source)))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def report_html(timeline: Timeline, *, video: str | None = None) -> str:
    """The text of the report.

    Args:
        timeline: The answer.
        video: Name of the recording in the report's folder; None where it is not there.
    """
    colours = {
        "light": list(emotion_colours(timeline.label_names).values()),
        "dark": list(emotion_colours(timeline.label_names, dark=True).values()),
    }
    style, script = _emotion_style(colours) + _part("report.css"), _part("report.js")
    page: str = _template().render(
        timeline=timeline,
        style=style,
        script=script,
        style_hash=_hash(style),
        plain_style=STYLE_WITHOUT_SCRIPTS,
        plain_hash=_hash(STYLE_WITHOUT_SCRIPTS),
        script_hash=_hash(script),
        data=_data_island(timeline, colours),
        video_source=None if video is None else "./" + quote(video.encode("utf-8", "surrogateescape")),
        headline=headline(timeline),
        people=[_person_row(person, timeline) for person in timeline.people],
        colour_of=_colour_classes(timeline),
        flags=_flag_rows(timeline),
        missing=_missing_rows(timeline),
        limits=LIMITS,
        card=markdown_blocks(timeline.model.card),
        any_evidence=any(segment.evidence for segment in timeline.segments),
        any_smoothed=any(segment.smoothed for segment in timeline.segments),
        who=_names(timeline),
    )
    # What a name or a transcript has of half characters cannot be written as UTF-8.
    return printable(page)


def _beside(path: Path, video: Path | None, source: str) -> str | None:
    """Name of the recording where it lies in the folder of the report."""
    if video is not None:
        video = Path(video)
        return video.name if video.is_file() and video.resolve().parent == path.resolve().parent else None
    name = Path(source).name
    try:
        return name if name and (path.parent / name).is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None


@cache
def _part(name: str) -> str:
    return (files("mme2e.writers") / name).read_text(encoding="utf-8").strip() + "\n"


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"clock": clock, "share": share, "duration": duration}
    return environment.from_string(_part("report.html.jinja"))


def clock(time_s: float) -> str:
    """A time as 1:02:03.4 or 2:03.4."""
    tenths = max(0, round(time_s * 10))
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{tenths // 10:02d}.{tenths % 10}"


def duration(seconds: float) -> str:
    """A length for people: 4.2 s, 3 min 20 s, 1 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    return f"{minutes} min {rest_s} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def share(part: float) -> str:
    """A share of 0..1 in percent."""
    return "less than 1 %" if 0 < part < 0.005 else f"{part:.0%}".replace("%", " %")


def decision_shares(segments: Iterable[Segment]) -> list[tuple[str, float]]:
    """Decision -> share of the segments' time, the largest first; segments that overlap count each."""
    time_s: defaultdict[str, float] = defaultdict(float)
    for segment in segments:
        time_s[segment.decision] += max(0.0, segment.end_s - segment.start_s)
    total_s = sum(time_s.values()) or 1.0
    return sorted(((name, each_s / total_s) for name, each_s in time_s.items()), key=lambda pair: -pair[1])


def headline(timeline: Timeline) -> str:
    """The answer in one sentence."""
    shares = decision_shares(timeline.segments)
    if not shares:
        return "Nothing in this recording could be answered."
    parts = [f"{decision} {share(part)}" for decision, part in shares[:3]]
    others = "" if len(shares) <= 3 else f", and {len(shares) - 3} more"
    return f"Share of time by decision: {', '.join(parts)}{others}."


@dataclass(frozen=True, kw_only=True)
class _PersonRow:
    person: Person
    name: str
    thumbnail: str
    segments: int
    shares: list[tuple[str, float]]


def _person_row(person: Person, timeline: Timeline) -> _PersonRow:
    own = [segment for segment in timeline.segments if segment.person == person.id]
    return _PersonRow(
        person=person,
        name=person.name or person.id,
        thumbnail=_image(person.thumbnail),
        segments=len(own),
        shares=decision_shares(own)[:5],
    )


def _emotion_style(colours: dict[str, list[str]]) -> str:
    """A class `e0`, `e1`, ... for each emotion, in the colours of the light or the dark page."""
    light, dark = (
        "".join(f".e{place}{{color:{colour}}}" for place, colour in enumerate(colours[theme])).replace(
            ".e", scope + ".e"
        )
        for theme, scope in (("light", ""), ("dark", "[data-theme=dark] "))
    )
    return f"{light}\n{dark}\n@media screen and (prefers-color-scheme: dark){{{dark.replace('=dark] ', '=auto] ')}}}\n"


def _colour_classes(timeline: Timeline) -> dict[str, str]:
    """Decision -> class of its first emotion's colour."""
    places = {name: place for place, name in enumerate(timeline.label_names)}
    found = {}
    for segment in timeline.segments:
        place = places.get(segment.decided[0]) if segment.decided and not segment.uncertain else None
        found[segment.decision] = "undecided" if place is None else f"e{place}"
    return found


def _names(timeline: Timeline) -> dict[str | None, str]:
    """Id of a person -> what to call them."""
    return {None: "", **{person.id: person.name or person.id for person in timeline.people}}


def _flag_rows(timeline: Timeline) -> list[tuple[str, str, int, float]]:
    """Flag, what it means, number of segments and share of their time; the most frequent first."""
    of_flag: defaultdict[str, list[Segment]] = defaultdict(list)
    for segment in timeline.segments:
        for flag in dict.fromkeys(segment.flags):
            of_flag[flag].append(segment)
    total_s = sum(segment.end_s - segment.start_s for segment in timeline.segments) or 1.0
    rows = [
        (flag, FLAG_MEANINGS.get(flag, ""), len(found), sum(each.end_s - each.start_s for each in found) / total_s)
        for flag, found in of_flag.items()
    ]
    return sorted(rows, key=lambda row: -row[3])


def _missing_rows(timeline: Timeline) -> list[tuple[str, str, int]]:
    """Modality, why it was missing, in how many segments."""
    counts = Counter(reason for segment in timeline.segments for reason in segment.missing.items())
    return [(modality, reason, number) for (modality, reason), number in counts.most_common(20)]


def _data_island(timeline: Timeline, colours: dict[str, list[str]]) -> str:
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
        "image": _image(moment.image),
        "sites": [[round(each, 2) for each in row] for row in moment.sites],
    }


def _rounded(number: float | None) -> float | None:
    """To four places; what is no number becomes 0, since JSON has no form for it."""
    if number is None:
        return None
    return round(number, 4) if number == number and abs(number) != float("inf") else 0.0


def _image(encoded: str) -> str:
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
    except (binascii.Error, OSError, ValueError, SyntaxError):
        return ""
    return "data:image/webp;base64," + base64.b64encode(small.getvalue()).decode()


_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"\s*[-*+]\s+(.*)")
_RULE = re.compile(r"[\s|:-]+")


def markdown_blocks(text: str) -> list[tuple[str, Any]]:
    """The few forms of Markdown that a model card has, as blocks that the template writes.

    Returns:
        ("heading", text), ("paragraph", text), ("list", items), ("table", rows of cells), ("code", text).
    """
    blocks: list[tuple[str, Any]] = []
    open_block = ""  # what the next line may go on with
    for line in _without_front_matter(printable(text)).splitlines():
        if line.lstrip().startswith("```"):
            open_block = "" if open_block == "code" else "code"
            if open_block:
                blocks.append(("code", ""))
        elif open_block == "code":
            blocks[-1] = ("code", f"{blocks[-1][1]}{line}\n")
        elif not line.strip():
            open_block = ""
        elif heading := _HEADING.fullmatch(line):
            blocks.append(("heading", _plain(heading[2])))
            open_block = ""
        elif line.lstrip().startswith("|"):
            if open_block != "table":
                blocks.append(("table", []))
            open_block = "table"
            if not _RULE.fullmatch(line):
                blocks[-1][1].append([_plain(cell) for cell in line.strip().strip("|").split("|")])
        elif item := _ITEM.fullmatch(line):
            if open_block != "list":
                blocks.append(("list", []))
            open_block = "list"
            blocks[-1][1].append(_plain(item[1]))
        elif open_block == "list":
            blocks[-1][1][-1] += " " + _plain(line)
        elif open_block == "paragraph":
            blocks[-1] = ("paragraph", f"{blocks[-1][1]} {_plain(line)}")
        else:
            blocks.append(("paragraph", _plain(line)))
            open_block = "paragraph"
    return blocks


def _without_front_matter(text: str) -> str:
    head, mark, rest = text.removeprefix("---\n").partition("\n---\n")
    return rest if text.startswith("---\n") and mark and head else text


def _plain(text: str) -> str:
    return re.sub(r"\[([^\]]*)\]\(([^)]*)\)", r"\1 (\2)", text.strip()).replace("**", "").replace("`", "")
