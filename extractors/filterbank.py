"""Sound -> log mel filterbank, as python_speech_features.logfbank computes it, in batches and on any device."""

import math

import torch
from torch import Tensor, nn
from torchaudio.functional import spectrogram

WINDOW_SECONDS = 0.020
STEP_SECONDS = 0.010
FILTERS = 257
FFT_SAMPLES = 1024
PRE_EMPHASIS = 0.97

_EMPTY_FILTER_ENERGY = torch.finfo(torch.float64).eps  # what stands for zero before the logarithm


class LogFilterbank(nn.Module):
    """Log energies of 257 mel filters, every 10 ms over windows of 20 ms.

    The spectrum is calculated in double precision, as a filter between strong tones must not drown in their rounding
    error; the filters add positive numbers only and do with single precision.

    Args:
        rate_hz: samples a second.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        self.rate_hz = rate_hz
        self.window_samples = _round_half_up(WINDOW_SECONDS * rate_hz)
        self.step_samples = _round_half_up(STEP_SECONDS * rate_hz)
        if self.window_samples > FFT_SAMPLES:
            raise ValueError(f"a window of {self.window_samples} samples is longer than the FFT of {FFT_SAMPLES}")
        # The zeros stand behind the window: torchaudio would centre a window shorter than the FFT.
        window = torch.cat([torch.ones(self.window_samples), torch.zeros(FFT_SAMPLES - self.window_samples)]).double()
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", mel_filters(rate_hz).float(), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """Compute the filterbank of each sound.

        Args:
            sound: (N, samples) 16-bit samples in their integer scale, of any dtype.

        Returns:
            (N, 257, frames) float32; a second has 99 frames.
        """
        samples = sound.double()
        emphasised = torch.cat([samples[:, :1], samples[:, 1:] - PRE_EMPHASIS * samples[:, :-1]], dim=1)
        frames = 1 + max(0, math.ceil((samples.shape[1] - self.window_samples) / self.step_samples))
        behind = (frames - 1) * self.step_samples + FFT_SAMPLES - samples.shape[1]
        power: Tensor = spectrogram(
            nn.functional.pad(emphasised, (0, behind)),
            pad=0,
            window=self.window,
            n_fft=FFT_SAMPLES,
            hop_length=self.step_samples,
            win_length=FFT_SAMPLES,
            power=2.0,
            normalized=False,
            center=False,
        )  # (N, bins, frames)
        energies = self.filters @ (power / FFT_SAMPLES).float()
        return energies.where(energies != 0, _EMPTY_FILTER_ENERGY).log()


def mel_filters(rate_hz: int) -> Tensor:
    """Triangular filters between 0 Hz and half the rate, evenly spaced in mel, edges rounded down to FFT bins.

    Many of the lowest are empty, as their three edges fall on one bin.

    Returns:
        (257, 513) float64, a filter a row.
    """
    highest_mel = _mel(rate_hz / 2)
    edges = [
        math.floor((FFT_SAMPLES + 1) * _hz(highest_mel * point / (FILTERS + 1)) / rate_hz)
        for point in range(FILTERS + 2)
    ]
    filters = torch.zeros(FILTERS, FFT_SAMPLES // 2 + 1, dtype=torch.float64)
    for row, (left, middle, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for bin_ in range(left, middle):
            filters[row, bin_] = (bin_ - left) / (middle - left)
        for bin_ in range(middle, right):
            filters[row, bin_] = (right - bin_) / (right - middle)
    return filters


def _mel(frequency_hz: float) -> float:
    return 2595 * math.log10(1 + frequency_hz / 700)


def _hz(mel: float) -> float:
    return 700 * (10 ** (mel / 2595) - 1)


def _round_half_up(number: float) -> int:
    return math.floor(number + 0.5)
