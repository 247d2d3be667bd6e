"""How a decoder process and its parent talk: a JSON header and raw bytes. Nothing is pickled.

A message is the length of the header (4 bytes, big endian), the header (JSON in ASCII) and, where the header has an
`array` with dtype and shape, the bytes of that array. Both ends refuse what is larger than a message can honestly be:
the process at the other end of the pipe decodes foreign bytes.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from mme2e.errors import MediaError
from mme2e.media.glance import Glance
from mme2e.media.recording import Interval, IntervalEnd, RecordingEvent, StreamReport
from mme2e.media.region import Region
from mme2e.media.subtitles import SubtitleLine, Subtitles
from mme2e.media.video import Frame, MediaInfo

if TYPE_CHECKING:
    from mme2e.media.image import StillImage

MOST_HEADER_BYTES = 1 << 24  # a list of all utterances of a long recording takes a hundredth of it
MOST_ARRAY_BYTES = 1 << 32
LINES_AT_ONCE = 64
"""Of subtitles in a message: with the longest ones it is within `MOST_HEADER_BYTES`."""

_DTYPES = {"uint8": np.uint8, "int16": np.int16}


class WireError(Exception):
    """What came over the pipe is no message."""


def send(pipe: IO[bytes], header: dict[str, Any], array: np.ndarray | None = None) -> None:
    """Writes a message; `array` is uint8 or int16."""
    if array is not None:
        header = header | {"array": [str(array.dtype), list(array.shape)]}
    data = json.dumps(header).encode("ascii")
    pipe.write(len(data).to_bytes(4, "big") + data)
    if array is not None and array.size:
        pipe.write(np.ascontiguousarray(array).data.cast("B"))
    pipe.flush()


def receive(read_into: Callable[[memoryview], None]) -> tuple[dict[str, Any], np.ndarray | None]:
    """Reads a message.

    Args:
        read_into: Fills a buffer from the pipe to its last byte, or raises `EOFError`.

    Raises:
        EOFError: The other end has closed the pipe.
        WireError: What came is no message.
    """
    length = int.from_bytes(_take(read_into, 4), "big")
    if length > MOST_HEADER_BYTES:
        raise WireError(f"a header of {length} bytes")
    try:
        header = json.loads(_take(read_into, length))
    except ValueError as error:
        raise WireError(str(error)) from error
    if not isinstance(header, dict):
        raise WireError("a header that is no object")
    if "array" not in header:
        return header, None
    match header.pop("array"):
        case [("uint8" | "int16") as name, [*shape]] if all(isinstance(side, int) and side >= 0 for side in shape):
            if math.prod(shape) * np.dtype(_DTYPES[name]).itemsize > MOST_ARRAY_BYTES:
                raise WireError(f"an array of {name} {shape}")
        case other:
            raise WireError(f"an array of {other}")
    array = np.empty(shape, dtype=_DTYPES[name])
    if array.size:
        read_into(array.data.cast("B"))
    return header, array


def _take(read_into: Callable[[memoryview], None], size: int) -> bytes:
    buffer = bytearray(size)
    read_into(memoryview(buffer))
    return bytes(buffer)


def fields_of(record: Any) -> dict[str, Any]:
    """A dataclass as JSON has it; arrays travel beside the header."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {
        name: fields_of(value) if dataclasses.is_dataclass(value) else value
        for name, value in fields.items()
        if not isinstance(value, np.ndarray)
    }


def interval_from(fields: dict[str, Any]) -> Interval:
    """What `fields_of` made of an interval."""
    return Interval(**fields | {"region": region_from(fields["region"])})


def message_of(event: RecordingEvent) -> tuple[dict[str, Any], np.ndarray]:
    """Header and array of an event."""
    if isinstance(event, Frame):
        return {"kind": "frame", "fields": fields_of(event)}, event.image
    if isinstance(event, Glance):
        return {"kind": "glance", "fields": fields_of(event)}, event.image
    return {"kind": "end", "fields": fields_of(event)}, event.samples


def media_from(header: dict[str, Any], array: np.ndarray | None) -> MediaInfo:
    """What a file holds, from the fields of a message.

    Raises:
        WireError: It is none.
    """
    try:
        return MediaInfo(**header["fields"])
    except (KeyError, TypeError) as error:
        raise WireError(f"a message of kind {header.get('kind')}: {error}") from error


def subtitle_messages(subtitles: Subtitles) -> Iterator[dict[str, Any]]:
    """Headers that hold a subtitle track, some lines each."""
    for first in range(0, len(subtitles.lines), LINES_AT_ONCE):
        lines = subtitles.lines[first : first + LINES_AT_ONCE]
        yield {"kind": "subtitles", "lines": [fields_of(line) for line in lines], "remarks": []}
    yield {"kind": "subtitles", "lines": [], "remarks": list(subtitles.remarks)}


def subtitles_from(header: dict[str, Any], array: np.ndarray | None) -> Subtitles:
    """A part of a subtitle track, from a message.

    Raises:
        WireError: It is none.
    """
    try:
        lines = tuple(SubtitleLine(**fields) for fields in header["lines"])
        return Subtitles(lines=lines, remarks=tuple(header["remarks"]))
    except (KeyError, TypeError) as error:
        raise WireError(f"a message of kind {header.get('kind')}: {error}") from error


def image_from(header: dict[str, Any], array: np.ndarray | None) -> "StillImage | MediaError":
    """An image, or why there is none, from a message.

    Raises:
        WireError: It is neither.
    """
    from mme2e.media.image import StillImage  # not for those who read no images: it imports Pillow

    try:
        if header["kind"] == "no image":
            return MediaError(header["reason"])
        if header["kind"] != "image" or array is None or array.dtype != np.uint8 or array.ndim != 3:
            raise WireError(f"a message of kind {header['kind']}")
        return StillImage(**header["fields"], pixels=array)
    except (KeyError, TypeError) as error:
        raise WireError(f"a message of kind {header.get('kind')}: {error}") from error


def event_from(header: dict[str, Any], array: np.ndarray | None) -> RecordingEvent:
    """What `message_of` made of an event.

    Raises:
        WireError: It is none.
    """
    fields = header.get("fields")
    if not isinstance(fields, dict) or array is None:
        raise WireError(f"a message of kind {header.get('kind')}")
    try:
        if header["kind"] == "frame":
            region, intervals = region_from(fields.pop("region")), tuple(fields.pop("intervals"))
            return Frame(**fields, region=region, intervals=intervals, image=array)
        if header["kind"] == "glance":
            if array.dtype != np.uint8 or array.ndim != 2:
                raise WireError(f"a glance of {array.dtype} {array.shape}")
            return Glance(**fields, image=array)
        video, audio = _report_from(fields.pop("video")), _report_from(fields.pop("audio"))
        return IntervalEnd(**fields, video=video, audio=audio, samples=array)
    except (KeyError, TypeError) as error:
        raise WireError(f"a message of kind {header['kind']}: {error}") from error


def region_from(fields: dict[str, Any] | None) -> Region | None:
    """What `fields_of` made of a region."""
    return None if fields is None else Region(**fields)


def _report_from(fields: dict[str, Any]) -> StreamReport:
    return StreamReport(**fields | {"remarks": tuple(fields["remarks"])})
