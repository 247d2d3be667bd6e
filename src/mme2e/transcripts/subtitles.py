"""Subtitles: SubRip, WebVTT, and (Advanced) SubStation Alpha."""

import re
import warnings

from mme2e.times import seconds_of
from mme2e.transcripts.cues import Cue
from mme2e.transcripts.tidying import Found, one_line, plain_text, with_speaker

_TIMES = re.compile(r"\s*(\S+)\s*-->\s*(\S+)(?:\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]*)>")
_PREFIX = re.compile(r"(?:-\s*)?([^\W\d_][^\s:]{0,39}(?: [^\s:]{1,40}){0,3}):\s+(?=\S)")
"""A name of up to four words before a colon."""

_VERSION_4 = re.compile(r"^\s*(?:\[V4 Styles\]|ScriptType:\s*v4\.00\s*$)", re.MULTILINE | re.IGNORECASE)

_NAMED_SHARE = 0.5
"""Of the cues; where no more than that begin with a name and a colon, these are words as others are."""


def read_srt(text: str) -> Found:
    """SubRip; `Name: text` is a speaker where most subtitles have one (see `named`).

    Raises:
        ValueError: It contains no times.
    """
    return named(_read_blocks(text, blank_lines=True))


def read_vtt(text: str) -> Found:
    """WebVTT, with its voices as speakers (`<v Anna>`); without any, as `read_srt`.

    Raises:
        ValueError: It contains no times.
    """
    found = _read_blocks(text, blank_lines=False)
    return found if any(cue.speaker for _, cue in found.cues) else named(found)


def read_ass(text: str) -> Found:
    """(Advanced) SubStation Alpha; its field Name is the speaker. Comments and drawings are no text.

    Raises:
        ValueError: It is none.
    """
    import pysubs2

    if not re.search(r"^\s*\[Events\]", text, re.MULTILINE | re.IGNORECASE):
        raise ValueError("it has no [Events]")
    format_ = "ssa" if _VERSION_4.search(text) else "ass"
    try:
        with warnings.catch_warnings(action="ignore"):  # about styles and layers, which are not used
            events = pysubs2.SSAFile.from_string(re.sub(r"\r\n?", "\n", text), format_=format_).events
    except (pysubs2.exceptions.Pysubs2Error, IndexError, KeyError, OverflowError) as error:
        raise ValueError(one_line(str(error))) from error
    found = Found()
    for number, event in enumerate(events, start=1):
        if event.is_text:
            cue = Cue(start_s=event.start / 1000, end_s=event.end / 1000, text=plain_text(event.plaintext))
            found.cues.append((f"event {number}", with_speaker(cue, event.name)))
    return found


def named(found: Found) -> Found:
    """Takes `Name: text` for a speaker where most cues have one; a cue without one goes on with the last speaker."""
    matches = [_PREFIX.match(cue.text) for _, cue in found.cues]
    if sum(match is not None for match in matches) <= _NAMED_SHARE * len(matches):
        return found
    cues, speaker = [], ""
    for (place, cue), match in zip(found.cues, matches, strict=True):
        speaker = match[1] if match else speaker
        text = cue.text[match.end() :] if match else cue.text
        cues.append((place, Cue(start_s=cue.start_s, end_s=cue.end_s, text=text, speaker=one_line(speaker))))
    return Found(cues, found.remarks)


def _read_blocks(text: str, *, blank_lines: bool) -> Found:
    """Blocks of a line with times and the lines below it.

    Args:
        text: Content of the file.
        blank_lines: Whether a text may contain blank lines, or ends at the first one.
    """
    found = Found()
    times: tuple[int, str, str] | None = None
    lines: list[str] = []
    ended, count = True, 0

    def close() -> None:
        if times is not None:
            _add(found, f"subtitle {count} (line {times[0]})", times[1], times[2], lines)

    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        match = _TIMES.fullmatch(line)
        if match:
            while lines and not lines[-1]:
                lines.pop()
            if lines and lines[-1].isdecimal():  # number of this subtitle
                lines.pop()
            close()
            times, lines, ended = (number, match[1], match[2]), [], False
            count += 1
        elif not line.strip() and not blank_lines:
            ended = True
        elif not ended:
            lines.append(line.strip())
    close()
    if not count and text.strip():
        raise ValueError("it has no line with times as in '00:00:01,000 --> 00:00:02,500'")
    return found


def _add(found: Found, place: str, start: str, end: str, lines: list[str]) -> None:
    try:
        start_s, end_s = _signed_seconds(start), _signed_seconds(end)
    except ValueError:
        found.remarks.append(f"{place}: '{start[:20]} --> {end[:20]}' are no times: left out")
        return
    before, *voices = _VOICE.split("\n".join(lines))
    said = [("", plain_text(before))] + [
        (one_line(name), plain_text(words)) for name, words in zip(voices[::2], voices[1::2], strict=True)
    ]
    said = [(speaker, words) for speaker, words in said if words]
    letters = sum(len(words) for _, words in said)
    done = 0
    for speaker, words in said:  # of several voices each has its share of the time
        first, last = done / letters, (done + len(words)) / letters
        begins_s = start_s + first * (end_s - start_s)
        ends_s = end_s if last == 1 else start_s + last * (end_s - start_s)
        found.cues.append((place, Cue(start_s=begins_s, end_s=ends_s, text=words, speaker=speaker)))
        done += len(words)


def _signed_seconds(written: str) -> float:
    return -seconds_of(written[1:]) if written.startswith("-") else seconds_of(written)
