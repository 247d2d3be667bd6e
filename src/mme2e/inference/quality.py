"""What lowers the quality of a segment: of its faces, and of its audio."""

from collections.abc import Sequence

import numpy as np

from mme2e.faces.face_crop import FACE_SIZE_PX, LUMA, FaceCrop

DARK = 50.0
"""Mean brightness of face crops, of 255, below which the light is called low."""

BLURRED = 100.0
"""Of a crop, as `sharpness` gives it, below which it is called blurred. Of 150 photographs of faces 95 % have more than
290; blurred by a Gaussian of 3 % of their width, 95 % have less than 90."""

SILENT_DB = -60.0
"""Level of the loudest tenth of a second, of full scale, below which audio is silence."""

CLIPPED_SHARE = 0.002
"""Share of samples at full scale from which audio is called clipped."""

FULL_SCALE = 32_700

NOISY_DB = 11.0
"""Distance of loud and quiet frames (90th and 5th percentile) below which audio is called noisy. Of clean sentences
95 % have more than 12.6 dB; with white noise at a signal-to-noise ratio of 5 dB, 95 % have less than 10.4 dB."""

_FRAME_SAMPLES = 800  # 50 ms


def face_flags(faces: Sequence[FaceCrop]) -> list[str]:
    """Flags of the faces that were read.

    Args:
        faces: Of one person; empty where no face was seen.
    """
    if not faces:
        return ["no face"]
    sides = [min(face.box[2] - face.box[0], face.box[3] - face.box[1]) for face in faces]
    grey = np.stack([face.crop for face in faces]).astype(np.float32) @ np.array(LUMA, dtype=np.float32)
    flags = []
    if np.median(sides) < FACE_SIZE_PX:
        flags.append("small face")
    if grey.mean() < DARK:
        flags.append("low light")
    if np.median([sharpness(each) for each in grey]) < BLURRED:
        flags.append("blur")
    return flags


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian of a grey image (height, width) after its contrast is made equal (Pech-Pacheco et al.
    2000): small where edges are soft.
    """
    spread = float(grey.std())
    if spread < 1:
        return 0.0
    level = (grey - grey.mean()) * (40 / spread)
    laplacian = 4 * level[1:-1, 1:-1] - level[:-2, 1:-1] - level[2:, 1:-1] - level[1:-1, :-2] - level[1:-1, 2:]
    return float(laplacian.var())


def audio_flags(samples: np.ndarray, *, speech: bool) -> list[str]:
    """Flags of audio.

    Args:
        samples: (samples,) int16, 16 kHz.
        speech: Whether somebody speaks in it: noise is judged only there.
    """
    if not len(samples):
        return ["silence"]
    levels = samples.astype(np.float32)
    whole = levels[: len(levels) // _FRAME_SAMPLES * _FRAME_SAMPLES]
    frames = whole.reshape(-1, _FRAME_SAMPLES) if len(whole) else levels[None]
    power_db = 10 * np.log10(np.maximum((frames**2).mean(axis=1), 1e-3) / 32768.0**2)
    if power_db.max() < SILENT_DB:
        return ["silence"]
    flags = []
    if (np.abs(samples.astype(np.int32)) >= FULL_SCALE).mean() >= CLIPPED_SHARE:
        flags.append("clipping")
    if speech and len(frames) >= 10 and np.percentile(power_db, 90) - np.percentile(power_db, 5) < NOISY_DB:
        flags.append("noise")
    return flags
