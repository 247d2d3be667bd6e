"""From probabilities of speech to stretches of speech and of none, while a recording is read."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mme2e.errors import UserError

WINDOW_S = 0.032  # from one probability to the next
LEAST_LONGEST_S = 0.5  # shorter pieces say nothing
MOST_PADDING_S = 0.2
SPARE_S = 0.7  # no piece of a silence is shorter than this, or than half of the longest; so much later it is emitted
SMOOTHED_WINDOWS = 3  # a place to cut is judged with its neighbours


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of a recording in which somebody speaks, or nobody does.

    Attributes:
        start_s: Seconds from the first probability.
        end_s: Its end, where the next one starts.
        speech: Whether somebody speaks.
    """

    start_s: float
    end_s: float
    speech: bool


@dataclass
class _Span:
    """Speech that is not emitted yet: from the padded start to the end of its last window with speech."""

    start_s: float
    end_s: float


class SpeechSegmenter:
    """Cuts one recording into stretches that follow each other without gap or overlap.

    Speech begins where the probability reaches `onset` and ends where it falls below `offset`. Shorter pauses than
    `pause_s` belong to it, and `padding_s` before and after. What is shorter than `shortest_s` is joined with a
    neighbour less than `near_s` away, and the pause between them; without one, or where that would be too long, it
    stays as short as it is. What is longer than `longest_s` is cut where speech is least probable, in the second half
    of `longest_s`, so that what follows is not short either. Silence longer than `longest_s` is cut as well.

    A stretch is emitted as soon as it is certain: when the recording was read to t, all before t - `longest_s` - 1 s is
    emitted. The stretches do not depend on how the probabilities were divided among the calls.

    Args:
        shortest_s: Shortest speech that stands alone where it has a neighbour, in seconds.
        longest_s: Longest stretch, in seconds, at least 0.5.
        onset: Least probability of a window with which speech begins.
        offset: Least probability of a window with which it goes on.
        pause_s: Shortest pause, in seconds, at least twice `padding_s`.
        padding_s: What is added at both ends of speech, in seconds; at most 0.2.
        near_s: Neighbours of short speech begin or end less than this away, in seconds.

    Raises:
        UserError: The lengths or the thresholds contradict each other.
    """

    def __init__(
        self,
        shortest_s: float,
        longest_s: float,
        *,
        onset: float = 0.5,
        offset: float = 0.35,
        pause_s: float = 0.3,
        padding_s: float = 0.1,
        near_s: float = 1.0,
    ) -> None:
        if not 0 < shortest_s <= longest_s or longest_s < LEAST_LONGEST_S:
            raise UserError(
                f"shortest_s and longest_s must be 0 < shortest_s <= longest_s and longest_s >= {LEAST_LONGEST_S}, "
                f"not {shortest_s} and {longest_s}"
            )
        if not 0 < offset <= onset <= 1:
            raise UserError(f"offset and onset must be 0 < offset <= onset <= 1, not {offset} and {onset}")
        if not (0 <= padding_s <= MOST_PADDING_S and 2 * padding_s <= pause_s <= LEAST_LONGEST_S):
            raise UserError(
                f"padding_s and pause_s must be 0 <= padding_s <= {MOST_PADDING_S} and 2 * padding_s <= pause_s <= "
                f"{LEAST_LONGEST_S}, not {padding_s} and {pause_s}"
            )
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._onset, self._offset = onset, offset
        self._pause_s, self._padding_s, self._near_s = pause_s, padding_s, near_s
        self._windows = 0
        self._emitted_s = 0.0  # all before is emitted
        self._speaking = False
        self._run: _Span | None = None  # speech that may go on
        self._held: _Span | None = None  # speech that ended and may yet be joined with what follows
        self._recent: list[float] = []  # probabilities of the windows of `_held` and `_run`, and of those between
        self._finished = False

    def add(self, probabilities: Iterable[float]) -> list[Stretch]:
        """Goes on with the recording.

        Args:
            probabilities: (windows,) of speech, 0..1, one every 32 ms, that follow those before; NaN is none.

        Returns:
            The stretches that are certain now, in the order of time.

        Raises:
            ValueError: The recording was finished.
        """
        self._require_unfinished()
        emitted: list[Stretch] = []
        for probability in probabilities:
            self._step(float(probability), emitted)
        return emitted

    def finish(self, end_s: float) -> list[Stretch]:
        """Ends the recording.

        Args:
            end_s: Its length, in seconds: a time in the last window, or after it, where nothing is heard any more.

        Returns:
            The stretches that are left; the last one ends at `end_s`. None of an empty recording.

        Raises:
            ValueError: The recording was finished, or ends before its last window begins.
        """
        self._require_unfinished()
        if not end_s >= max(0, self._windows - 1) * WINDOW_S - 1e-6:
            raise ValueError(f"{self._windows} windows of {WINDOW_S} s do not fit into a recording of {end_s} s")
        self._finished = True
        emitted: list[Stretch] = []
        if self._run is not None:
            self._close(self._run)
        if self._held is not None:
            held_end_s = self._end_s(self._held)
            if end_s - held_end_s < self._padding_s and end_s - self._held.start_s <= self._longest_s:
                held_end_s = end_s
            self._emit_speech(self._held, min(held_end_s, end_s), emitted)
        self._emit_silence(end_s, emitted)
        return emitted

    def _require_unfinished(self) -> None:
        if self._finished:
            raise ValueError("the recording was finished; a recording needs a SpeechSegmenter of its own")

    def _step(self, probability: float, emitted: list[Stretch]) -> None:
        """One more window."""
        start_s, end_s = self._windows * WINDOW_S, (self._windows + 1) * WINDOW_S
        self._windows += 1
        self._speaking = probability >= (self._offset if self._speaking else self._onset)
        if self._speaking:
            self._run = self._run or self._begun(start_s, emitted)
            self._run.end_s = end_s
        if self._run is not None or self._held is not None:
            self._recent.append(probability)
        if self._speaking and self._run is not None:
            self._grow(self._run, emitted)
        elif self._run is not None and end_s - self._run.end_s >= self._pause_s:
            self._close(self._run)
        if self._run is None:
            self._settle(end_s, emitted)

    def _begun(self, start_s: float, emitted: list[Stretch]) -> _Span:
        """Speech from a window on, joined with short speech that is held; where it is, it is near."""
        held = self._held
        if held is not None and self._is_short(held):
            self._held = None
            return held
        padded_s = start_s - self._padding_s
        if held is None and padded_s - self._emitted_s < self._padding_s:  # not worth a stretch
            padded_s = self._emitted_s
        if held is None:
            self._emit_silence(padded_s, emitted)
        return _Span(padded_s, start_s)

    def _grow(self, run: _Span, emitted: list[Stretch]) -> None:
        """What follows from speech that became longer."""
        held = self._held
        if held is not None and not (self._is_short(run) and self._padded_s(run) - held.start_s <= self._longest_s):
            self._emit_speech(held, self._end_s(held), emitted)
            self._held = None
        while run.end_s - run.start_s > self._longest_s:
            # Not within the last window: the recording may end in it.
            place_s = min(self._least_probable(run.start_s), run.end_s - WINDOW_S)
            self._emit_speech(run, place_s, emitted)
            run.start_s = place_s
        first = self._windows - len(self._recent)
        if self._held is None:
            del self._recent[: max(0, int(run.start_s / WINDOW_S) - first)]

    def _close(self, run: _Span) -> None:
        """Speech that ended is held; short speech after speech that is held is joined with it."""
        if self._held is None:
            self._held = run
        else:
            self._held.end_s = run.end_s
        self._run = None

    def _settle(self, now_s: float, emitted: list[Stretch]) -> None:
        """Emits what is certain while nobody speaks."""
        held = self._held
        if held is not None and (now_s - held.end_s >= self._near_s or now_s - held.start_s > self._longest_s):
            self._emit_speech(held, self._end_s(held), emitted)
            self._held = None
        if self._held is None:
            self._recent.clear()
            certain_s = now_s - self._padding_s
            while certain_s - self._emitted_s >= self._longest_s + SPARE_S:
                self._emit(self._emitted_s + self._longest_s, False, emitted)

    def _is_short(self, span: _Span) -> bool:
        return self._padded_s(span) - span.start_s < self._shortest_s

    def _padded_s(self, span: _Span) -> float:
        return span.end_s + self._padding_s

    def _end_s(self, span: _Span) -> float:
        """Where it ends for good: with as much padding as fits."""
        return min(self._padded_s(span), span.start_s + self._longest_s)

    def _least_probable(self, start_s: float) -> float:
        """Where to cut speech that is too long: the middle of a window, in seconds; of equals, the last one."""
        if 2 * self._shortest_s > self._longest_s:
            return start_s + self._longest_s
        first = self._windows - len(self._recent)
        low_s, high_s = start_s + self._longest_s / 2, start_s + self._longest_s - self._shortest_s
        best_s, least = high_s, float("inf")
        for i in range(max(0, int(low_s / WINDOW_S) - first), len(self._recent)):
            middle_s = (first + i + 0.5) * WINDOW_S
            if middle_s > high_s:
                break
            near = self._recent[max(0, i - SMOOTHED_WINDOWS // 2) : i + SMOOTHED_WINDOWS // 2 + 1]
            mean = sum(near) / len(near)
            if middle_s >= low_s and mean <= least:
                best_s, least = middle_s, mean
        return best_s

    def _emit_speech(self, span: _Span, end_s: float, emitted: list[Stretch]) -> None:
        self._emit_silence(span.start_s, emitted)
        self._emit(end_s, True, emitted)

    def _emit_silence(self, end_s: float, emitted: list[Stretch]) -> None:
        """All that is not emitted before a time, in pieces."""
        while end_s - self._emitted_s >= self._longest_s + SPARE_S:
            self._emit(self._emitted_s + self._longest_s, False, emitted)
        first_s, count = self._emitted_s, math.ceil((end_s - self._emitted_s) / self._longest_s - 1e-9)
        for i in range(1, count):
            self._emit(first_s + i / count * (end_s - first_s), False, emitted)
        self._emit(end_s, False, emitted)

    def _emit(self, end_s: float, speech: bool, emitted: list[Stretch]) -> None:
        if end_s > self._emitted_s:
            emitted.append(Stretch(start_s=self._emitted_s, end_s=end_s, speech=speech))
            self._emitted_s = end_s
