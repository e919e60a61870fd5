"""Compute log mel filterbanks of sound, as python_speech_features.logfbank does, in batches and on any device."""

import math

import torch
from torch import Tensor, nn

WINDOW_SECONDS = 0.020
STEP_SECONDS = 0.010
FILTERS = 257
FFT_SAMPLES = 1024
PRE_EMPHASIS = 0.97

_ENERGY_OF_SILENCE = torch.finfo(torch.float64).eps  # the reference replaces zero by this
_BLOCK_FRAMES = 990  # computed at once: enough that the overhead of calls is small
_CACHED_FRAMES = 99  # transformed at once: few enough to stay in a processor's cache
_BAND_FILTERS = 16  # multiplied at once, with the few bins that they cover


class LogFilterbank(nn.Module):
    """Computes log energies of 257 mel filters, every 10 ms over windows of 20 ms.

    The spectrum is calculated in double precision, so that the rounding error of strong tones does not hide a weak
    filter between them. The filters only add positive numbers, so single precision is enough for them.

    Args:
        rate_hz: samples per second.
    """

    filters: Tensor

    def __init__(self, rate_hz: int) -> None:
        super().__init__()
        self.rate_hz = rate_hz
        self.window_samples = _round_half_up(WINDOW_SECONDS * rate_hz)
        self.step_samples = _round_half_up(STEP_SECONDS * rate_hz)
        if self.window_samples > FFT_SAMPLES:
            raise ValueError(f"a window of {self.window_samples} samples is longer than the FFT of {FFT_SAMPLES}")
        # (257, 1026): every bin is repeated, so that one product adds the squares of its real and imaginary part.
        filters = (mel_filters(rate_hz) / FFT_SAMPLES).repeat_interleave(2, dim=1)
        self.register_buffer("filters", filters.float(), persistent=False)
        self._bands = [_band(filters, first) for first in range(0, FILTERS, _BAND_FILTERS)]

    def forward(self, sound: Tensor) -> Tensor:
        """Compute the filterbank of each sound.

        Args:
            sound: (N, samples) 16-bit samples on their integer scale, of any dtype.

        Returns:
            (N, 257, frames) float32; one second has 99 frames.
        """
        frames = 1 + max(0, math.ceil((sound.shape[1] - self.window_samples) / self.step_samples))
        logs = torch.empty(len(sound), FILTERS, frames, device=sound.device)
        # A sound starts from silence: the pre-emphasis of its first sample uses a zero as the sample before.
        delayed = nn.functional.pad(sound, (1, 0))
        frames_at_once = min(frames, _BLOCK_FRAMES)
        sounds_at_once = _BLOCK_FRAMES // frames_at_once
        scratch = _Scratch(min(len(sound), sounds_at_once) * frames_at_once, sound.device)
        for sounds, out in zip(torch.split(delayed, sounds_at_once), torch.split(logs, sounds_at_once), strict=True):
            for first in range(0, frames, frames_at_once):
                block = out[:, :, first : first + frames_at_once]
                windows = self._windows(sounds, first, block.shape[2])
                energies = self._energies(self._squares(windows, scratch))
                torch.log(energies.view(FILTERS, len(sounds), -1).transpose(0, 1), out=block)
        return logs

    def _windows(self, delayed: Tensor, first: int, count: int) -> Tensor:
        """Pre-emphasise the samples of some neighbouring frames of each sound, and cut them into windows.

        Args:
            delayed: (N, 1 + samples), with a zero before each sound.
            first: index of the first frame.
            count: number of frames.

        Returns:
            (N, count, window) float64, overlapping views.
        """
        start = first * self.step_samples
        stop = start + (count - 1) * self.step_samples + self.window_samples
        samples = delayed[:, start : stop + 1].double()
        # Multiply and round first, as the reference does: a fused operation gives another remainder if terms cancel.
        emphasised = samples[:, 1:] - PRE_EMPHASIS * samples[:, :-1]
        missing = stop - start - emphasised.shape[1]
        if missing:
            emphasised = nn.functional.pad(emphasised, (0, missing))
        return emphasised.unfold(1, self.window_samples, self.step_samples)

    def _squares(self, windows: Tensor, scratch: "_Scratch") -> Tensor:
        """Square the real and the imaginary components of the windows' spectra.

        Args:
            windows: (N, count, window) float64.
            scratch: memory for at least N * count frames.

        Returns:
            (N * count, 1026) float32, a view of the scratch memory.
        """
        n_sounds, count, _ = windows.shape
        spectra = scratch.spectra[: n_sounds * count].view(n_sounds, count, -1)
        sounds_at_once = max(1, _CACHED_FRAMES // count)
        for sounds, out in zip(torch.split(windows, sounds_at_once), torch.split(spectra, sounds_at_once), strict=True):
            for chunk, chunk_out in zip(
                torch.split(sounds, _CACHED_FRAMES, 1), torch.split(out, _CACHED_FRAMES, 1), strict=True
            ):
                padded = scratch.padded[: chunk.shape[0] * chunk.shape[1]].view(*chunk.shape[:2], FFT_SAMPLES)
                padded[..., : self.window_samples] = chunk
                chunk_out.copy_(torch.view_as_real(torch.fft.rfft(padded)).flatten(2))
        return spectra.mul_(spectra).flatten(0, 1)

    def _energies(self, squares: Tensor) -> Tensor:
        """Compute the energies of the filters, one band of them at a time, because each covers few of the bins.

        Args:
            squares: (M, 1026) float32.

        Returns:
            (257, M) float32, none of them zero.
        """
        energies = squares.new_empty(FILTERS, len(squares))
        for filters, bins in self._bands:
            torch.mm(self.filters[filters, bins], squares[:, bins].T, out=energies[filters])
        return energies.masked_fill_(
            energies == 0, _ENERGY_OF_SILENCE
        )  # clamp would be wrong: the reference keeps smaller energies


class _Scratch:
    """Memory that is used again for each block: on a CPU, allocating it again costs more than the arithmetic.

    Attributes:
        padded: (99, 1024) float64, zero after the samples of each window.
        spectra: (frames, 1026) float32, the real and imaginary components of the spectra.
    """

    def __init__(self, frames: int, device: torch.device) -> None:
        self.padded = torch.zeros(_CACHED_FRAMES, FFT_SAMPLES, dtype=torch.float64, device=device)
        self.spectra = torch.empty(frames, FFT_SAMPLES + 2, device=device)


def _band(filters: Tensor, first: int) -> tuple[slice, slice]:
    """Return the rows of some neighbouring filters, and the range of columns outside which all of them are zero."""
    rows = slice(first, first + _BAND_FILTERS)
    columns = filters[rows].any(dim=0).nonzero()
    return rows, slice(int(columns[0]), int(columns[-1]) + 1)


def mel_filters(rate_hz: int) -> Tensor:
    """Build triangular filters from 0 Hz to half the rate, evenly spaced in mel, with edges rounded down to FFT bins.

    Many of the lowest filters are empty, because their three edges are in the same bin.

    Returns:
        (257, 513) float64, one filter per row.
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
