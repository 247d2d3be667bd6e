"""Timelines for the tests of the writers: a usual one, and one of everything that files choke on."""

from mme2e.inference.result import Emotion
from mme2e.inference.timeline import Evidence, FaceAt, ModelIdentity, Person, Segment, Timeline, WordEffect

LABELS = ("happy", "sad", "very angry, loud")
MODEL = ModelIdentity(name="starter", run="starter")


def emotions(*probabilities: float, labels: tuple[str, ...] = LABELS) -> tuple[Emotion, ...]:
    """Those of at least a half are decided."""
    return tuple(
        Emotion(name=name, probability=probability, threshold=0.5, present=probability >= 0.5)
        for name, probability in zip(labels, probabilities, strict=True)
    )


def talk() -> Timeline:
    """Two persons who talk, silence, and a stretch without an answer."""
    people = (
        Person(id="person 1", name="Anna", visible_s=5.0, faces=(FaceAt(time_s=0.5, box=(1.0, 2.0, 3.0, 4.0)),)),
        Person(id="person 2"),
    )
    evidence = Evidence(emotion="happy", probability=0.83, words=(WordEffect(text="believe", effect=0.2),))
    segments = (
        Segment(
            start_s=0.1234,
            end_s=2.5,
            kind="speech",
            person="person 1",
            chosen_by="mouth",
            choice_confidence=0.9,
            speaker="Anna",
            text="I cannot believe it!",
            emotions=emotions(0.83, 0.1, 0.61),
            used=("text", "acoustic", "visual"),
            flags=("low light", "noise"),
            frames=10,
            frames_with_face=8,
            smoothed=(0.7, 0.2, 0.5),
            evidence=evidence,
        ),
        Segment(start_s=2.5, end_s=3.0, kind="no speech", emotions=emotions(0.1, 0.2, 0.3), smoothed=(0.1, 0.2, 0.3)),
        Segment(
            start_s=3.0,
            end_s=4.75,
            kind="speech",
            person="person 2",
            chosen_by="largest",
            text="42",
            emotions=emotions(0.3, 0.45, 0.2),
            uncertain=True,
            used=("text",),
            missing={"acoustic": "silence", "visual": "no face"},
        ),
        Segment(start_s=5.0, end_s=6.0, kind="speech", flags=("no words",)),
    )
    return Timeline(
        source="interview one.mp4", duration_s=7.5, label_names=LABELS, model=MODEL, segments=segments, people=people
    )


EVIL = (
    "<script>alert('1')</script> & <b>x</b> {\\an8} \"quoted\" ' --> 00:00:01.000 \\N \\n\r\n\r\n7\n"
    "00:00:00,000 --> 00:00:09,000\nitem\x00\x1b[31m\x85\u2028\ud83d\udce9 \ufffe\uffff \u202e\u062f\u0646\u064a\u0627"
    " 😀 ]]> <!-- &amp;"
)
EVIL_LABELS = ("", "=cmd|'/c calc'!A0", 'a "b", c\nd', "<v Eve>", "uncertain")


def hostile() -> Timeline:
    """Markup, control characters, half characters, formulas, overlaps, no length, times beyond the end or before 0."""
    answers = (
        emotions(0.6, 0.7, 0.8, 0.9, 0.1, labels=EVIL_LABELS),
        emotions(0.9, 0.1, 0.1, 0.1, 0.1, labels=EVIL_LABELS),
        emotions(0.1, 0.1, 0.1, 0.9, 0.1, labels=EVIL_LABELS),
    )
    people = (
        Person(id="person 1", name=EVIL),
        Person(id="person 2", name="Anna"),
        Person(id="person 3", name="Anna"),
        Person(id="person 4", name="Anna (2)"),
    )
    windows = tuple(
        Segment(
            start_s=start / 2,
            end_s=start / 2 + 2,
            kind="window",
            person="person 2",
            chosen_by="only",
            text="=1+1",
            emotions=answers[1],
        )
        for start in range(6)
    )
    others = (
        Segment(start_s=-1.0, end_s=1.0, kind="speech", person="person 1", text=EVIL, emotions=answers[0]),
        Segment(start_s=1.0, end_s=1.0, kind="speech", person="person 1", speaker=EVIL, emotions=answers[2]),
        Segment(start_s=1.0, end_s=1.5, kind="speech", person="person 1", missing={"visual": EVIL}),
        Segment(start_s=3.0, end_s=2.0, kind="speech", person="person 3", text=" \n ", emotions=answers[1]),
        Segment(start_s=2.0, end_s=99.0, kind="speech", person="not listed", emotions=answers[1]),
        Segment(start_s=2.0, end_s=3.0, kind="speech", person="person 4", emotions=answers[1]),
        Segment(start_s=2.0, end_s=3.0, kind="speech", speaker=EVIL, text=EVIL),
        Segment(start_s=2.0, end_s=3.0, kind="whole", text="x"),
    )
    return Timeline(
        source=f"{EVIL}.mp4",
        duration_s=5.0,
        label_names=EVIL_LABELS,
        model=ModelIdentity(name=EVIL, run=EVIL),
        settings={EVIL: EVIL},
        segments=(*windows, *others),
        people=people,
        words_from=EVIL,
        notes=(EVIL,),
    )


def empty() -> Timeline:
    """No segments, no people, no length."""
    return Timeline(source="", duration_s=0.0, label_names=(), model=MODEL)
