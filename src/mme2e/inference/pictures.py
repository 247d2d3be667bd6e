"""What MESM looked at, as a picture: face crops and spectrogram, with what each stage dropped darkened.

The idea is that of the case study figure in Dai et al. 2021.
"""

import textwrap
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mme2e.atomic import replacing
from mme2e.data.batch import Batch
from mme2e.errors import UserError
from mme2e.inference.batching import Inference
from mme2e.inference.overlays import (
    DYNAMIC_RANGE_DB,
    band_of_frequency,
    beside,
    darken,
    decibels,
    face_images,
    mel_colours,
    mel_image,
)
from mme2e.inference.refusals import check_picture
from mme2e.inference.result import Emotion, EmotionResult
from mme2e.inference.selected_sites import SelectedSites, StageSelection
from mme2e.media.audio import SAMPLE_RATE_HZ
from mme2e.media.mel import CHUNK_SAMPLES
from mme2e.perception.observation import Observation

CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE_HZ
MAX_FRAMES = 10
"""Most frames that are drawn; of more, some are chosen at even distances."""

MAX_WORD_LINES = 3

EXPLANATION = "Each stage keeps the fewest sites that hold the share p of the text's attention; only these go on."

# Inches.
_WIDTH, _LEFT, _RIGHT, _MARGIN = 12.0, 2.0, 1.0, 0.15
_LINE, _HEADING, _GAP = 0.24, 0.45, 0.07
_FACE, _FACE_AXIS = 1.15, 0.3
_SOUND_ROW, _SOUND_AXIS, _WIDEST_CHUNK = 0.95, 0.5, 2.0
_FREQUENCIES_KHZ = (0.5, 1, 2, 4)
_INCHES_PER_TIME = 0.5
"""Least distance of two chunk times on the axis."""

_DRAWING = threading.Lock()
"""Matplotlib is for one thread at a time."""


@dataclass(frozen=True, kw_only=True)
class Caption:
    """What is written on the picture of an utterance.

    Attributes:
        source: File name, or the utterance's id.
        start_s: Start of the utterance in its recording, seconds.
        end_s: Its end, seconds.
        text: What is said; None when not known.
        emotions: What the model says.
        labels: The emotions that it was labelled with; None when not known.
        frame_times_s: Of each face crop, in the recording, seconds.
        missing: "visual" or "acoustic" -> why it could not be used.
    """

    source: str
    start_s: float
    end_s: float
    text: str | None
    emotions: tuple[Emotion, ...]
    labels: tuple[str, ...] | None = None
    frame_times_s: tuple[float, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)


def draw_selection(path: Path, *, sites: SelectedSites, batch: Batch, caption: Caption) -> None:
    """Draws which sites of its face crops and mel chunks were kept, and writes the picture atomically.

    Args:
        path: File to write: PNG, SVG or PDF, by its suffix.
        sites: What `selected_sites` returns for `batch`.
        batch: A single utterance, with the mel chunks that `sites` is about.
        caption: What is written on it.

    Raises:
        UserError: The file cannot be written.
        ValueError: The batch is not one utterance, or the times are not those of its frames.
    """
    check_picture(path)
    if len(batch) != 1:
        raise ValueError(f"a picture shows one utterance, not {len(batch)}")
    if sites.visual is not None and len(caption.frame_times_s) != len(sites.visual[0].kept):
        frames = len(sites.visual[0].kept)
        raise ValueError(f"{len(caption.frame_times_s)} frame_times_s do not fit {frames} face crops")
    try:
        with _DRAWING, replacing(path) as temporary:
            figure = selection_figure(sites=sites, batch=batch, caption=caption)
            figure.savefig(temporary, format=path.suffix[1:].lower())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


def draw_prediction(path: Path, *, observation: Observation, inference: Inference, result: EmotionResult) -> None:
    """Draws what MESM kept of a stretch of a recording; see `draw_selection`.

    Args:
        path: File to write: PNG, SVG or PDF, by its suffix.
        observation: What was perceived.
        inference: Of that observation, with its trace.
        result: Of both.

    Raises:
        UserError: The file cannot be written.
        ValueError: The inference has no trace.
    """
    if inference.sites is None:
        raise ValueError("the inference has no trace of what was selected: call infer with trace=True")
    caption = Caption(
        source=result.source,
        start_s=result.start_s,
        end_s=result.end_s,
        text=inference.text,
        emotions=result.emotions,
        frame_times_s=tuple(face.time_s for face in observation.faces) if "visual" in result.used else (),
        missing=result.missing,
    )
    draw_selection(path, sites=inference.sites, batch=inference.batch, caption=caption)


