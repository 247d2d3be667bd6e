"""Recordings for the benchmarks of preparation: some seconds of the generated sample corpus, repeated to any length.

Packets are only copied, so that an hour of video takes seconds to write.
"""

import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from mme2e.config import SampleSettings
from mme2e.corpora.readers import read_corpus
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.generated.writer import sample

FRAME_RATE = 30
ONCE_S = 30
TURN_S = 4.0
Layout = Literal["iemocap", "mosei"]


@dataclass(frozen=True, kw_only=True)
class Codec:
    """How a corpus' videos are encoded."""

    name: str
    suffix: str
    key_spacing: int
    b_frames: int
    options: dict[str, str]


CODECS = {
    "iemocap": Codec(name="mpeg4", suffix=".avi", key_spacing=12, b_frames=0, options={}),
    # As a video portal encodes: a key frame every 5 s, and B-frames between the others.
    "mosei": Codec(
        name="libx264",
        suffix=".mp4",
        key_spacing=150,
        b_frames=3,
        options={"preset": "veryfast", "x264-params": "bframes=3"},
    ),
}


class Recordings:
    """Makes recordings like those of a corpus, at 30 frames a second as the real ones.

    Args:
        folder: Where to write.
        layout: "iemocap": 720x480, MPEG-4, two people side by side, who take turns; "mosei": 480x360, H.264, one.
        key_spacing: Frames from one key frame to the next; None as `CODECS` has it.
    """

    def __init__(self, folder: Path, layout: Layout, key_spacing: int | None = None) -> None:
        self.folder = folder
        self.layout = layout
        self.codec = CODECS[layout]
        if key_spacing is not None:
            self.codec = replace(self.codec, key_spacing=key_spacing)
        folder.mkdir(parents=True, exist_ok=True)
        raw = folder / "sample"
        if not raw.exists():
            sample(raw, SampleSettings(layout=layout, utterances=10))
        self.sample = read_corpus(layout, raw)
        first = self.sample.utterances[0]
        self._speakers = list({u.region: u for u in self.sample.utterances if u.recording == first.recording}.values())
        assert first.video is not None
        assert first.audio is not None
        self._sound = first.audio
        self._once = folder / f"once{self.codec.suffix}"
        if not self._once.exists():
            self._encode_once(first.video)

    def corpus(
        self, seconds: float, *, recordings: int = 1, intervals_s: list[tuple[float, float]] | None = None
    ) -> RawCorpus:
        """Recordings of this length whose utterances are `intervals_s`; without them turns of 4 s, one on the other."""
        if intervals_s is None:
            intervals_s = [
                (start_s, min(start_s + TURN_S, seconds)) for start_s in np.arange(0, seconds, TURN_S).tolist()
            ]
        found: list[Utterance] = []
        for number in range(recordings):
            video, sound = self._repeat(seconds, number)
            files: dict[str, Any] = {"recording": f"r{number}", "video": video, "audio": sound, "split": "train"}
            for speaker, (start_s, end_s) in zip(cycle(self._speakers), intervals_s, strict=False):
                id_ = f"r{number}_{start_s:g}"
                found.append(replace(speaker, id=id_, start_s=start_s, end_s=end_s, text="some words", **files))
        return replace(self.sample, utterances=tuple(found), skipped=())

    def _encode_once(self, source: Path) -> None:
        codec = self.codec
        with av.open(str(source)) as old, av.open(str(self._once), "w") as new:
            frames = list(old.decode(video=0))
            rate = float(old.streams.video[0].average_rate or FRAME_RATE)
            stream: Any = new.add_stream(codec.name, rate=FRAME_RATE, options=codec.options)
            stream.bit_rate, stream.gop_size = 600_000, codec.key_spacing
            stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
            stream.codec_context.max_b_frames = codec.b_frames
            for index in range(ONCE_S * FRAME_RATE):
                picture = frames[round(index * rate / FRAME_RATE) % len(frames)].reformat(format="yuv420p")
                picture.pts, picture.time_base = index, Fraction(1, FRAME_RATE)
                new.mux(stream.encode(picture))
            new.mux(stream.encode(None))

    def _repeat(self, seconds: float, number: int) -> tuple[Path, Path]:
        video = self.folder / f"{seconds:g}s_{number}{self._once.suffix}"
        sound = video.with_suffix(".wav")
        if not sound.exists():
            with av.open(str(video), "w") as new:
                stream: Any = None
                for packet in self._packets(seconds):
                    stream = stream or new.add_stream_from_template(packet.stream)
                    packet.stream = stream
                    new.mux(packet)
            self._repeat_sound(sound, seconds)
        return video, sound

    def _packets(self, seconds: float) -> Iterator[Any]:
        for repetition in range(-(-int(seconds) // ONCE_S)):
            with av.open(str(self._once)) as old:
                for packet in old.demux(old.streams.video[0]):
                    if packet.pts is None or packet.dts is None:
                        continue
                    offset = round(repetition * ONCE_S / packet.time_base)
                    if (packet.dts + offset) * packet.time_base >= seconds:
                        return
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    yield packet

    def _repeat_sound(self, path: Path, seconds: float) -> None:
        with wave.open(str(self._sound)) as old, wave.open(str(path), "wb") as new:
            once = old.readframes(old.getnframes())
            new.setparams(old.getparams())
            left = round(seconds * old.getframerate()) * old.getnchannels() * old.getsampwidth()
            while left > 0:
                new.writeframes(once[:left])
                left -= len(once)
