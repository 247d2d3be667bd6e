"""Decoding in a child process, so that a file that kills FFmpeg or Pillow costs this file and nothing else.

Both read foreign bytes with C code: a damaged or malicious file can end the process in a segmentation fault, take all
memory or never come back. What opens, probes, samples or listens to a recording, or reads an image, on behalf of
`prepare` and `predict` therefore runs in a process of its own: `DecoderProcess.probe`, `read_recording`, `read_images`
and `read_subtitles` do what the functions of these names do, for one file after the other, and turn the death of the
child, its memory limit and its silence into a `MediaError` that names the file. The next file gets a new child.

The child is started with `subprocess` and not with `multiprocessing`, which would import the caller's main script
again; it imports numpy and av, takes a quarter of a second to start and some 60 MB. It sends arrays as they are in
memory over a pipe (`mme2e.media.wire`) and decodes ahead while its parent is busy.
"""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from mme2e.errors import MediaError
from mme2e.media import wire
from mme2e.media.recording import Interval, ReadSettings, RecordingEvent
from mme2e.media.region import Region
from mme2e.media.subtitles import SubtitleLine, Subtitles
from mme2e.media.video import MediaInfo

if TYPE_CHECKING:
    from mme2e.media.image import StillImage

MEMORY_LIMIT_MB = 4096
"""Ten times what a recording in 4K takes; what takes more is damaged, or made to do harm."""

SILENCE_LIMIT_S = 20.0
"""While it reads packets, a child reports its progress twice a second; while it reads an image, it reports nothing."""

START_LIMIT_S = 120.0
PIPE_BYTES = 1 << 20
IMAGES_AT_ONCE = 256
"""That one request asks for: the child reads ahead while its parent is busy."""

Answer = TypeVar("Answer")


