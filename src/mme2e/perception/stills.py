"""Still frames in place of a video: the face crops of an interval that comes as image files."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mme2e.errors import MediaError
from mme2e.faces.crop import whole_crop
from mme2e.faces.face_crop import FaceCrop, FaceFlag
from mme2e.media.recording import Interval, ReadSettings, StreamReport
from mme2e.media.region import Region
from mme2e.media.video import Frame, frame_times
from mme2e.perception.decoders import Decoders
from mme2e.perception.observation import Observation, count_frames
from mme2e.perception.perceive import Senses, perceive


def stills_duration_s(images: Sequence[Path], images_per_s: float | None, frame_interval_ms: float) -> float:
    """Seconds that still frames cover; 0 without any."""
    return len(images) * frame_interval_ms / 1000 if images_per_s is None else len(images) / images_per_s


def perceive_stills(
    images: Sequence[Path],
    images_per_s: float | None,
    audio: Path | None,
    interval: Interval,
    settings: ReadSettings,
    senses: Senses,
    *,
    face_crop: bool = False,
) -> Observation:
    """As `perceive`, for one interval whose first image is at its start.

    Without `images_per_s` every image is a photograph of its own and the sampled frame of the time `start_s` + its
    position * the interval, even if that is past the end; a face is looked for in each by itself. With `images_per_s`
    the images are a film: the one nearest to each sampled time is taken, and the face is followed through them.

    Args:
        images: Image files, one or more.
        images_per_s: How many of them make a second.
        audio: File with the audio; None: none is asked for.
        interval: Without an end it ends with the longer one of images and audio.
        settings: How the audio is read, and how often a frame is sampled.
        senses: Decoders and face tracker.
        face_crop: Whether each image is a face crop already: then it is taken whole, and the tracker is not used.

    Returns:
        What was seen and heard. The report of the video names the first image that cannot be read, and says how many
        more there are.
    """
    (heard,) = perceive(None, [audio], [interval], settings, senses)
    start_s, step_ms = interval.start_s, settings.frame_interval_ms
    images_end_s = start_s + stills_duration_s(images, images_per_s, step_ms)
    end_s = max(heard.end_s, images_end_s) if interval.end_s is None else interval.end_s
    chosen = _chosen_images(images, images_per_s, start_s, end_s, step_ms)
    found = _Found()
    frames = senses.stopwatch.each("decode", _readable(chosen, interval.region, senses.decoders, found))
    runs: Iterable[Iterable[Frame]] = ([frame] for frame in frames) if images_per_s is None else [frames]
    faces: list[FaceCrop] = []
    assert senses.tracker is not None
    for run in runs:
        crops = map(_given_crop, run) if face_crop else senses.tracker.crops(run)
        for crop in senses.stopwatch.each("faces", crops):
            x1, y1, x2, y2 = (edge * found.reductions[crop.time_s] for edge in crop.box)
            faces.append(replace(crop, box=(x1, y1, x2, y2)))
    expected = len(chosen) if images_per_s is None else count_frames(start_s, end_s, step_ms)
    end_of_images_s = images_end_s if images_end_s < end_s else None
    return replace(
        heard,
        end_s=end_s,
        open_ended=False,
        faces=tuple(faces),
        frames_expected=expected,
        video_file=images[0],
        of_stills=True,
        video=StreamReport(
            missing=_first_of(found.errors),
            unreadable=bool(found.errors),
            remarks=tuple(filter(None, [_first_of(found.animated)])),
            end_s=end_of_images_s,
        ),
    )


def _chosen_images(
    images: Sequence[Path], images_per_s: float | None, start_s: float, end_s: float, frame_interval_ms: float
) -> list[tuple[float, Path]]:
    """The time and the image of each sampled frame; no frame where the images have ended."""
    if images_per_s is None:
        return [(start_s + i * frame_interval_ms / 1000, image) for i, image in enumerate(images)]
    chosen = []
    for time_s in frame_times(start_s, min(end_s, start_s + len(images) / images_per_s), frame_interval_ms):
        position = (time_s - start_s) * images_per_s
        if position < len(images):
            chosen.append((time_s, images[min(math.floor(position + 0.5), len(images) - 1)]))
    return chosen


def _given_crop(frame: Frame) -> FaceCrop:
    height_px, width_px = frame.image.shape[:2]
    return FaceCrop(
        time_s=frame.requested_s,
        crop=whole_crop(frame.image),
        box=(0.0, 0.0, float(width_px), float(height_px)),
        flag=FaceFlag.GIVEN,
        probability=None,
        region=frame.region,
    )


@dataclass
class _Found:
    """What became known of images while they were read.

    Attributes:
        errors: What is wrong with those that cannot be read.
        animated: A remark on each that is an animation.
        reductions: How much smaller the image of each time is than its file.
    """

    errors: list[str] = field(default_factory=list)
    animated: list[str] = field(default_factory=list)
    reductions: dict[float, int] = field(default_factory=dict)


def _first_of(lines: list[str]) -> str | None:
    others = f", and {len(lines) - 1} more images" if len(lines) > 1 else ""
    return lines[0] + others if lines else None


def _readable(
    chosen: Sequence[tuple[float, Path]], region: Region | None, decoders: Decoders, found: _Found
) -> Iterator[Frame]:
    """The images that can be read."""
    with decoders.borrowed() as decoder:
        images = decoder.read_images([path for _, path in chosen], region)
        for (time_s, path), image in zip(chosen, images, strict=True):
            if isinstance(image, MediaError):
                found.errors.append(str(image).replace(str(path), path.name))
                continue
            if image.animated:
                found.animated.append(f"{path.name} has several images, of which the first is taken")
            found.reductions[time_s] = image.reduction
            yield Frame(time_s=time_s, requested_s=time_s, image=image.pixels)
