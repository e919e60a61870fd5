"""AVGZSLNet (WACV 2021, arXiv 2005.13402), as AVCA's authors adapted it. Legend: B pairs, C classes, O output width."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from daan.baselines.blocks import averaged, mlp, text_layer
from daan.baselines.losses import triplet, unit
from daan.batch import VideoBatch
from daan.method import About, Method, MethodConfig, Needs, Part, TrainingBatch
from daan.scoring import distances_of


@dataclass(frozen=True, kw_only=True)
class AvgzslnetConfig(MethodConfig):
    """The options of AVGZSLNet."""

    hidden_width: int = 1024
    text_hidden_width: int = 300
    output_width: int = 64
    decoder_hidden_width: int = 64
    # Width of a layer in front of the class embeddings; 0 for none. ClipClap's authors give this method one with CLIP
    # and CLAP features (arXiv 2404.06309, eq. 9); C: 512.
    text_layer_width: int = 0
    dropout: float = 0.8
    decoder_dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("hidden_width", "text_hidden_width", "output_width", "decoder_hidden_width")
        self._not_negative("text_layer_width")
        self._fraction("dropout", "decoder_dropout")


class Avgzslnet(Method):
    """Audio, visual and text meet in one space, from which one decoder gives the class embedding back."""

    about = About(
        name="avgzslnet",
        title="AVGZSLNet",
        paper="arXiv 2005.13402; adaptation of arXiv 2203.03598",
        year=2021,
        status="exact",
        summary="one space for audio, visual and text, and one decoder back to the class embedding",
    )
    needs = Needs(negatives=True)
    scores = ("sum", "audio", "visual")

    def __init__(self, config: AvgzslnetConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_encoder, self.visual_encoder = (
            mlp(width, config.hidden_width, config.output_width, dropout=config.dropout)
            for width in (config.audio_width, config.visual_width)
        )
        text_width = config.text_layer_width or config.text_width
        self.text_layer = text_layer(config.text_width, config.text_layer_width)
        self.text_encoder = mlp(text_width, config.text_hidden_width, config.output_width, dropout=config.dropout)
        self.decoder = mlp(config.output_width, config.decoder_hidden_width, text_width, dropout=config.decoder_dropout)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The two encoders."""
        return Part("audio", "encoder", (self.audio_encoder,)), Part("visual", "encoder", (self.visual_encoder,))

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute the distances of decoded class embeddings, their triplets, and the triplets of the shared space."""
        w, w_n = self.text_layer(batch.positive_text), self.text_layer(batch.negative_text)
        theta_a, theta_v = self._encode(batch.positive)
        theta_w, theta_w_n = self.text_encoder(w), self.text_encoder(w_n)
        theta_a_n, theta_v_n = self._encode(batch.negative)
        rho_a, rho_v, rho_w = self._decode(theta_a), self._decode(theta_v), self._decode(theta_w)
        rho_a_n, rho_v_n = self._decode(theta_a_n), self._decode(theta_v_n)
        return {
            "reconstruction": _mean_distance(rho_w, w) + _mean_distance(rho_a, w) + _mean_distance(rho_v, w),
            "decoded": triplet(rho_w, rho_a, rho_a_n) + triplet(rho_w, rho_v, rho_v_n),
            "triplet": triplet(theta_w, theta_a, theta_a_n)
            + triplet(theta_a, theta_w, theta_w_n)
            + triplet(theta_w, theta_v, theta_v_n)
            + triplet(theta_v, theta_w, theta_w_n),
        }

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute theta_a and theta_v (N, O)."""
        theta_a, theta_v = self._encode(videos)
        return {"audio": theta_a, "visual": theta_v, **videos.presence()}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Compute theta_w (C, O) of class embeddings (C, W)."""
        self._check_text(text)
        theta: Tensor = self.text_encoder(self.text_layer(text))
        return theta

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute Euclidean distances: the sum of both modalities, which is the published score, and each of them."""
        return distances_of(videos, classes)

    def _encode(self, videos: VideoBatch) -> tuple[Tensor, Tensor]:
        self._check_widths(videos)
        audio, visual = averaged(videos)
        return self.audio_encoder(audio), self.visual_encoder(visual)

    def _decode(self, theta: Tensor) -> Tensor:
        return unit(self.decoder(theta))


def _mean_distance(x: Tensor, y: Tensor) -> Tensor:
    mean: Tensor = torch.linalg.vector_norm(x - y, dim=1).mean()
    return mean
