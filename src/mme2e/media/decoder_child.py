"""The process that decodes: `python -m mme2e.media.decoder_child MEMORY_LIMIT_MB`, started by `DecoderProcess`.

It imports numpy and av only, and Pillow once it is asked for images; it reads requests from its standard input, answers
on its standard output, and ends when its standard input does.
"""

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from mme2e.errors import MediaError
from mme2e.media import wire
from mme2e.media.recording import ReadSettings, read_recording
from mme2e.media.subtitles import read_subtitles
from mme2e.media.video import probe

PROGRESS_EVERY_S = 0.5


def main(memory_limit_mb: int) -> None:
    """Answers requests until the parent closes the pipe."""
    # What prints to standard output, a library say, must not end up between messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if memory_limit_mb:
        _limit_memory(memory_limit_mb)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    on_packet = _progress(answers)
    wire.send(answers, {"kind": "ready"})
    while True:
        request = requests.get()
        try:
            for header, array in _answers(request, on_packet):
                wire.send(answers, header, array)
            wire.send(answers, {"kind": "done"})
        except MediaError as error:
            wire.send(answers, {"kind": "unreadable", "reason": str(error)})
        except MemoryError:  # the parent ends this process: there may not be enough left for another file
            wire.send(answers, {"kind": "memory"})
        except BrokenPipeError:
            return
        except Exception:  # a fault of this program: the parent raises it
            wire.send(answers, {"kind": "fault", "reason": traceback.format_exc()})


def _limit_memory(limit_mb: int) -> None:
    import resource

    # What is allocated, and not all of the address space: libraries reserve of that what they never use.
    _, highest = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit_mb << 20 if highest == resource.RLIM_INFINITY else min(limit_mb << 20, highest)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


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


def _answers(request: dict[str, Any], on_packet: Callable[[], None]) -> Iterator[tuple[dict[str, Any], Any]]:
    if request["call"] == "read_images":
        yield from _images(request)
        return
    (path,) = request["paths"]
    if request["call"] == "probe":
        yield {"kind": "media", "fields": wire.fields_of(probe(path, **request["settings"]))}, None
        return
    if request["call"] == "read_subtitles":
        subtitles = read_subtitles(path, request["track"], on_packet=on_packet)
        yield from ((header, None) for header in wire.subtitle_messages(subtitles))
        return
    intervals = [wire.interval_from(fields) for fields in request["intervals"]]
    settings = ReadSettings(**request["settings"])
    for event in read_recording(path, intervals, settings, on_packet=on_packet):
        yield wire.message_of(event)


def _images(request: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    from mme2e.media.image import read_image

    region = wire.region_from(request["region"])
    for path in request["paths"]:
        try:
            image = read_image(Path(path), region)
        except MediaError as error:
            yield {"kind": "no image", "reason": str(error)}, None
        else:
            yield {"kind": "image", "fields": wire.fields_of(image)}, image.pixels


def _progress(answers: IO[bytes]) -> Callable[[], None]:
    """Reports to the parent, at most once in a while, that packets are still coming."""
    last_s = time.monotonic()

    def on_packet() -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s > PROGRESS_EVERY_S:
            last_s = now_s
            wire.send(answers, {"kind": "progress"})

    return on_packet


if __name__ == "__main__":
    main(int(sys.argv[1]))
