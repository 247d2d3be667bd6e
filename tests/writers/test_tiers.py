import math

from written_timelines import empty, hostile, talk

from mme2e.inference.timeline import ModelIdentity, Person, Segment, Timeline
from mme2e.writers.tiers import LAST_MS, NOBODY, milliseconds, names_of_people, spans_of, tiers_of


def a_timeline(*segments: Segment, people: tuple[Person, ...] = ()) -> Timeline:
    model = ModelIdentity(name="m", run="m")
    return Timeline(
        source="a.mp4", duration_s=9.0, label_names=("happy",), model=model, segments=segments, people=people
    )


def test_times_that_no_file_could_hold_are_limited():
    assert [milliseconds(seconds) for seconds in (-1.0, 0.0004, 0.0006, 1.2345, 1e300, math.inf, math.nan)] == [
        *(0, 0, 1, 1234, LAST_MS, LAST_MS, 0)
    ]
    (span,) = spans_of(a_timeline(Segment(start_s=1e300, end_s=1e300, kind="whole")))
    assert (span.start_ms, span.end_ms) == (LAST_MS - 1, LAST_MS)


def test_a_segment_without_a_length_is_widened_to_a_millisecond():
    (span,) = spans_of(a_timeline(Segment(start_s=3.0, end_s=2.0, kind="whole")))
    assert (span.start_ms, span.end_ms) == (3000, 3001)


def test_a_person_has_a_tier_and_nobody_has_one():
    assert [(tier.name, tier.person, len(tier.spans)) for tier in tiers_of(talk())] == [
        *(("Anna", "Anna", 1), (NOBODY, "", 2), ("person 2", "person 2", 1))
    ]
    assert tiers_of(empty()) == []


def test_segments_that_touch_after_rounding_share_a_tier():
    segments = [Segment(start_s=k * 0.1, end_s=(k + 1) * 0.1 + 1e-9, kind="window") for k in range(50)]
    assert len(tiers_of(a_timeline(*segments))) == 1


def test_no_span_of_a_tier_overlaps_another_and_no_name_comes_twice():
    tiers = tiers_of(hostile())
    for tier in tiers:
        for before, after in zip(tier.spans, tier.spans[1:], strict=False):
            assert before.end_ms <= after.start_ms
    assert len({tier.name for tier in tiers}) == len(tiers)
    assert sum(len(tier.spans) for tier in tiers) == len(hostile().segments)


def test_sliding_windows_take_turns_on_several_tiers():
    windows = [Segment(start_s=float(k), end_s=k + 2.0, kind="window", person="person 1") for k in range(4)]
    tiers = tiers_of(a_timeline(*windows))
    starts = {tier.name: [span.start_ms for span in tier.spans] for tier in tiers}
    assert starts == {"person 1": [0, 2000], "person 1 (2)": [1000, 3000]}


def test_names_that_several_have_are_told_apart_by_id():
    people = (Person(id="1", name="Anna"), Person(id="2", name="Anna "), Person(id="3", name="Bo"), Person(id="4"))
    segments = (Segment(start_s=0.0, end_s=1.0, kind="speech", person="5"),)
    names = names_of_people(a_timeline(*segments, people=people))
    assert names == {"5": "5", "1": "Anna (1)", "2": "Anna (2)", "3": "Bo", "4": "4"}


def test_a_name_that_is_the_id_of_another_is_numbered():
    people = (Person(id="person 1", name="person 2"), Person(id="person 2"))
    assert names_of_people(a_timeline(people=people)) == {"person 1": "person 2", "person 2": "person 2 (2)"}


def test_a_speaker_without_a_face_shares_the_tier_of_the_person_of_that_name():
    segments = (
        Segment(start_s=0.0, end_s=1.0, kind="speech", person="person 1"),
        Segment(start_s=1.0, end_s=2.0, kind="speech", speaker="Anna"),
    )
    (tier,) = tiers_of(a_timeline(*segments, people=(Person(id="person 1", name="Anna"),)))
    assert tier.name == "Anna"
