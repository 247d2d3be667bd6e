"""Ctrl-C where it would do harm: while processes start, and while modules are imported."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the `with` block.

    For imports, too: compiled modules turn an interrupt into an `ImportError` of their own.
    """
    if threading.current_thread() is not threading.main_thread():  # others are not interrupted
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(*came[0])


@contextmanager
def blocked() -> Iterator[None]:
    """Processes started within the `with` block are never reached by Ctrl-C, which is for the whole terminal.

    They inherit that from this thread. In this process Ctrl-C takes effect at the end of the block: the mask is of one
    thread, and the system may hand the signal to another one.
    """
    with deferred():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def noticed() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C has come within the `with` block, where it has its usual effect."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return
    came: list[int] = []

    def notice(number: int, frame: FrameType | None) -> None:
        came.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, notice)
    try:
        yield lambda: bool(came)
    finally:
        if signal.getsignal(signal.SIGINT) is notice:
            signal.signal(signal.SIGINT, before)
