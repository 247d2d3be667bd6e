"""ELAN's annotation files (EAF): tiers of annotations with the times of a common time line."""

import re
from xml.etree import ElementTree

from mme2e.transcripts.cues import Cue
from mme2e.transcripts.tidying import Found, one_line

_DECLARATION = re.compile(r"<!(DOCTYPE|ENTITY)")
_ENCODING = re.compile(r"\A\s*<\?xml[^>]*\?>")
_NO_SPEAKERS = {"default", "text", "transcript", "transcription"}

_Span = tuple[float, float]


def read_eaf(text: str) -> Found:
    """Annotations of a speaker's tiers: of those without a parent, where there is text in them, else of all.

    The speaker is the tier's participant, or its name where it has none. Annotations that refer to another one have
    its times; several of the same one are joined.

    Raises:
        ValueError: It is no EAF, or declares entities, which no EAF needs.
    """
    if _DECLARATION.search(text):
        raise ValueError("it has a DOCTYPE or entities, which no EAF needs")
    try:
        root = ElementTree.fromstring(_ENCODING.sub("", text).strip())  # noqa: S314 - no declarations, see above
    except ElementTree.ParseError as error:
        raise ValueError(f"it is damaged: {error}") from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise ValueError(f"its first element is <{root.tag[:40]}>, expected is <ANNOTATION_DOCUMENT>")
    slots, found = _time_slots(root), Found()
    spans = _spans(root, slots)
    tiers: dict[str, list[ElementTree.Element]] = {}
    for tier in root.iter("TIER"):
        tiers.setdefault(_speaker(tier), []).append(tier)
    for speaker, all_of_speaker in tiers.items():
        roots = [tier for tier in all_of_speaker if not tier.get("PARENT_REF")]
        cues = _cues(roots, speaker, spans, found) or _cues(all_of_speaker, speaker, spans, found)
        found.cues += cues
    # Tiers follow each other: that one begins where the one before does is no disorder.
    found.cues.sort(key=lambda each: each[1].start_s or 0.0)
    return found


def _speaker(tier: ElementTree.Element) -> str:
    name = one_line(tier.get("PARTICIPANT") or tier.get("TIER_ID") or "")
    return "" if name.lower() in _NO_SPEAKERS else name


def _time_slots(root: ElementTree.Element) -> dict[str, float]:
    """Seconds of the time slots; those without a time lie evenly between their neighbours, as ELAN shows them."""
    slots: dict[str, float] = {}
    pending: list[str] = []
    last = 0.0
    for slot in root.iter("TIME_SLOT"):
        name, value = slot.get("TIME_SLOT_ID", ""), slot.get("TIME_VALUE")
        if value is None:
            pending.append(name)
            continue
        try:
            time_s = int(value) / 1000
        except (ValueError, OverflowError):
            raise ValueError(f"the time '{value[:40]}' of slot '{name[:40]}' is no number of milliseconds") from None
        for number, each in enumerate(pending, start=1):
            slots[each] = last + (time_s - last) * number / (len(pending) + 1)
        slots[name], last, pending = time_s, time_s, []
    return slots | dict.fromkeys(pending, last)


def _spans(root: ElementTree.Element, slots: dict[str, float]) -> dict[str, _Span]:
    """Times of all annotations that have any."""
    spans: dict[str, _Span] = {}
    for annotation in root.iter("ALIGNABLE_ANNOTATION"):
        start, end = (slots.get(annotation.get(f"TIME_SLOT_REF{number}", "")) for number in (1, 2))
        if start is not None and end is not None:
            spans[annotation.get("ANNOTATION_ID", "")] = start, end
    parents = {
        annotation.get("ANNOTATION_ID", ""): annotation.get("ANNOTATION_REF", "")
        for annotation in root.iter("REF_ANNOTATION")
    }
    for name in parents:
        chain, at = [], name
        while at in parents and at not in spans:
            chain.append(at)
            at = parents[at]
            if len(chain) > len(parents):  # a circle
                break
        if at in spans:
            spans |= dict.fromkeys(chain, spans[at])
        else:
            for each in chain:  # leads nowhere, also for those that refer to it
                parents[each] = ""
    return spans


def _cues(
    tiers: list[ElementTree.Element], speaker: str, spans: dict[str, _Span], found: Found
) -> list[tuple[str, Cue]]:
    cues: list[tuple[str, Cue]] = []
    for tier in tiers:
        joined: dict[str, tuple[_Span, list[str]]] = {}
        for annotation in tier.iterfind("ANNOTATION/*"):
            name = annotation.get("ANNOTATION_ID", "")
            text = one_line("".join(annotation.findtext("ANNOTATION_VALUE") or ""))
            if text and name in spans:
                joined.setdefault(annotation.get("ANNOTATION_REF") or name, (spans[name], []))[1].append(text)
            elif text:
                found.remarks.append(f"annotation '{name}' of tier '{tier.get('TIER_ID')}' has no times: left out")
        cues += [
            (f"annotation '{name}'", Cue(start_s=start_s, end_s=end_s, text=" ".join(texts), speaker=speaker))
            for name, ((start_s, end_s), texts) in joined.items()
        ]
    return cues
