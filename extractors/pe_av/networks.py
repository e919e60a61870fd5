"""The networks of PE-AV (arXiv 2512.19687): a frame encoder, a picture encoder over a window, and a sound encoder.

They are loaded one by one from the file of the whole model, so the parts that are not needed take no memory.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extractors.base import Interpolation
from extractors.files.model_folder import ModelFolder
from extractors.files.picture_processor import INTERPOLATIONS
from extractors.files.pretrained import load_pretrained, quiet_transformers
from extractors.text.pe_av import check_pe_av, load_head

_MOST_FRAMES = 1 << 10


@dataclass(frozen=True)
class PeAvPreprocessing:
    """How pictures and sound become inputs.

    Attributes:
        side_pixels: height and width of a picture, to which it is squashed.
        interpolation: how a picture is resized.
        mean: mean of red, green and blue in 0..1.
        deviation: standard deviation of the three.
        num_frames: the number of pictures that the model sees in a window; 0: any number.
        rate_hz: samples of sound per second.
        hop_samples: sound is filled up to a multiple of it.
    """

    side_pixels: int
    interpolation: Interpolation
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    num_frames: int
    rate_hz: int
    hop_samples: int


def pe_av_preprocessing(folder: ModelFolder) -> PeAvPreprocessing:
    """Read how the model's own processor makes inputs.

    Raises:
        WeightsError: another model, a preprocessing that is not supported, or a damaged file.
    """
    from transformers import PeAudioFeatureExtractor, PeVideoVideoProcessor  # noqa: PLC0415 - takes seconds

    check_pe_av(folder)
    of_sound = {name: value for name, value in folder.preprocessing("feature_extractor").items() if "_type" not in name}
    of_video = {name: value for name, value in folder.preprocessing("video_processor").items() if "_type" not in name}
    try:
        with quiet_transformers():
            heard: Any = PeAudioFeatureExtractor(**of_sound)
            seen: Any = PeVideoVideoProcessor(**of_video)
        size = dict(seen.size)
        found = PeAvPreprocessing(
            side_pixels=int(size["height"]),
            interpolation=INTERPOLATIONS[int(seen.resample)],
            mean=tuple(float(value) for value in seen.image_mean),
            deviation=tuple(float(value) for value in seen.image_std),
            num_frames=int(getattr(seen, "num_frames", None) or 0),
            rate_hz=int(heard.sampling_rate),
            hop_samples=int(heard.hop_length),
        )
        is_usual = seen.do_resize and seen.do_rescale and seen.do_normalize and not seen.do_center_crop
        is_usual &= size["height"] == size["width"] and abs(float(seen.rescale_factor) * 255 - 1) < 1e-6
        is_usual &= len(found.mean) == len(found.deviation) == 3 and min(found.deviation) > 0
        is_usual &= 0 <= found.num_frames <= _MOST_FRAMES and 0 < found.hop_samples < found.rate_hz
    except Exception as error:  # on arbitrary values, transformers can raise any exception
        raise folder.damaged(f"its preprocessing makes no sense: {error}") from error
    if not is_usual:
        raise folder.damaged("its preprocessing is not the usual one: squash, scale to 0..1, normalise")
    return found


def widths_of(folder: ModelFolder) -> tuple[int, int]:
    """Read the widths of a visual and of an audio vector: both are that of the texts.

    Raises:
        WeightsError: they cannot be read.
    """
    return folder.shape("video_model.video_head.proj.weight")[0], folder.shape("audio_model.audio_head.proj.weight")[0]


class FrameEncoder(nn.Module):
    """Pictures (M, 3, S, S), normalised -> unit rows (M, E)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Compute the rows of single pictures."""
        return F.normalize(self._network(pixels).logits, dim=-1)


class WindowEncoder(nn.Module):
    """Rows (N, K, E) of the pictures of windows -> vectors (N, W).

    Args:
        encoder: the picture encoder of transformers, of which only the frame encoder is not used.
        head: the projection to the space of the texts.
        num_frames: number of rows that it sees; others are left out or repeated at equal distances. 0: all.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, num_frames: int) -> None:
        super().__init__()
        self._encoder: Any = encoder
        self._head = head
        self._num_frames = num_frames

    def forward(self, rows: Tensor) -> Tensor:
        """Compute the vectors, not scaled yet."""
        if self._num_frames:
            last = rows.shape[1] - 1
            steps = max(1, self._num_frames - 1)
            rows = rows[:, [index * last // steps for index in range(self._num_frames)]]
        encoder = self._encoder
        # What the encoder does after its frame encoder (PeVideoEncoder of transformers).
        hidden, _ = encoder.patch_embedder(encoder.embedder.data_proj(encoder.embedder.proj(rows)))
        positions = encoder.rotary_emb(hidden, torch.arange(hidden.shape[1], device=hidden.device)[None])
        for layer in encoder.layers:
            hidden = layer(hidden, attention_mask=None, position_embeddings=positions)
        vectors: Tensor = self._head(encoder.output(encoder.norm(hidden))[:, 0])
        return vectors


class SoundEncoder(nn.Module):
    """Sound (N, L) in -1..1 -> vectors (N, W)."""

    def __init__(self, encoder: nn.Module, head: nn.Module, hop_samples: int) -> None:
        super().__init__()
        self._encoder = encoder
        self._head = head
        self._hop = hop_samples

    def forward(self, sound: Tensor) -> Tensor:
        """Compute the vectors, not scaled yet. Sound is filled up by its reflection, as the model's processor does."""
        missing = -sound.shape[1] % self._hop
        filled = F.pad(sound[:, None], (0, missing), mode="reflect") if missing else sound[:, None]
        vectors: Tensor = self._head(self._encoder(input_values=filled).pooler_output)
        return vectors


def load_visual(folder: ModelFolder, num_frames: int) -> tuple[FrameEncoder, WindowEncoder]:
    """Load the frame encoder and the encoder of windows on the CPU.

    Raises:
        WeightsError: weights of another architecture, or a damaged file.
    """
    from transformers import PeAudioVideoConfig, PeVideoEncoder  # noqa: PLC0415 - takes seconds

    document = folder.config()

    def build() -> nn.Module:
        config: Any = PeAudioVideoConfig(**document)
        return cast("nn.Module", PeVideoEncoder(config.video_config.video_config))

    encoder: Any = load_pretrained(build, folder, prefix="video_model.video_encoder.")
    head = load_head(folder, "video_model.video_head.")
    return FrameEncoder(encoder.embedder.vision_model).eval(), WindowEncoder(encoder, head, num_frames).eval()


def load_sound(folder: ModelFolder, hop_samples: int) -> SoundEncoder:
    """Load the sound encoder on the CPU.

    Raises:
        WeightsError: weights of another architecture, or a damaged file.
    """
    from transformers import PeAudioEncoder, PeAudioVideoConfig  # noqa: PLC0415 - takes seconds

    document = folder.config()

    def build() -> nn.Module:
        config: Any = PeAudioVideoConfig(**document)
        return cast("nn.Module", PeAudioEncoder(config.audio_config.audio_config))

    encoder = load_pretrained(build, folder, prefix="audio_model.audio_encoder.")
    head = load_head(folder, "audio_model.audio_head.")
    return SoundEncoder(encoder, head, hop_samples).eval()


def cosine_scale(folder: ModelFolder, modality: str) -> float:
    """Compute the scale of cosines from the scale of the model, which multiplies products of vectors of any length.

    The expected length of a vector follows from its head: LayerNorm gives every input the same length, so a vector has
    the length sqrt(|P diag(g)|^2 + |P b|^2) on average over the directions (C).

    Args:
        folder: the folder of the model.
        modality: `video` or `audio`.

    Raises:
        WeightsError: the weights are not there.
    """
    lengths = []
    for name in (f"{modality}_head", f"text_{modality}_head"):
        head = load_head(folder, f"{modality}_model.{name}.")
        spread = (head.proj.weight * head.layer_norm.weight).square().sum()
        lengths.append(float((spread + (head.proj.weight @ head.layer_norm.bias).square().sum()).sqrt()))
    return abs(folder.number(f"{modality}_model.text_{modality}_logit_scale")) * lengths[0] * lengths[1]
