"""Face crops of utterances that come as still frames in place of a video."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from mme2e.corpora.utterance import Utterance
from mme2e.errors import MediaError
from mme2e.media.image import read_image
from mme2e.media.region import Region
from mme2e.media.video import Frame, frame_times
from mme2e.preparation.pictures import Picture, Tracker, encode_png
from mme2e.preparation.stopwatch import Stopwatch


def stills_duration_s(utterance: Utterance, frame_interval_ms: float) -> float:
    """Seconds that the still frames of an utterance cover; 0 without any."""
    if utterance.images_per_s is None:
        return len(utterance.images) * frame_interval_ms / 1000
    return len(utterance.images) / utterance.images_per_s


def still_picture(
    utterance: Utterance, end_s: float, frame_interval_ms: float, tracker: Tracker, stopwatch: Stopwatch
) -> Picture:
    """Finds the face in the still frames of one utterance.

    Without `images_per_s` every image is a photograph of its own and the sampled frame of the time `start_s` + its
    position * the interval, even if that is past the end; a face is looked for in each by itself. With `images_per_s`
    the images are a film: the one nearest to each sampled time is taken, and the face is followed through them.

    Args:
        utterance: One with images, the first of them at its start.
        end_s: End of the utterance.
        frame_interval_ms: Time between two sampled frames.
        tracker: Finds the faces.
        stopwatch: Counts the stages "decode", "faces" and "encode".

    Returns:
        The crops; `error` names the first image that cannot be read, and says how many more there are.
    """
    chosen = _chosen_images(utterance, end_s, frame_interval_ms)
    wanted = len(frame_times(utterance.start_s, end_s, frame_interval_ms)) if utterance.images_per_s else len(chosen)
    errors: list[str] = []
    reductions: dict[float, int] = {}
    frames = stopwatch.each("decode", _readable(chosen, utterance.region, errors, reductions))
    runs: Iterable[Iterable[Frame]] = ([frame] for frame in frames) if utterance.images_per_s is None else [frames]
    picture = Picture(wanted=wanted)
    for run in runs:
        for crop in stopwatch.each("faces", tracker.crops(run)):
            with stopwatch.stage("encode"):
                x1, y1, x2, y2 = (edge * reductions[crop.time_s] for edge in crop.box)
                picture.add(replace(crop, box=(x1, y1, x2, y2)), encode_png(crop.crop))
    if not errors:
        return picture
    others = f", and {len(errors) - 1} more images" if len(errors) > 1 else ""
    return replace(picture, error=errors[0] + others)


def _chosen_images(utterance: Utterance, end_s: float, frame_interval_ms: float) -> list[tuple[float, Path]]:
    """The time and the image of each sampled frame; no frame where the images have ended."""
    images, start_s = utterance.images, utterance.start_s
    if utterance.images_per_s is None:
        return [(start_s + i * frame_interval_ms / 1000, image) for i, image in enumerate(images)]
    chosen = []
    for time_s in frame_times(start_s, end_s, frame_interval_ms):
        position = (time_s - start_s) * utterance.images_per_s
        if position < len(images):
            chosen.append((time_s, images[min(math.floor(position + 0.5), len(images) - 1)]))
    return chosen


def _readable(
    chosen: Iterable[tuple[float, Path]], region: Region | None, errors: list[str], reductions: dict[float, int]
) -> Iterator[Frame]:
    """The images that can be read; what is wrong with the others is added to `errors`.

    `reductions` gets how much smaller the image of each time is than its file.
    """
    for time_s, path in chosen:
        try:
            image = read_image(path, region)
        except MediaError as error:
            errors.append(str(error).replace(str(path), path.name))
        else:
            reductions[time_s] = image.reduction
            yield Frame(time_s=time_s, requested_s=time_s, image=image.pixels)
