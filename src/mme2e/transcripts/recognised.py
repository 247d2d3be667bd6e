"""What speech recognition programs write as JSON: Whisper and its relatives, and FunASR."""

import json
import math
import re
from typing import Any

from mme2e.text_files import printable
from mme2e.transcripts.cues import Cue, TimedWord
from mme2e.transcripts.tidying import Found, one_line

_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+(?:['\u2019-][^\W]+)*")
"""What FunASR gives a time: a Chinese or Japanese character, or a word of letters."""


def read_json(text: str) -> Found:
    """Whisper's JSON (also WhisperX's and whisper.cpp's) or FunASR's, by its keys.

    Raises:
        ValueError: It is neither, or damaged.
    """
    content = parse_json(text)
    if is_timeline(content):
        raise ValueError("it is an answer of mme2e, not a transcript")
    if isinstance(content, dict) and isinstance(content.get("transcription"), list):
        return _whisper_cpp(content["transcription"])
    if isinstance(content, dict) and isinstance(content.get("segments"), list):
        return _whisper(content["segments"])
    items = content if isinstance(content, list) else [content]
    if items and all(isinstance(item, dict) for item in items):
        if all("start" in item and "end" in item and "text" in item for item in items):
            return _whisper(items)
        if all("text" in item and ("timestamp" in item or "sentence_info" in item) for item in items):
            return _fun_asr(items)
    raise ValueError("it has neither Whisper's 'segments' nor FunASR's 'sentence_info' or 'timestamp'")


def parse_json(text: str) -> Any:
    """Plain values.

    Raises:
        ValueError: It is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def is_timeline(content: object) -> bool:
    """Whether it is what mme2e itself answers about a recording."""
    return isinstance(content, dict) and {"schema_version", "segments", "label_names"} <= content.keys()


def _whisper(segments: list[Any]) -> Found:
    found = Found()
    for number, segment in enumerate(segments, start=1):
        place = f"segment {number}"
        if not isinstance(segment, dict) or not isinstance(segment.get("text"), str):
            found.remarks.append(f"{place}: it has no text: left out")
            continue
        start_s, end_s = _number(segment.get("start")), _number(segment.get("end"))
        if start_s is None or end_s is None:
            found.remarks.append(f"{place}: it has no times: left out")
            continue
        cue = Cue(
            start_s=start_s,
            end_s=end_s,
            text=one_line(segment["text"]),
            speaker=_speaker(segment.get("speaker")),
            words=_words(segment.get("words")),
        )
        found.cues.append((place, cue))
    return found


def _words(given: object) -> tuple[TimedWord, ...]:
    """Times of all words; empty where one has none (WhisperX gives none to numbers)."""
    words = []
    for word in given if isinstance(given, list) else []:
        text = word.get("word", word.get("text")) if isinstance(word, dict) else None
        start_s, end_s = (_number(word.get("start")), _number(word.get("end"))) if text else (None, None)
        if not isinstance(text, str) or start_s is None or end_s is None:
            return ()
        if text.strip():
            words.append(TimedWord(text=one_line(text), start_s=start_s, end_s=max(start_s, end_s)))
    return tuple(words)


def _whisper_cpp(segments: list[Any]) -> Found:
    found = Found()
    for number, segment in enumerate(segments, start=1):
        offsets = segment.get("offsets") if isinstance(segment, dict) else None
        start_ms, end_ms = (_number(offsets.get(key)) if isinstance(offsets, dict) else None for key in ("from", "to"))
        if start_ms is None or end_ms is None or not isinstance(segment.get("text"), str):
            found.remarks.append(f"segment {number}: it has no text or no times: left out")
            continue
        cue = Cue(start_s=start_ms / 1000, end_s=end_ms / 1000, text=one_line(segment["text"]))
        found.cues.append((f"segment {number}", cue))
    return found


def _fun_asr(items: list[Any]) -> Found:
    found = Found()
    pieces = [piece for item in items for piece in (item.get("sentence_info") or [item])]
    for number, piece in enumerate(pieces, start=1):
        place = f"sentence {number}"
        text = piece.get("text", piece.get("sentence")) if isinstance(piece, dict) else None
        if not isinstance(text, str):
            found.remarks.append(f"{place}: it has no text: left out")
            continue
        stamps = _stamps(piece.get("timestamp"))
        start_ms, end_ms = _number(piece.get("start")), _number(piece.get("end"))
        if start_ms is None or end_ms is None:
            if not stamps:
                found.remarks.append(f"{place}: it has no times: left out")
                continue
            start_ms, end_ms = stamps[0][0], stamps[-1][1]
        cue = Cue(
            start_s=start_ms / 1000,
            end_s=end_ms / 1000,
            text=one_line(text),
            speaker=_speaker(piece.get("spk")),
            words=_stamped(one_line(text), stamps),
        )
        found.cues.append((place, cue))
    return found


def _stamps(given: object) -> list[tuple[float, float]]:
    """Pairs of milliseconds; none where any is not a pair."""
    pairs = []
    for pair in given if isinstance(given, list) else []:
        times = [_number(time) for time in pair] if isinstance(pair, list) else []
        if len(times) != 2 or times[0] is None or times[1] is None:
            return []
        pairs.append((times[0], times[1]))
    return pairs


def _stamped(text: str, stamps: list[tuple[float, float]]) -> tuple[TimedWord, ...]:
    """Words with their times and the punctuation behind them; none where their numbers differ."""
    matches = list(_TOKEN.finditer(text))
    if not matches or len(matches) != len(stamps):
        return ()
    bounds = [0, *(match.start() for match in matches[1:]), len(text)]
    return tuple(
        TimedWord(text=text[first:last].strip(), start_s=start / 1000, end_s=max(start, end) / 1000)
        for first, last, (start, end) in zip(bounds, bounds[1:], stamps, strict=False)
    )


def _speaker(given: object) -> str:
    """A name, or a number of diarisation as one."""
    if isinstance(given, int) and not isinstance(given, bool):
        return f"speaker {given}"
    return one_line(printable(given)) if isinstance(given, str) else ""


def _number(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    try:
        number = float(given)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
