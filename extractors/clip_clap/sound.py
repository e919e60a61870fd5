"""The sound tower of a CLAP model: its preprocessing, which never chooses at random, and its network."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from extractors.errors import WeightsError
from extractors.files.model_folder import ModelFolder
from extractors.files.pretrained import load_pretrained, quiet_transformers

_FULL_SCALE = 32768  # of 16 bits
_LEAST_ENERGY = 1e-10
_MOST_SECONDS = 60


@dataclass(frozen=True)
class SoundPreprocessing:
    """How sound becomes an input.

    Attributes:
        rate_hz: samples per second.
        samples: length of an input; shorter sound is repeated.
        fft_samples: length of a window of the spectrogram.
        hop_samples: distance of two windows.
        filters: (frequencies, mel bands) float64, the mel filters.
        padding: how shorter sound fills the input: repeatpad (whole repetitions, then silence), repeat (repetitions,
            cut) or pad (silence).
    """

    rate_hz: int
    samples: int
    fft_samples: int
    hop_samples: int
    filters: Tensor
    padding: str

    @property
    def frames(self) -> int:
        """The number of windows of an input."""
        return self.samples // self.hop_samples + 1

    def log_mel(self, sound: Tensor) -> Tensor:
        """Compute log mel spectrograms.

        Args:
            sound: (N, L) int16, at most as long as an input.

        Returns:
            (N, 1, frames, mel bands) float32, in dB.

        Source:
            ClapFeatureExtractor of transformers with truncation rand_trunc, without its random cut. In float64 as
            there, because quiet bands are smaller than the rounding of float32.
        """
        samples = self._filled(sound.double() / _FULL_SCALE)
        window = torch.hann_window(self.fft_samples, periodic=True, dtype=torch.float64, device=sound.device)
        spectrum = torch.stft(
            samples,
            self.fft_samples,
            self.hop_samples,
            window=window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()  # (N, frequencies, frames)
        energies = power.transpose(1, 2) @ self.filters.to(sound.device)
        return (10 * energies.clamp_min(_LEAST_ENERGY).log10()).float()[:, None]

    def _filled(self, samples: Tensor) -> Tensor:
        """Fill (N, L) to the length of an input."""
        length = samples.shape[1]
        if length > self.samples:
            raise ValueError(f"{length} samples of sound, CLAP takes at most {self.samples}")
        times = self.samples // max(1, length)
        if length < self.samples and self.padding == "repeat":
            return samples.repeat(1, times + 1)[:, : self.samples]
        if self.padding == "repeatpad":
            samples = samples.repeat(1, times)
        return nn.functional.pad(samples, (0, self.samples - samples.shape[1]))


def sound_preprocessing(folder: ModelFolder) -> SoundPreprocessing:
    """Read how the model's own processor makes inputs.

    Raises:
        WeightsError: another model, a preprocessing that is not supported, or a damaged file.
    """
    from transformers import ClapFeatureExtractor  # noqa: PLC0415 - takes seconds

    folder.kind(("clap",), "CLAP")
    config = folder.config()
    given = {name: value for name, value in folder.preprocessing("feature_extractor").items() if "_type" not in name}
    try:
        with quiet_transformers():
            processor: Any = ClapFeatureExtractor(**given)
        samples, hop = int(processor.nb_max_samples), int(processor.hop_length)
        found = SoundPreprocessing(
            rate_hz=int(processor.sampling_rate),
            samples=samples,
            fft_samples=int(processor.fft_window_size),
            hop_samples=hop,
            filters=torch.from_numpy(np.asarray(processor.mel_filters_slaney, np.float64)),
            padding=str(processor.padding),
        )
        is_possible = 0 < samples <= _MOST_SECONDS * found.rate_hz and hop > 0 and found.fft_samples <= samples
    except Exception as error:  # on arbitrary values, transformers can raise any exception
        raise folder.damaged(f"its preprocessing makes no sense: {error}") from error
    if not is_possible:
        raise folder.damaged("the lengths of its preprocessing make no sense")
    if processor.truncation != "rand_trunc" or (config.get("audio_config") or {}).get("enable_fusion"):
        raise WeightsError(
            f"the CLAP model in {folder.path} fuses parts of the sound that it chooses at random: give one without "
            "fusion, such as laion/clap-htsat-unfused"
        )
    return found


class SoundTower(nn.Module):
    """The network: log mel spectrograms (N, 1, frames, mel bands) -> vectors (N, W) in the space of the class texts."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, log_mel: Tensor) -> Tensor:
        """Compute the vectors, not scaled yet."""
        vectors: Tensor = self._network(input_features=log_mel).audio_embeds
        return vectors


def sound_width(folder: ModelFolder) -> int:
    """Read the width of a vector from config.json.

    Raises:
        WeightsError: it is not there.
    """
    width = folder.config().get("projection_dim", 512)
    if not isinstance(width, int) or not 1 <= width <= 1 << 16:
        raise folder.damaged(f"config.json: the width of a vector is {width!r}")
    return width


def load_sound(folder: ModelFolder) -> SoundTower:
    """Load the sound tower on the CPU.

    Raises:
        WeightsError: weights of another architecture, or a damaged file.
    """
    from transformers import ClapAudioModelWithProjection, ClapConfig  # noqa: PLC0415 - takes seconds

    config = folder.config()

    def build() -> nn.Module:
        whole: Any = ClapConfig(**config)
        whole.audio_config.projection_dim = whole.projection_dim
        return cast("nn.Module", ClapAudioModelWithProjection(whole.audio_config))

    return SoundTower(load_pretrained(build, folder)).eval()
