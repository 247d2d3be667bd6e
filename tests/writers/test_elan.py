"""EAF is read by pympi, and checked against the rules of ELAN's schema EAFv3.0.xsd for the elements that are written.

The schema itself is not here: it comes without a licence.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

import pympi
import pytest
from written_timelines import empty, hostile, talk

from mme2e.inference.timeline import Timeline
from mme2e.writers.table import write_timeline
from mme2e.writers.tiers import tiers_of
from mme2e.writers.wording import all_printable, decision_text

TIMELINES = pytest.mark.parametrize("timeline", [talk(), hostile(), empty()], ids=["talk", "hostile", "empty"])

SCHEMA_LOCATION = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
REQUIRED = {
    "ANNOTATION_DOCUMENT": ("DATE", "AUTHOR", "VERSION"),
    "MEDIA_DESCRIPTOR": ("MEDIA_URL", "MIME_TYPE"),
    "TIME_SLOT": ("TIME_SLOT_ID",),
    "TIER": ("TIER_ID", "LINGUISTIC_TYPE_REF"),
    "ALIGNABLE_ANNOTATION": ("ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2"),
    "REF_ANNOTATION": ("ANNOTATION_ID", "ANNOTATION_REF"),
    "LINGUISTIC_TYPE": ("LINGUISTIC_TYPE_ID",),
    "LANGUAGE": ("LANG_ID",),
    "CONSTRAINT": ("STEREOTYPE",),
    "CONTROLLED_VOCABULARY": ("CV_ID",),
    "DESCRIPTION": ("LANG_REF",),
    "CV_ENTRY_ML": ("CVE_ID",),
    "CVE_VALUE": ("LANG_REF",),
}
ALLOWED = {
    "ANNOTATION_DOCUMENT": ("FORMAT", SCHEMA_LOCATION),
    "HEADER": ("MEDIA_FILE", "TIME_UNITS"),
    "PROPERTY": ("NAME",),
    "MEDIA_DESCRIPTOR": ("RELATIVE_MEDIA_URL",),
    "TIME_SLOT": ("TIME_VALUE",),
    "TIER": ("PARTICIPANT", "ANNOTATOR", "PARENT_REF"),
    "ALIGNABLE_ANNOTATION": ("CVE_REF",),
    "LINGUISTIC_TYPE": ("TIME_ALIGNABLE", "GRAPHIC_REFERENCES", "CONSTRAINTS", "CONTROLLED_VOCABULARY_REF"),
    "LANGUAGE": ("LANG_LABEL",),
    "CONSTRAINT": ("DESCRIPTION",),
    "CVE_VALUE": ("DESCRIPTION",),
}
CHILDREN = {
    "ANNOTATION_DOCUMENT": "HEADER TIME_ORDER (TIER )*(LINGUISTIC_TYPE )*(LANGUAGE )*(CONSTRAINT )*"
    "(CONTROLLED_VOCABULARY )*",
    "HEADER": "(MEDIA_DESCRIPTOR )*(PROPERTY )*",
    "TIME_ORDER": "(TIME_SLOT )*",
    "TIER": "(ANNOTATION )*",
    "ANNOTATION": "(ALIGNABLE_ANNOTATION |REF_ANNOTATION )",
    "ALIGNABLE_ANNOTATION": "ANNOTATION_VALUE ",
    "REF_ANNOTATION": "ANNOTATION_VALUE ",
    "CONTROLLED_VOCABULARY": "(DESCRIPTION )*(CV_ENTRY_ML )*",
    "CV_ENTRY_ML": "(CVE_VALUE )+",
}
IDS = ("TIME_SLOT/TIME_SLOT_ID", "ALIGNABLE_ANNOTATION/ANNOTATION_ID", "REF_ANNOTATION/ANNOTATION_ID")
IDS = (*IDS, "LANGUAGE/LANG_ID", "CONSTRAINT/STEREOTYPE")
KEYS = ("TIER/TIER_ID", "LINGUISTIC_TYPE/LINGUISTIC_TYPE_ID", "CONTROLLED_VOCABULARY/CV_ID", "CV_ENTRY_ML/CVE_ID")
REFERENCES = {
    "TIER/PARENT_REF": "TIER/TIER_ID",
    "TIER/LINGUISTIC_TYPE_REF": "LINGUISTIC_TYPE/LINGUISTIC_TYPE_ID",
    "LINGUISTIC_TYPE/CONTROLLED_VOCABULARY_REF": "CONTROLLED_VOCABULARY/CV_ID",
    "LINGUISTIC_TYPE/CONSTRAINTS": "CONSTRAINT/STEREOTYPE",
    "ALIGNABLE_ANNOTATION/TIME_SLOT_REF1": "TIME_SLOT/TIME_SLOT_ID",
    "ALIGNABLE_ANNOTATION/TIME_SLOT_REF2": "TIME_SLOT/TIME_SLOT_ID",
    "ALIGNABLE_ANNOTATION/CVE_REF": "CV_ENTRY_ML/CVE_ID",
    "REF_ANNOTATION/ANNOTATION_REF": "ALIGNABLE_ANNOTATION/ANNOTATION_ID",
    "CVE_VALUE/LANG_REF": "LANGUAGE/LANG_ID",
    "DESCRIPTION/LANG_REF": "LANGUAGE/LANG_ID",
}


def written(timeline: Timeline, path: Path) -> ElementTree.Element:
    write_timeline(timeline, path)
    return ElementTree.parse(path).getroot()


def values(root: ElementTree.Element, place: str) -> list[str]:
    tag, attribute = place.split("/")
    return [element.attrib[attribute] for element in root.iter(tag) if attribute in element.attrib]


@TIMELINES
def test_the_document_follows_the_schema(timeline: Timeline, tmp_path: Path) -> None:
    root = written(timeline, tmp_path / "out.eaf")
    assert root.tag == "ANNOTATION_DOCUMENT"
    for element in root.iter():
        required = set(REQUIRED.get(element.tag, ()))
        assert required <= set(element.attrib) <= required | set(ALLOWED.get(element.tag, ()))
        children = "".join(f"{child.tag} " for child in element)
        assert re.fullmatch(CHILDREN.get(element.tag, ""), children), element.tag
        assert len(element) == 0 or not (element.text or "").strip()
    ids = [identity for place in IDS for identity in values(root, place)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", identity) for identity in ids)
    for place in KEYS:
        assert len(set(values(root, place))) == len(values(root, place))
    for place, key in REFERENCES.items():
        assert set(values(root, place)) <= set(values(root, key)), place
    assert root.find("HEADER").attrib["TIME_UNITS"] == "milliseconds"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", root.attrib["DATE"])
    for url in values(root, "MEDIA_DESCRIPTOR/MEDIA_URL"):
        assert re.fullmatch(r"\./[\w%.~/-]+", url, re.ASCII)


@TIMELINES
def test_time_slots_are_in_order_and_annotations_of_a_tier_do_not_overlap(timeline: Timeline, tmp_path: Path) -> None:
    root = written(timeline, tmp_path / "out.eaf")
    times = [int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")]
    assert times == sorted(times)
    assert all(0 <= time < 2**32 for time in times)
    at = dict(zip(values(root, "TIME_SLOT/TIME_SLOT_ID"), times, strict=True))
    for tier in root.iter("TIER"):
        before = 0
        for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
            start, end = (at[annotation.attrib[f"TIME_SLOT_REF{number}"]] for number in (1, 2))
            assert before <= start < end
            before = end


@TIMELINES
def test_pympi_reads_the_segments(timeline: Timeline, tmp_path: Path) -> None:
    written(timeline, tmp_path / "out.eaf")
    document = pympi.Elan.Eaf(str(tmp_path / "out.eaf"))
    tiers = tiers_of(all_printable(timeline))
    assert {f"emotion@{tier.name}".translate(str.maketrans("\ufffe\uffff", "\ufffd\ufffd")) for tier in tiers} == {
        name for name in document.get_tier_names() if name.startswith("emotion@")
    }
    for tier in tiers:
        name = f"emotion@{tier.name}".translate(str.maketrans("\ufffe\uffff", "\ufffd\ufffd"))
        assert document.get_annotation_data_for_tier(name) == [
            (span.start_ms, span.end_ms, decision_text(span.segment)) for span in tier.spans
        ]


def test_text_and_confidence_hang_on_the_emotion(tmp_path: Path) -> None:
    written(talk(), tmp_path / "out.eaf")
    document = pympi.Elan.Eaf(str(tmp_path / "out.eaf"))
    assert document.get_ref_annotation_data_for_tier("text@Anna") == [
        (123, 2500, "I cannot believe it!", "happy, very angry, loud")
    ]
    assert document.get_ref_annotation_data_for_tier("confidence@person 2") == [(3000, 4750, "0.450", "uncertain")]
    assert "text@no person" not in document.get_tier_names()
    assert document.get_parameters_for_tier("text@Anna")["PARENT_REF"] == "emotion@Anna"
    assert document.get_parameters_for_tier("emotion@Anna")["PARTICIPANT"] == "Anna"
    assert [media["RELATIVE_MEDIA_URL"] for media in document.get_linked_files()] == ["./interview%20one.mp4"]
    document.to_file(str(tmp_path / "again.eaf"))


def test_the_vocabulary_has_labels_uncertain_and_every_decision(tmp_path: Path) -> None:
    root = written(talk(), tmp_path / "out.eaf")
    vocabulary = [value.text for value in root.iter("CVE_VALUE")]
    assert vocabulary == [
        *("happy", "sad", "very angry, loud", "uncertain", "none", "no answer", "happy, very angry, loud")
    ]


def test_text_keeps_its_lines_and_nothing_of_it_is_markup(tmp_path: Path) -> None:
    root = written(hostile(), tmp_path / "out.eaf")
    texts = [value.text for value in root.iter("ANNOTATION_VALUE") if value.text.startswith("<script>")]
    assert len(texts) == 2
    assert texts[0].count("\n") > 3
    assert "\\x00\\x1b[31m" in texts[0]
    assert "]]> <!-- &amp;" in texts[0]
