"""What lies over the frame of a time: the faces, and the answers that hold then."""

from bisect import bisect_right
from functools import lru_cache

from mme2e.inference.timeline import FaceAt, Person, Segment, Timeline
from mme2e.writers.palette import emotion_colours, rgb
from mme2e.writers.video_labels import (
    Label,
    Planes,
    draw_box,
    face_label,
    panel,
    subtitle,
    subtitle_pages,
    to_yuv,
)

LONGEST_GAP_S = 1.0
"""Between two sightings of a face that are further apart it is not drawn."""

HELD_S = 0.2
"""So long before its first and after its last sighting a face is drawn where it was seen."""

LABELS_KEPT = 64
"""Drawn labels that are kept in memory; one of a segment is drawn once and laid on all its frames."""

_NO_DECISION = "#b4bac4"


class Overlay:
    """What lies over the frame of a time.

    Args:
        timeline: What to draw.
        width_px: Of the frames, even.
        height_px: Of the frames, even.
    """

    def __init__(self, timeline: Timeline, width_px: int, height_px: int) -> None:
        self._size = width_px, height_px
        self._letters_px = max(9, round(min(width_px, 1.5 * height_px) / 46))
        self._colours = emotion_colours(timeline.label_names, dark=True)
        self._people = {person.id: person for person in timeline.people}
        self._tracks = {person.id: _Track(person) for person in timeline.people if person.faces}
        self._segments = sorted(timeline.segments, key=lambda segment: segment.start_s)
        self._next = 0
        self._current: list[tuple[int, Segment]] = []
        self._panel = lru_cache(LABELS_KEPT)(self._make_panel)
        self._subtitle = lru_cache(LABELS_KEPT)(lambda page: Label.of(subtitle(page, round(1.15 * self._letters_px))))
        self._face = lru_cache(LABELS_KEPT)(self._make_face_label)

    def draw(self, planes: Planes, time_s: float) -> None:
        """Draws on a frame; times ascend."""
        self._move_to(time_s)
        self._draw_faces(planes, time_s)
        edge = self._letters_px
        top = edge
        for number, _ in self._current:
            label = self._panel(number)
            if top + label.height_px > self._size[1] and top > edge:
                break
            label.lay(planes, edge, top)
            top += label.height_px + edge // 2
        bottom = self._size[1] - edge
        for _, segment in reversed(self._current):
            page = _page_at(self._pages(segment), segment, time_s)
            if page:
                label = self._subtitle(page)
                bottom -= label.height_px
                label.lay(planes, (self._size[0] - label.width_px) // 2, bottom)
                bottom -= edge // 2

    def _move_to(self, time_s: float) -> None:
        while self._next < len(self._segments) and self._segments[self._next].start_s <= time_s:
            self._current.append((self._next, self._segments[self._next]))
            self._next += 1
        self._current = [each for each in self._current if each[1].end_s > time_s]

    def _draw_faces(self, planes: Planes, time_s: float) -> None:
        of_person = {segment.person: segment for _, segment in self._current if segment.person}
        for person, track in self._tracks.items():
            box = track.at(time_s)
            if box is None:
                continue
            segment = of_person.get(person)
            colour = self._colour_of(segment)
            draw_box(planes, box, to_yuv(colour), max(2, self._letters_px // 5))
            name = self._name(person)
            label = self._face(f"{name}: {segment.decision}" if segment else name, colour)
            top = round(box[1]) - label.height_px
            label.lay(planes, max(0, round(box[0])), top if top >= 0 else max(0, round(box[1])))

    def _colour_of(self, segment: Segment | None) -> tuple[int, int, int]:
        """Of the decision; grey where there is none."""
        decided = segment.decided if segment and not segment.uncertain else ()
        return rgb(self._colours.get(decided[0], _NO_DECISION) if decided else _NO_DECISION)

    def _name(self, person: str | None) -> str:
        found = self._people.get(person or "")
        return (found.name or found.id) if found else (person or "")

    def _pages(self, segment: Segment) -> list[str]:
        width_px = round(0.8 * self._size[0])
        return subtitle_pages(segment.text, round(1.15 * self._letters_px), width_px) if segment.text else []

    def _make_panel(self, number: int) -> Label:
        segment = self._segments[number]
        name = segment.speaker or self._name(segment.person)
        return Label.of(panel(segment, name, self._colours, self._letters_px))

    def _make_face_label(self, text: str, colour: tuple[int, int, int]) -> Label:
        return Label.of(face_label(text, colour, self._letters_px, self._size[0] // 2))


def _page_at(pages: list[str], segment: Segment, time_s: float) -> str:
    """The piece of the text that is said at a time, as if all letters took equally long."""
    if not pages:
        return ""
    share = (time_s - segment.start_s) / max(segment.end_s - segment.start_s, 1e-9)
    place, total = 0.0, sum(map(len, pages))
    for page in pages:
        place += len(page)
        if share * total < place:
            return page
    return pages[-1]


class _Track:
    """Where a person's face is at any time."""

    def __init__(self, person: Person) -> None:
        self._faces = sorted(person.faces, key=lambda face: face.time_s)
        self._times_s = [face.time_s for face in self._faces]

    def at(self, time_s: float) -> tuple[float, float, float, float] | None:
        after = bisect_right(self._times_s, time_s)
        earlier = self._faces[after - 1] if after else None
        later = self._faces[after] if after < len(self._faces) else None
        if earlier and later and later.time_s - earlier.time_s <= LONGEST_GAP_S:
            return _between(earlier, later, time_s)
        if earlier and time_s - earlier.time_s <= HELD_S:
            return earlier.box
        return later.box if later and later.time_s - time_s <= HELD_S else None


def _between(earlier: FaceAt, later: FaceAt, time_s: float) -> tuple[float, float, float, float]:
    share = (time_s - earlier.time_s) / max(later.time_s - earlier.time_s, 1e-9)
    x1, y1, x2, y2 = (a + share * (b - a) for a, b in zip(earlier.box, later.box, strict=True))
    return x1, y1, x2, y2
