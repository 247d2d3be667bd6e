"""Praat's TextGrid, in its long and its short form: tiers of intervals, a tier a speaker."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mme2e.transcripts.cues import Cue, TimedWord
from mme2e.transcripts.tidying import Found, one_line

_TOKEN = re.compile(r'(?<!\S)(?:"((?:[^"]++|"")*+)"|([+-]?\d[\d.eE+-]*+))(?!\S)')
"""As Praat reads both forms: texts in quotes and numbers that stand free, between anything else."""

_WORDS = re.compile(r"(.*?)[\s_:-]*\bwords?", re.IGNORECASE)
_PHONES = re.compile(r"(?:.*[\s_:-])?(?:phones?|phonemes?|syllables?|syls?)", re.IGNORECASE)
_NO_WORDS = {"sil", "sp", "spn", "<eps>", "<sil>", "<p:>"}
"""What forced aligners write where nobody speaks."""

_NO_SPEAKERS = {"", "text", "transcript", "transcription", "utterance", "utterances", "sentence", "sentences"}


@dataclass
class _Speaker:
    """What the tiers of a speaker hold."""

    cues: list[tuple[str, Cue]] = field(default_factory=list)
    words: list[tuple[str, Cue]] = field(default_factory=list)


def read_text_grid(text: str) -> Found:
    """Intervals of all tiers; their names are the speakers.

    A tier of words gives their times to the speaker's other tier, if there is one, else it is the text. Tiers of
    phones and of points are no text.

    Raises:
        ValueError: It is no TextGrid.
    """
    tokens = (match[1].replace('""', '"') if match[1] is not None else match[2] for match in _TOKEN.finditer(text))
    strings = [next(tokens, ""), next(tokens, "")]
    if strings != ["ooTextFile", "TextGrid"]:
        raise ValueError('it does not begin with "ooTextFile" and "TextGrid"')
    speakers: dict[str, _Speaker] = {}
    found = Found()
    try:
        _read_tiers(tokens, speakers, found)
    except StopIteration:
        found.remarks.append("it ends early: some of its intervals are missing")
    for speaker in speakers.values():
        found.cues += _with_words(speaker) if speaker.cues else speaker.words
    # Tiers follow each other: that one begins where the one before does is no disorder.
    found.cues.sort(key=lambda each: each[1].start_s or 0.0)
    return found


def _read_tiers(tokens: Iterator[str], speakers: dict[str, _Speaker], found: Found) -> None:
    _number(next(tokens)), _number(next(tokens))
    for _ in range(int(_number(next(tokens)))):
        kind, name = next(tokens), one_line(next(tokens))
        _number(next(tokens)), _number(next(tokens))
        size = int(_number(next(tokens)))
        if kind == "TextTier":
            for _ in range(size):
                _number(next(tokens)), next(tokens)
            if size:
                found.remarks.append(f"tier '{name}' has points, no intervals: left out")
            continue
        if kind != "IntervalTier":
            raise ValueError(f"'{kind[:40]}' is no kind of tier")
        phones, words = _PHONES.fullmatch(name), _WORDS.fullmatch(name)
        if phones:
            found.remarks.append(f"tier '{name}' has no words: left out")
        speaker = words[1] if words else name
        speaker = "" if speaker.lower() in _NO_SPEAKERS else speaker
        tiers = _Speaker() if phones else speakers.setdefault(speaker, _Speaker())
        for number in range(1, size + 1):
            start_s, end_s, said = _number(next(tokens)), _number(next(tokens)), one_line(next(tokens))
            cue = Cue(start_s=start_s, end_s=end_s, text=said, speaker=speaker)
            place = f"interval {number} of tier '{name}'"
            if words and said and said.lower() not in _NO_WORDS:
                timed = TimedWord(text=said, start_s=start_s, end_s=end_s)
                tiers.words.append((place, replace(cue, words=(timed,))))
            elif not words:
                tiers.cues.append((place, cue))


def _with_words(speaker: _Speaker) -> list[tuple[str, Cue]]:
    """Cues with the words that lie within them, where these are the words of the text."""
    words = sorted((word for _, cue in speaker.words for word in cue.words), key=lambda word: word.start_s)
    cues, place = [], 0
    for where, cue in sorted(speaker.cues, key=lambda each: each[1].start_s or 0.0):
        assert cue.start_s is not None
        assert cue.end_s is not None
        within = []
        while place < len(words) and (words[place].start_s + words[place].end_s) / 2 < cue.end_s:
            if (words[place].start_s + words[place].end_s) / 2 >= cue.start_s:
                within.append(words[place])
            place += 1
        said = cue.text.split()
        if within and len(said) == len(within):
            timed = (replace(word, text=each) for word, each in zip(within, said, strict=True))
            cue = replace(cue, words=tuple(timed))
        cues.append((where, cue))
    return cues


def _number(token: str) -> float:
    try:
        number = float(token)
        int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"'{token[:40]}' stands where a number is expected") from None
    return number
