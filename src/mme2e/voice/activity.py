"""How probably somebody speaks, window by window, while a recording is read."""

import numpy as np
import torch

from mme2e.voice.network import CONTEXT_SAMPLES, WINDOW_SAMPLES, SileroVAD, State

BLOCK_WINDOWS = 32  # about a second; more gain little speed and come later
FULL_SCALE = 32768


class VoiceActivity:
    """Takes the sound of one recording in pieces and answers with probabilities of speech, one every 32 ms.

    The network always sees 32 windows at a time, whatever the pieces: answers come up to 1.024 s of sound later, and
    are the same to the last bit for pieces of any length. Nothing but the last second is held in memory.

    Args:
        network: May serve several recordings, one after another or from several threads. None loads one.
    """

    def __init__(self, network: SileroVAD | None = None) -> None:
        self._network = SileroVAD() if network is None else network
        self._state: State | None = None
        self._waiting = np.zeros(CONTEXT_SAMPLES, dtype=np.int16)  # the context, then what no block was made of yet
        self._finished = False

    def add(self, samples: np.ndarray) -> np.ndarray:
        """Goes on with the recording.

        Args:
            samples: (samples,) int16, 16 kHz mono, that follow those before; any number.

        Returns:
            (windows,) float32, 0..1: the answers that are new, window i of all being the time from 0.032 i s on.

        Raises:
            ValueError: The samples have another shape or dtype, or come after `finish`.
        """
        if samples.ndim != 1 or samples.dtype != np.int16:
            raise ValueError(f"samples must be (samples,) int16, not {samples.shape} {samples.dtype}")
        if self._finished:
            raise ValueError(
                "samples came after the recording was finished; a recording needs a VoiceActivity of its own"
            )
        waiting = np.concatenate([self._waiting, samples])
        block_samples = BLOCK_WINDOWS * WINDOW_SAMPLES
        blocks = (len(waiting) - CONTEXT_SAMPLES) // block_samples
        answers = [self._judge(waiting[i * block_samples :]) for i in range(blocks)]
        self._waiting = waiting[blocks * block_samples :].copy()
        return np.concatenate(answers) if answers else np.zeros(0, dtype=np.float32)

    def finish(self) -> np.ndarray:
        """Ends the recording; silence fills its last window.

        Returns:
            (windows,) float32: the answers that are left, so that there are ceil(samples / 512) in all.
        """
        left = 0 if self._finished else len(self._waiting) - CONTEXT_SAMPLES
        self._finished = True
        if not left:
            return np.zeros(0, dtype=np.float32)
        block = np.zeros(CONTEXT_SAMPLES + BLOCK_WINDOWS * WINDOW_SAMPLES, dtype=np.int16)
        block[: len(self._waiting)] = self._waiting
        return self._judge(block)[: -(-left // WINDOW_SAMPLES)]

    @torch.inference_mode()
    def _judge(self, samples: np.ndarray) -> np.ndarray:
        """Context and at least a block of samples, int16 -> (32,) float32."""
        length = CONTEXT_SAMPLES + BLOCK_WINDOWS * WINDOW_SAMPLES
        block = torch.from_numpy(samples[:length].astype(np.float32) / FULL_SCALE)
        windows = block.unfold(0, CONTEXT_SAMPLES + WINDOW_SAMPLES, WINDOW_SAMPLES)
        probabilities, self._state = self._network(windows, self._state)
        return probabilities.numpy()
