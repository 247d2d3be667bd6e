"""The process that decodes: `python -m mme2e.media.decoder_child MEMORY_LIMIT_MB`, started by `DecoderProcess`.

It imports numpy and av only, reads requests from its standard input, answers on its standard output, and ends when its
standard input does. Ctrl-C is its parent's business.
"""

import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np

from mme2e.errors import MediaError
from mme2e.media import wire
from mme2e.media.recording import ReadSettings, read_recording
from mme2e.media.video import probe


def main(memory_limit_mb: int) -> None:
    """Answers requests until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What prints to standard output, a library say, must not end up between messages.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    if memory_limit_mb:
        _limit_memory(memory_limit_mb)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    wire.send(answers, {"kind": "ready"})
    while True:
        request = requests.get()
        try:
            for header, array in _answers(request):
                wire.send(answers, header, array)
            wire.send(answers, {"kind": "done"})
        except MediaError as error:
            wire.send(answers, {"kind": "unreadable", "reason": str(error)})
        except MemoryError:
            wire.send(answers, {"kind": "memory"})
        except BrokenPipeError:
            return
        except Exception:  # a fault of this program: the parent raises it
            wire.send(answers, {"kind": "fault", "reason": traceback.format_exc()})


def _limit_memory(limit_mb: int) -> None:
    import resource

    # What is allocated, and not all of the address space: libraries reserve of that what they never use.
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mb << 20, limit_mb << 20))


def _listen(requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Puts requests into a queue; ends the process with its parent, even while a file is being decoded."""
    pipe = os.fdopen(os.dup(0), "rb")

    def fill(buffer: memoryview) -> None:
        if pipe.readinto(buffer) < len(buffer):
            raise EOFError

    try:
        while True:
            requests.put(wire.receive(fill)[0])
    except (EOFError, OSError, wire.WireError):
        os._exit(0)


def _answers(request: dict[str, Any]) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
    if request["call"] == "probe":
        yield {"kind": "media", "fields": wire.fields_of(probe(request["path"]))}, None
        return
    intervals = [wire.interval_from(fields) for fields in request["intervals"]]
    for event in read_recording(request["path"], intervals, ReadSettings(**request["settings"])):
        yield wire.message_of(event)


if __name__ == "__main__":
    main(int(sys.argv[1]))
