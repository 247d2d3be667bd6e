"""Small raw recordings whose pictures and sounds tell the time, and trackers that need no face."""

import os
import signal
import time
import wave
from pathlib import Path

import av
import numpy as np

from mme2e.config import FaceSettings
from mme2e.corpora.utterance import RawCorpus, Utterance
from mme2e.faces.face_crop import FaceCrop, FaceFlag
from mme2e.media.region import Region

FRAME_RATE = 10
LEFT = Region(x_px=0, y_px=0, width_px=48, height_px=64)
RIGHT = Region(x_px=48, y_px=0, width_px=48, height_px=64)
KILLER_GREY = 250


def write_video(path: Path, duration_s: float, first_grey: int = 20) -> Path:
    """96x64 pixels, 10 frames a second; the left half is `first_grey` + 2 a frame, the right half always 200."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FRAME_RATE)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.bit_rate = 2_000_000
        for index in range(round(duration_s * FRAME_RATE)):
            image = np.full((64, 96, 3), min(first_grey + 2 * index, 255), dtype=np.uint8)
            image[:, 48:] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, duration_s: float, channels: int = 2) -> Path:
    """16 kHz; sample i of channel c is i % 1000 + 10000 * c."""
    samples = np.arange(round(duration_s * 16000)) % 1000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.stack([samples + 10000 * c for c in range(channels)], axis=1).astype("<i2").tobytes())
    return path


def utterance(id_: str, recording: str, start_s: float, end_s: float | None, **changes: object) -> Utterance:
    given = {"speaker": "A", "text": f"words of {id_}", "labels": ("sad",), "split": "train", **changes}
    return Utterance(id=id_, recording=recording, start_s=start_s, end_s=end_s, **given)


def corpus(*utterances: Utterance) -> RawCorpus:
    return RawCorpus(name="small", label_names=("happy", "sad"), multi_label=False, utterances=utterances)


def three_recordings(folder: Path) -> RawCorpus:
    """Three recordings of 3 s with two utterances each, one recording a split; files that are there already stay."""
    folder.mkdir(exist_ok=True)
    found = []
    for name, split in (("first", "train"), ("second", "valid"), ("third", "test")):
        video, audio = folder / f"{name}.mp4", folder / f"{name}.wav"
        files = {
            "video": video if video.exists() else write_video(video, 3),
            "audio": audio if audio.exists() else write_sound(audio, 3),
            "region": LEFT,
            "audio_channel": 0,
            "split": split,
        }
        found += [utterance(f"{name}_{i}", name, start_s, start_s + 1.2, **files) for i, start_s in enumerate((0, 1.5))]
    return corpus(*found)


class MeanTracker:
    """Every frame has a face of the frame's mean colour."""

    def crops(self, frames):
        for frame in frames:
            grey = frame.image.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
            yield FaceCrop(
                time_s=frame.requested_s,
                crop=np.broadcast_to(grey, (48, 48, 3)).copy(),
                box=(1.0, 2.0, 3.0, 4.0),
                flag=FaceFlag.DETECTED,
                probability=1.0,
                region=frame.region,
            )


def mean_tracker(_: FaceSettings) -> MeanTracker:
    return MeanTracker()


class SlowTracker(MeanTracker):
    def crops(self, frames):
        for crop in super().crops(frames):
            time.sleep(0.1)
            yield crop


def slow_tracker(_: FaceSettings) -> SlowTracker:
    return SlowTracker()


class KilledTracker(MeanTracker):
    """Dies as by the kernel's out-of-memory killer at the sight of a nearly white picture."""

    def crops(self, frames):
        for crop in super().crops(frames):
            if crop.crop.max() >= KILLER_GREY - 5:
                os.kill(os.getpid(), signal.SIGKILL)
            yield crop


def killed_tracker(_: FaceSettings) -> KilledTracker:
    return KilledTracker()


def dead_on_arrival(_: FaceSettings) -> MeanTracker:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def never(_: FaceSettings) -> MeanTracker:
    raise AssertionError("there was nothing to do")
