"""The report: one HTML file with the timeline, the people, the evidence and the limits, that asks nobody for anything.

A Content-Security-Policy of the page forbids every connection; its own script and style are allowed by their hashes.
Texts of users are data: the template escapes them, and the script only ever sets text, never markup.
"""

import base64
import hashlib
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
from mme2e.inference.timeline import Person, Segment, Timeline
from mme2e.text_files import printable
from mme2e.writers.model_card import markdown_blocks
from mme2e.writers.palette import emotion_colours
from mme2e.writers.report_data import FLAG_MEANINGS, data_island, small_image

STYLE_WITHOUT_SCRIPTS = ".script-only{display:none}.paper{display:block}"
"""Where scripts do not run, the table of all segments stands in place of what they draw."""

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
        data=data_island(timeline, colours),
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
        thumbnail=small_image(person.thumbnail),
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