def selection_figure(*, sites: SelectedSites, batch: Batch, caption: Caption) -> Figure:
    """The picture as a figure; arguments as in `draw_selection`."""
    lines = _lines(caption)
    heights = [_MARGIN + _LINE * len(lines), _face_panel_height(sites, caption), _sound_panel_height(sites)]
    figure = Figure(figsize=(_WIDTH, sum(heights) + _MARGIN), dpi=150)
    page = _Page(figure)
    page.down = _MARGIN
    for number, line in enumerate(lines):
        page.text(_MARGIN, line, size=13 if number == 0 else 10.5, weight="bold" if number == 0 else "normal")
        page.down += _LINE
    _draw_faces(page, sites.visual, batch, caption)
    _draw_audio(page, sites.acoustic, batch, caption)
    return figure


class _Page:
    """A figure that is filled from top to bottom, measured in inches."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.width, self.height = (float(inches) for inches in figure.get_size_inches())
        self.down = 0.0

    def text(self, left: float, words: str, *, size: float = 10, weight: str = "normal") -> None:
        """Writes with the top at the present height; never as mathematics, for people do say `$`."""
        self.figure.text(
            left / self.width, 1 - self.down / self.height, words,
            size=size, weight=weight, va="top", parse_math=False,
        )  # fmt: skip

    def axes(self, left: float, width: float, height: float) -> Axes:
        """Axes with the top at the present height."""
        bottom = self.height - self.down - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))


def _lines(caption: Caption) -> list[str]:
    """What stands above the panels."""
    lines = [f"{_shortened(caption.source, 70)}, {caption.start_s:.2f} s to {caption.end_s:.2f} s"]
    words = " ".join((caption.text or "").split())
    if words:
        lines += textwrap.wrap(f'"{words}"', 115, max_lines=MAX_WORD_LINES, placeholder=' ..."')
    else:
        lines.append("no text")
    present = ", ".join(emotion.name for emotion in caption.emotions if emotion.present) or "none"
    falling = sorted(caption.emotions, key=lambda emotion: -emotion.probability)
    shown = f"recognised: {present}"
    if caption.labels is not None:
        shown += f"; labelled: {', '.join(caption.labels) or 'none'}"
    # Spaces that do not break keep a name and its number on one line.
    probabilities = ", ".join(f"{emotion.name}\u00a0{emotion.probability:.2f}" for emotion in falling)
    return [*lines, shown, *textwrap.wrap(f"probabilities: {probabilities}", 115), EXPLANATION]


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _face_panel_height(sites: SelectedSites, caption: Caption) -> float:
    if sites.visual is None:
        return _HEADING
    size = _face_size(min(MAX_FRAMES, len(caption.frame_times_s)))
    return _HEADING + (1 + len(sites.visual)) * (size + _GAP) + _FACE_AXIS


def _sound_panel_height(sites: SelectedSites) -> float:
    if sites.acoustic is None:
        return _HEADING
    return _HEADING + (1 + len(sites.acoustic)) * (_SOUND_ROW + _GAP) + _SOUND_AXIS


def _face_size(columns: int) -> float:
    """Side of a drawn crop, inches."""
    return min(_FACE, (_WIDTH - _LEFT - _RIGHT + _GAP) / columns - _GAP)


def _draw_faces(page: _Page, stages: tuple[StageSelection, ...] | None, batch: Batch, caption: Caption) -> None:
    if stages is None or batch.face_crops is None:
        _heading(page, f"No face crops: {caption.missing.get('visual', 'no face was seen in the utterance')}")
        return
    total = len(batch.face_crops.values)
    shown = np.unique(np.linspace(0, total - 1, min(total, MAX_FRAMES)).round().astype(int))
    chosen = "" if len(shown) == total else f" ({len(shown)} of {total}, evenly spaced)"
    _heading(page, f"Face crops{chosen}: clear sites were kept, dark sites were dropped")
    images = face_images(batch.face_crops.values.cpu().numpy()[shown])
    size = _face_size(len(shown))
    for number, stage in enumerate((None, *stages)):
        _row_label(page, number, stage, size)
        for column, (frame, image) in enumerate(zip(shown, images, strict=True)):
            axes = page.axes(_LEFT + column * (size + _GAP), size, size)
            axes.imshow(image if stage is None else darken(image, stage.kept[frame]), interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if number == len(stages):
                axes.set_xlabel(f"{caption.frame_times_s[frame]:.2f} s", size=9)
        page.down += size + _GAP
    page.text(_MARGIN, "time in the recording", size=9)
    page.down += _FACE_AXIS


def _draw_audio(page: _Page, stages: tuple[StageSelection, ...] | None, batch: Batch, caption: Caption) -> None:
    if stages is None or batch.mel_chunks is None:
        _heading(page, f"No audio: {caption.missing.get('acoustic', 'the utterance has none')}")
        return
    chunks = len(batch.mel_chunks.values)
    _heading(
        page,
        f"Mel spectrogram, {chunks} {'chunk' if chunks == 1 else 'chunks'} of {CHUNK_S} s: "
        "clear sites were kept, dark sites were dropped",
    )
    image = mel_image(decibels(batch.mel_chunks.values.cpu().numpy()))
    width = min(_WIDTH - _LEFT - _RIGHT, chunks * _WIDEST_CHUNK)
    for number, stage in enumerate((None, *stages)):
        _row_label(page, number, stage, _SOUND_ROW)
        axes = page.axes(_LEFT, width, _SOUND_ROW)
        _draw_spectrogram(axes, image if stage is None else darken(image, beside(stage.kept)), chunks)
        if stage is None:
            _draw_colour_bar(page, _LEFT + width + 0.1)
        page.down += _SOUND_ROW + _GAP
    every = max(1, int(np.ceil(chunks * _INCHES_PER_TIME / width)))
    borders = range(0, chunks + 1, every)
    axes.set_xticks(list(borders), [f"{caption.start_s + border * CHUNK_S:.2f}" for border in borders])
    axes.tick_params(axis="x", bottom=True, labelsize=9)
    axes.set_xlabel("time in the recording (s)", size=9)


def _draw_spectrogram(axes: Axes, image: np.ndarray, chunks: int) -> None:
    """Time in chunks to the right, mel bands upwards."""
    bands = image.shape[0]
    axes.imshow(image, origin="lower", aspect="auto", interpolation="nearest", extent=(0, chunks, -0.5, bands - 0.5))
    axes.vlines(range(1, chunks), -0.5, bands - 0.5, color="white", linewidth=0.8 if chunks <= 40 else 0.3)
    axes.set_xticks([])
    axes.set_yticks(
        [band_of_frequency(1000 * khz) for khz in _FREQUENCIES_KHZ], [f"{khz:g}" for khz in _FREQUENCIES_KHZ]
    )
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylabel("frequency (kHz)", size=7)


def _draw_colour_bar(page: _Page, left: float) -> None:
    axes = page.axes(left, 0.12, _SOUND_ROW)
    scale = ScalarMappable(Normalize(-DYNAMIC_RANGE_DB, 0), mel_colours())
    bar = page.figure.colorbar(scale, cax=axes, ticks=[-DYNAMIC_RANGE_DB, -DYNAMIC_RANGE_DB / 2, 0])
    bar.set_label("power (dB)", size=8)
    bar.ax.tick_params(labelsize=8)


def _heading(page: _Page, words: str) -> None:
    page.down += 0.14
    page.text(_MARGIN, words, size=11, weight="bold")
    page.down += _HEADING - 0.14


def _row_label(page: _Page, number: int, stage: StageSelection | None, height: float) -> None:
    """At the left of a row, in its middle: what it shows."""
    lines = ["input"]
    if stage is not None:
        rows, columns = stage.kept.shape[1:]
        # Of all maps, those that are not drawn included.
        kept = f"kept {100 * stage.kept_share:.{0 if stage.kept_share >= 0.01 else 1}f} %"
        lines = [f"stage {number}", f"{rows} x {columns} sites", f"p = {stage.top_p:.2f}", kept]
    middle = 1 - (page.down + height / 2) / page.height
    page.figure.text(_MARGIN / page.width, middle, "\n".join(lines), size=10, va="center", linespacing=1.3)
