"""Decoder processes, as many as are in use at once, kept for the next recording."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mme2e.media.decoder import DecoderProcess


class Decoders:
    """Lends decoder processes. Any thread may borrow; each has its own for the time.

    Close it, or use `with`. A process that was not closed ends with this one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[DecoderProcess] = []

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # processes do not travel: a copy starts its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    @contextmanager
    def borrowed(self) -> Iterator[DecoderProcess]:
        """A decoder process for the `with` block."""
        with self._lock:
            decoder = self._idle.pop() if self._idle else DecoderProcess()
        try:
            yield decoder
        finally:
            with self._lock:
                self._idle.append(decoder)

    def close(self) -> None:
        """Ends the processes that nobody uses; who borrows later gets a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for decoder in idle:
            decoder.close()
