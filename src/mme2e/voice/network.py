"""The network of Silero VAD 6.2 at 16 kHz (Silero Team, https://github.com/snakers4/silero-vad), with its weights.

It says for every window of 32 ms how probably somebody speaks in it. The original is called once a window; here all
windows of a block go through the convolutions together and through the LSTM in one call, with the same result.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHTS_FILE = Path(__file__).with_name("weights") / "silero_vad_16k.safetensors"
SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 512
CONTEXT_SAMPLES = 64  # of the window before, which the network sees as well
WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE_HZ
FFT_SAMPLES, HOP_SAMPLES = 256, 128
FREQUENCIES = FFT_SAMPLES // 2 + 1
WIDTH = 128  # channels of the first and the last convolution, and of the LSTM

State = tuple[Tensor, Tensor]
"""What the LSTM remembers: (1, 128) each, hidden and cell."""


class SileroVAD(nn.Module):
    """The network with its published weights, ready for inference."""

    def __init__(self) -> None:
        super().__init__()
        with torch.device("meta"):  # no random weights
            self.stft_conv = nn.Conv1d(1, 2 * FREQUENCIES, FFT_SAMPLES, HOP_SAMPLES, bias=False)
            self.conv1 = nn.Conv1d(FREQUENCIES, WIDTH, 3, padding=1)
            self.conv2 = nn.Conv1d(WIDTH, 64, 3, stride=2, padding=1)
            self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
            self.conv4 = nn.Conv1d(64, WIDTH, 3, padding=1)
            self.lstm = nn.LSTM(WIDTH, WIDTH)
            self.final_conv = nn.Conv1d(WIDTH, 1, 1)
        self.load_state_dict(load_file(WEIGHTS_FILE), assign=True)
        self.eval().requires_grad_(False)

    def forward(self, windows: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Judges consecutive windows of one recording.

        Args:
            windows: (windows, 576) float32, -1..1: the last 64 samples of the window before, then 512 of its own.
            state: What the call before returned; None at the start of a recording.

        Returns:
            Probabilities (windows,) float32 that somebody speaks, and the state after the last window.
        """
        padded = F.pad(windows[:, None], (0, CONTEXT_SAMPLES), mode="reflect")  # (windows, 1, 640)
        real, imaginary = self.stft_conv(padded).split(FREQUENCIES, dim=1)
        x = (real.square() + imaginary.square()).sqrt()  # (windows, 129, 4)
        x = self.conv1(x).relu()
        x = self.conv2(x).relu()
        x = self.conv3(x).relu()
        x = self.conv4(x).relu()  # (windows, 128, 1)
        x, state = self.lstm(x.squeeze(-1), state)
        return self.final_conv(x.relu()[..., None]).sigmoid().flatten(), state