class DecoderProcess:
    """A child process that decodes one recording after the other; for one thread at a time. Close it, or use `with`.

    Args:
        memory_limit_mb: How much memory the child may allocate; 0 is no limit, as is any number on systems without
            such limits.
        silence_limit_s: For how long it may make no progress.
    """

    def __init__(self, *, memory_limit_mb: int = MEMORY_LIMIT_MB, silence_limit_s: float = SILENCE_LIMIT_S) -> None:
        self._memory_limit_mb = memory_limit_mb
        self._silence_limit_s = silence_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize | None = None
        self._busy = False

    def __enter__(self) -> "DecoderProcess":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child, if there is one; another call starts another."""
        if self._end is not None:
            self._end()
        self._process = self._end = None

    def probe(
        self,
        path: Path | str,
        *,
        video_track: int | None = None,
        audio_track: int | None = None,
        square_pixels: bool = True,
    ) -> MediaInfo:
        """As `mme2e.media.video.probe`.

        Raises:
            MediaError: The file cannot be read, or it killed the child.
        """
        settings = {"video_track": video_track, "audio_track": audio_track, "square_pixels": square_pixels}
        found = list(self._ask([path], {"call": "probe", "settings": settings}, wire.media_from))
        if len(found) != 1:
            raise MediaError(f"{path}: the decoder process gave {len(found)} answers")
        return found[0]

    def read_recording(
        self, path: Path | str, intervals: Sequence[Interval], settings: ReadSettings
    ) -> Iterator[RecordingEvent]:
        """As `mme2e.media.recording.read_recording`. An iterator that is closed early ends the child.

        Raises:
            MediaError: The file cannot be read, or it killed the child.
        """
        request = {
            "call": "read_recording",
            "intervals": [wire.fields_of(interval) for interval in intervals],
            "settings": wire.fields_of(settings),
        }
        return self._ask([path], request, wire.event_from)

    def read_images(
        self, paths: Sequence[Path | str], region: Region | None = None
    ) -> Iterator["StillImage | MediaError"]:
        """As `mme2e.media.image.read_image`, for many files. An iterator that is closed early ends the child.

        Yields:
            For each path its image, or why there is none: the file cannot be read, or it killed the child.
        """
        request = {"call": "read_images", "region": None if region is None else wire.fields_of(region)}
        left = list(paths)
        while left:
            asked, done = left[:IMAGES_AT_ONCE], 0
            try:
                for _, image in zip(asked, self._ask(asked, request, wire.image_from), strict=True):
                    done += 1
                    yield image
            except MediaError as error:  # the first that was not answered killed the child
                done += 1
                yield error
            left = left[done:]

    def read_subtitles(self, path: Path | str, track: int | None = None) -> Subtitles:
        """As `mme2e.media.subtitles.read_subtitles`.

        Raises:
            MediaError: The file cannot be read, or it killed the child.
        """
        lines: list[SubtitleLine] = []
        remarks: list[str] = []
        for part in self._ask([path], {"call": "read_subtitles", "track": track}, wire.subtitles_from):
            lines += part.lines
            remarks += part.remarks
        return Subtitles(lines=tuple(lines), remarks=tuple(remarks))

    def _ask(
        self,
        paths: Sequence[Path | str],
        request: dict[str, Any],
        answer_from: Callable[[dict[str, Any], Any], Answer],
    ) -> Iterator[Answer]:
        """Sends a request and yields the answers.

        Args:
            paths: One file; or several, each of which is answered once.
            request: Without the paths.
            answer_from: An answer from header and array of a message.
        """
        path, *following = paths
        if self._busy:
            raise RuntimeError(f"{path}: this decoder process is still reading another recording")
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        finished, self._busy = False, True
        try:
            wire.send(process.stdin, request | {"paths": [str(Path(each).absolute()) for each in paths]})
            while True:
                header, array = _receive(process.stdout, self._silence_limit_s)
                kind = header.get("kind")
                if kind in ("unreadable", "no image"):
                    header["reason"] = str(header.get("reason")).replace(str(Path(path).absolute()), str(path))
                if kind in ("done", "unreadable", "fault"):
                    finished = True
                    break
                if kind == "memory":
                    break
                if kind != "progress":
                    yield answer_from(header, array)
                    path = following.pop(0) if following else path
        except TimeoutError:
            raise MediaError(f"{path}: decoding made no progress for {self._silence_limit_s:g} s") from None
        except (EOFError, BrokenPipeError, wire.WireError) as error:
            raise MediaError(f"{path}: decoding it ended the decoder process ({_death(process)})") from error
        finally:
            self._busy = False
            if not finished:
                self.close()
        if kind == "memory":
            raise MediaError(f"{path}: decoding it takes more than {self._memory_limit_mb} MB of memory")
        if kind == "unreadable":
            raise MediaError(header["reason"])
        if kind == "fault":
            raise RuntimeError(f"the decoder process failed at {path}:\n{header['reason']}")

    def _started(self) -> subprocess.Popen[bytes]:
        """The child, started if there is none."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        package = str(Path(__file__).resolve().parents[2])
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
            "OPENBLAS_NUM_THREADS": "1",  # its threads reserve memory that counts
        }
        # -P: a file av.py in the working folder is not what is meant.
        command = [sys.executable, "-P", "-m", "mme2e.media.decoder_child", str(self._memory_limit_mb)]
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C, which is for the whole terminal, is its parent's business
        )
        self._process, self._end = process, weakref.finalize(self, _end_process, process, os.getpid())
        assert process.stdout is not None
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # fewer changes of process for a frame; it may be forbidden
            with contextlib.suppress(OSError):
                fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            _receive(process.stdout, START_LIMIT_S)
        except (EOFError, TimeoutError, wire.WireError) as error:
            self.close()
            raise RuntimeError(f"the decoder process does not start: {' '.join(command)}") from error
        return process


def _end_process(process: subprocess.Popen[bytes], parent: int) -> None:
    if os.getpid() != parent:  # a fork of the parent forgets what it inherited
        return
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()


def _receive(pipe: IO[bytes], silence_limit_s: float) -> tuple[dict[str, Any], Any]:
    """A message.

    Raises:
        TimeoutError: Nothing came for so long.
    """
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLIN)

    def fill(buffer: memoryview) -> None:
        while buffer:
            if not poll.poll(silence_limit_s * 1000):
                raise TimeoutError
            count = os.readv(pipe.fileno(), [buffer])
            if count == 0:
                raise EOFError
            buffer = buffer[count:]

    return wire.receive(fill)


def _death(process: subprocess.Popen[bytes]) -> str:
    """How a process ended."""
    try:
        status = process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        return "it answers nonsense"
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
