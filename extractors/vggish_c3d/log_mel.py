"""The log mel spectrogram of VGGish: 96 windows of 25 ms, 10 ms apart, in 64 bands from 125 to 7500 Hz."""

import math

import torch
from torch import Tensor

RATE_HZ = 16_000
WINDOWS, BANDS = 96, 64
WINDOW_SAMPLES, STEP_SAMPLES = 400, 160
_FFT_SAMPLES = 512
_LOWEST_HZ, _HIGHEST_HZ = 125.0, 7500.0
_OFFSET = 0.01  # added before the logarithm
_FULL_SCALE = 32768  # of 16 bits
SAMPLES = (WINDOWS - 1) * STEP_SAMPLES + WINDOW_SAMPLES  # 0.975 s


class LogMel:
    """Computes log mel spectrograms on a device.

    Source:
        vggish_input.py and mel_features.py of tensorflow/models, research/audioset/vggish.
    """

    def __init__(self, device: torch.device) -> None:
        self._window = torch.hann_window(WINDOW_SAMPLES, periodic=True, dtype=torch.float64, device=device)
        self._filters = mel_filters().to(device)

    def __call__(self, sound: Tensor) -> Tensor:
        """Compute (N, L) int16, of which the first 0.975 s are used -> (N, 1, 96, 64) float32."""
        samples = sound[:, :SAMPLES].double() / _FULL_SCALE
        if samples.shape[1] < SAMPLES:
            samples = torch.nn.functional.pad(samples, (0, SAMPLES - samples.shape[1]))
        windows = samples.unfold(1, WINDOW_SAMPLES, STEP_SAMPLES) * self._window  # (N, 96, 400)
        magnitudes = torch.fft.rfft(windows, _FFT_SAMPLES).abs()  # (N, 96, 257)
        logs: Tensor = (magnitudes @ self._filters + _OFFSET).log()
        return logs.float()[:, None]


def mel_filters() -> Tensor:
    """Compute the triangular filters (257, 64) float64: straight in mels, and without the constant part."""
    frequencies = torch.arange(_FFT_SAMPLES // 2 + 1, dtype=torch.float64) * RATE_HZ / _FFT_SAMPLES
    mels = 1127 * torch.log1p(frequencies / 700)
    lowest, highest = (1127 * math.log1p(hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges = torch.linspace(lowest, highest, BANDS + 2, dtype=torch.float64)
    rising = (mels[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels[:, None]) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp_min(0)
    filters[0] = 0
    return filters
