import os
import signal
import subprocess
import sys
import threading

import pytest

from mme2e import interrupts
from mme2e.__main__ import EXIT_INTERRUPTED, run_guarded


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_deferred_interrupt_comes_at_the_end():
    done = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with interrupts.deferred():
            interrupt()
            done.append("all of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["all of the block"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_blocked_interrupt_comes_at_the_end_and_does_not_reach_processes_started_meanwhile():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('lives')"
    printed = []

    def work() -> None:
        with interrupts.blocked():
            interrupt()
            child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            printed.append(child.stdout)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert printed == ["lives\n"]


def test_other_threads_are_not_interrupted():
    seen = []

    def work() -> None:
        with interrupts.deferred(), interrupts.noticed() as interrupted:
            seen.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_what_a_library_makes_of_an_interrupt_is_an_interrupt(capsys):
    def imports() -> int:
        try:
            interrupt()
        except KeyboardInterrupt:
            raise ImportError("PyCapsule_Import could not import module 'datetime'") from None
        raise AssertionError("the interrupt did not come")

    before = signal.getsignal(signal.SIGINT)
    assert run_guarded("mme2e", imports) == EXIT_INTERRUPTED
    assert capsys.readouterr().err == "mme2e: interrupted; what was finished is kept\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_the_same_error_without_an_interrupt_keeps_its_traceback():
    def imports() -> int:
        raise ImportError("no module named x")

    with pytest.raises(ImportError, match="no module named x"):
        run_guarded("mme2e", imports)
