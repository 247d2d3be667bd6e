"""Sentences from the cues of a transcript.

Subtitles cut sentences where the line is full, and speech recognition where its window ends. A sentence is what is
rated as one, so cues are joined and cut again at full stops, pauses and changes of speaker.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mme2e.transcripts.cues import Cue, TimedWord, Transcript

LONGEST_PAUSE_S = 1.0
"""Between words of one sentence."""

_CLOSING = "\"'\u201d\u2019\u00bb)]"
_SENTENCE_ENDS = (".", "!", "?", "\u2026", "\u3002", "\uff01", "\uff1f")
_CLAUSE_ENDS = (*_SENTENCE_ENDS, ",", ";", ":", "\u2013", "\u2014", "\uff0c", "\u3001", "\uff1b", "\uff1a")
_TITLES = {"mr.", "mrs.", "ms.", "dr.", "prof.", "vs.", "e.g.", "i.e."}
_NO_SPACES = r"\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(rf"[{_NO_SPACES}][\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f]*|[^\s{_NO_SPACES}]+")
"""A word; or a character of a script without spaces, with the punctuation behind it."""

_WITHOUT_SPACES = re.compile(rf"[{_NO_SPACES}\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f]")
_SHORTEST_GAP_S = 0.15


@dataclass(frozen=True)
class _Word:
    """A word, with the space before it (None where a cue begins with it), and whether its times are known."""

    space: str | None
    text: str
    start_s: float
    end_s: float
    known: bool


def sentences(transcript: Transcript, longest_s: float) -> tuple[Cue, ...]:
    """Joins the cues of a speaker, and cuts them into sentences.

    A sentence ends at a full stop, question or exclamation mark, at a pause of more than `LONGEST_PAUSE_S`, and where
    another speaker begins in between. One that is longer than `longest_s` is cut behind a clause, in the longest gap,
    or between any two words; times of words that the transcript does not give are in proportion to their characters.

    Args:
        transcript: With times; one without comes back as it is.
        longest_s: Length of a sentence in seconds; a single word that lasts longer ends there.

    Returns:
        Sentences in the order of time; those of one speaker do not overlap, and all words are there in their order.
        They have times of words where all of them are known.
    """
    if longest_s <= 0:
        raise ValueError(f"longest_s must be positive, not {longest_s}")
    if not transcript.timed:
        return transcript.cues
    by_speaker: dict[str, list[Cue]] = {}
    for cue in transcript.cues:
        by_speaker.setdefault(cue.speaker, []).append(cue)
    found = []
    for speaker, cues in by_speaker.items():
        others = sorted(_start(cue) for cue in transcript.cues if cue.speaker != speaker)
        words = [word for cue in _apart(cues) for word in _words(cue)]
        for sentence in _cut_at_ends(words, others):
            found += [_joined(piece, speaker, longest_s) for piece in _cut_to_length(sentence, longest_s)]
    return tuple(sorted(found, key=lambda cue: (_start(cue), cue.speaker)))


def _start(cue: Cue) -> float:
    assert cue.start_s is not None
    return cue.start_s


def _apart(cues: Sequence[Cue]) -> list[Cue]:
    """Cues of one speaker so that none overlaps: what begins at once is one cue, others end where the next begins."""
    apart: list[Cue] = []
    for cue in sorted(cues, key=_start):
        assert cue.end_s is not None
        if apart and _start(apart[-1]) == _start(cue):
            last = apart.pop()
            assert last.end_s is not None
            text = last.text + _space_between(last.text, cue.text) + cue.text
            apart.append(replace(last, text=text, end_s=max(last.end_s, cue.end_s), words=()))
            continue
        if apart:
            last = apart[-1]
            assert last.end_s is not None
            apart[-1] = replace(last, end_s=min(last.end_s, _start(cue)))
        apart.append(cue)
    return apart


def _space_between(before: str, after: str) -> str:
    """No space between two characters of a script without spaces."""
    joined = before and after and _WITHOUT_SPACES.match(before[-1]) and _WITHOUT_SPACES.match(after[0])
    return "" if joined or not before else " "


def _words(cue: Cue) -> list[_Word]:
    """Words of a cue with their times, which lie within it and are in order."""
    assert cue.end_s is not None
    known = _known_words(cue)
    if known:
        return known
    start_s, length_s = _start(cue), cue.end_s - _start(cue)
    matches = list(_TOKEN.finditer(cue.text))
    letters = max(1, sum(len(match[0]) for match in matches))
    words: list[_Word] = []
    done, last = 0, 0
    for match in matches:
        begin_s, done = start_s + length_s * done / letters, done + len(match[0])
        end_s = cue.end_s if done == letters else start_s + length_s * done / letters
        space = None if not words else " " if match.start() > last else ""
        words.append(_Word(space, match[0], begin_s, end_s, known=False))
        last = match.end()
    return words


def _known_words(cue: Cue) -> list[_Word]:
    """The times that the cue gives; none where they are not those of its text, or not within it and in order."""
    words: list[_Word] = []
    place, last_s = 0, _start(cue)
    assert cue.end_s is not None
    for word in cue.words:
        begin = place
        while place < len(cue.text) and cue.text[place].isspace():
            place += 1
        if (
            not word.text
            or not cue.text.startswith(word.text, place)
            or word.start_s < last_s - 0.5
            or word.end_s > cue.end_s + 0.5
        ):
            return []
        start_s = min(max(word.start_s, last_s), cue.end_s)
        last_s = min(max(word.end_s, start_s), cue.end_s)
        space = None if not words else " " if place > begin else ""
        words.append(_Word(space, word.text, start_s, last_s, known=True))
        place += len(word.text)
    return words if not cue.text[place:].strip() else []


def _cut_at_ends(words: list[_Word], others: list[float]) -> Iterator[list[_Word]]:
    """Sentences of any length.

    Args:
        words: Of one speaker.
        others: Where cues of other speakers begin, in seconds, sorted.
    """
    sentence: list[_Word] = []
    for number, word in enumerate(words):
        sentence.append(word)
        following = words[number + 1] if number + 1 < len(words) else None
        if following is None or _ends(word, following, others):
            yield sentence
            sentence = []


def _ends(word: _Word, following: _Word, others: list[float]) -> bool:
    if following.start_s - word.end_s > LONGEST_PAUSE_S:
        return True
    if following.start_s > word.end_s:
        next_other = bisect_left(others, word.end_s - 1e-6)
        if next_other < len(others) and others[next_other] < following.start_s - 1e-6:
            return True
    text = word.text.rstrip(_CLOSING)
    if not text.endswith(_SENTENCE_ENDS) or text.lower() in _TITLES:
        return False
    return not following.text[0].islower()


def _cut_to_length(sentence: list[_Word], longest_s: float) -> Iterator[list[_Word]]:
    first = 0
    while first < len(sentence):
        start_s = sentence[first].start_s
        if sentence[-1].end_s - start_s <= longest_s:
            yield sentence[first:]
            return
        after = first + 1
        while after < len(sentence) and sentence[after].end_s - start_s <= longest_s:
            after += 1
        cut = _best_cut(sentence, first, after, longest_s)
        yield sentence[first:cut]
        first = cut


def _best_cut(sentence: list[_Word], first: int, after: int, longest_s: float) -> int:
    """Where to cut, of the words `first` to `after`: behind a clause, in the longest gap, or at the end."""
    late = [
        cut
        for cut in range(first + 1, after + 1)
        if cut < len(sentence) and sentence[cut - 1].end_s - sentence[first].start_s >= longest_s / 2
    ]
    clauses = [cut for cut in late if sentence[cut - 1].text.rstrip(_CLOSING).endswith(_CLAUSE_ENDS)]
    if clauses:
        return clauses[-1]
    gaps = [(sentence[cut].start_s - sentence[cut - 1].end_s, cut) for cut in late]
    longest_gap, cut = max(gaps, default=(0.0, after))
    return cut if longest_gap >= _SHORTEST_GAP_S else after


def _joined(words: list[_Word], speaker: str, longest_s: float) -> Cue:
    text = ""
    for word in words:
        text += (_space_between(text, word.text) if word.space is None or not text else word.space) + word.text
    start_s = words[0].start_s
    end_s = min(words[-1].end_s, start_s + longest_s)
    timed = [TimedWord(text=word.text, start_s=word.start_s, end_s=min(word.end_s, end_s)) for word in words]
    known = all(word.known for word in words)
    return Cue(start_s=start_s, end_s=end_s, text=text, speaker=speaker, words=tuple(timed) if known else ())
