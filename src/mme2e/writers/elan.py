"""ELAN's annotation format (EAF 3.0): for each person a tier of emotions, and of text and confidence below it.

The schema is http://www.mpi.nl/tools/elan/EAFv3.0.xsd; times are whole milliseconds.
"""

import mimetypes
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote
from xml.etree import ElementTree

from mme2e.inference.timeline import Timeline
from mme2e.writers.tiers import Tier, tiers_of
from mme2e.writers.wording import decision_text, label_text, one_line, several_lines

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_VOCABULARY = "emotions"
_LANGUAGE = "und"
_NOT_IN_XML = str.maketrans("\ufffe\uffff", "\ufffd\ufffd")
"""What XML 1.0 forbids beside control characters and surrogates, which are escaped before."""

_Element = ElementTree.Element
_child = ElementTree.SubElement


@dataclass
class _Document:
    """What the tiers of a document share: ids of annotations and the order of time.

    Attributes:
        times: Milliseconds of the time slots, in the order of their ids.
        annotations: How many there are.
    """

    times: list[int] = field(default_factory=list)
    annotations: int = 0

    def annotation_id(self) -> str:
        self.annotations += 1
        return f"a{self.annotations}"

    def slot(self, milliseconds: int) -> str:
        self.times.append(milliseconds)
        return f"ts{len(self.times)}"


def eaf_bytes(timeline: Timeline) -> bytes:
    """The EAF document. It names the recording as a file beside it.

    The emotion of an annotation is an entry of a controlled vocabulary: the labels, "uncertain", "none", "no answer"
    and each combination of labels that was decided. Text and confidence are symbolically associated to it.
    """
    tiers = tiers_of(timeline)
    values = _vocabulary(timeline, tiers)
    document = _Document()
    built = [element for tier in tiers for element in _tier_elements(tier, document, values)]
    root = _Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "mme2e",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": _INSTANCE,
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    root.append(_header(timeline, document.annotations))
    order = _child(root, "TIME_ORDER")
    for number, time in sorted(enumerate(document.times, 1), key=lambda slot: slot[1]):
        _child(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(time))
    root.extend(built)
    _add_types(root)
    _add_vocabulary(root, values)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


def _header(timeline: Timeline, annotations: int) -> _Element:
    header = _Element("HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if timeline.source:
        name = quote(timeline.source)
        kind = mimetypes.guess_type(timeline.source)[0] or "unknown"
        _child(header, "MEDIA_DESCRIPTOR", MEDIA_URL=f"./{name}", RELATIVE_MEDIA_URL=f"./{name}", MIME_TYPE=kind)
    for name, value in (
        ("lastUsedAnnotationId", str(annotations)),
        ("model", timeline.model.name),
        *(("note", note) for note in timeline.notes),
    ):
        _child(header, "PROPERTY", NAME=name).text = _text(one_line(value))
    return header


def _vocabulary(timeline: Timeline, tiers: list[Tier]) -> dict[str, str]:
    """Value -> id of its entry in the controlled vocabulary."""
    labels = (_text(label_text(label)) for label in timeline.label_names)
    decided = (_text(decision_text(span.segment)) for tier in tiers for span in tier.spans)
    values = dict.fromkeys((*labels, "uncertain", "none", "no answer", *decided))
    return {value: f"cveid{number}" for number, value in enumerate(values)}


def _tier_elements(tier: Tier, document: _Document, values: dict[str, str]) -> list[_Element]:
    """The tier of emotions, and those of text and confidence where there is any; the ids of these refer to that one."""
    shared = {"ANNOTATOR": "mme2e"} | ({"PARTICIPANT": _text(tier.person)} if tier.person else {})
    parent = _text(f"emotion@{tier.name}")
    emotions = _Element("TIER", {"TIER_ID": parent, "LINGUISTIC_TYPE_REF": "emotion", **shared})
    below = {
        content: _Element(
            "TIER",
            {
                "TIER_ID": _text(f"{content}@{tier.name}"),
                "LINGUISTIC_TYPE_REF": content,
                "PARENT_REF": parent,
                **shared,
            },
        )
        for content in ("text", "confidence")
    }
    for span in tier.spans:
        decision, confidence = _text(decision_text(span.segment)), span.segment.confidence
        identity = document.annotation_id()
        annotation = _child(
            _child(emotions, "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=identity,
            TIME_SLOT_REF1=document.slot(span.start_ms),
            TIME_SLOT_REF2=document.slot(span.end_ms),
            CVE_REF=values[decision],
        )
        _child(annotation, "ANNOTATION_VALUE").text = decision
        contents = {
            "text": several_lines(span.segment.text or "").strip(),
            "confidence": "" if confidence is None else f"{confidence:.3f}",
        }
        for content, value in contents.items():
            if value:
                reference = _child(
                    _child(below[content], "ANNOTATION"),
                    "REF_ANNOTATION",
                    ANNOTATION_ID=document.annotation_id(),
                    ANNOTATION_REF=identity,
                )
                _child(reference, "ANNOTATION_VALUE").text = _text(value)
    return [emotions, *(element for element in below.values() if len(element))]


def _add_types(root: _Element) -> None:
    _child(
        root,
        "LINGUISTIC_TYPE",
        LINGUISTIC_TYPE_ID="emotion",
        TIME_ALIGNABLE="true",
        GRAPHIC_REFERENCES="false",
        CONTROLLED_VOCABULARY_REF=_VOCABULARY,
    )
    for content in ("text", "confidence"):
        _child(
            root,
            "LINGUISTIC_TYPE",
            LINGUISTIC_TYPE_ID=content,
            TIME_ALIGNABLE="false",
            GRAPHIC_REFERENCES="false",
            CONSTRAINTS="Symbolic_Association",
        )
    _child(root, "LANGUAGE", LANG_ID=_LANGUAGE, LANG_LABEL="undetermined (und)")
    _child(
        root,
        "CONSTRAINT",
        STEREOTYPE="Symbolic_Association",
        DESCRIPTION="1-1 association with a parent annotation",
    )


def _add_vocabulary(root: _Element, values: dict[str, str]) -> None:
    vocabulary = _child(root, "CONTROLLED_VOCABULARY", CV_ID=_VOCABULARY)
    _child(vocabulary, "DESCRIPTION", LANG_REF=_LANGUAGE).text = "emotions, and why there may be none"
    for value, identity in values.items():
        entry = _child(vocabulary, "CV_ENTRY_ML", CVE_ID=identity)
        _child(entry, "CVE_VALUE", LANG_REF=_LANGUAGE, DESCRIPTION="").text = value


def _text(text: str) -> str:
    return text.translate(_NOT_IN_XML)
