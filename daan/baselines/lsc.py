"""LSC (github.com/ybyangjing/LSC-AVZSL, of MFT's first authors): ClipClap with more layers between o and theta_o.

Legend: B videos, H hidden width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.baselines.blocks import feed_forward, single
from daan.baselines.clipclap import AttendingConfig, ClipClap
from daan.baselines.losses import kl_of_coordinates
from daan.batch import VideoBatch
from daan.method import About, TrainingBatch


@dataclass(frozen=True, kw_only=True)
class LscConfig(AttendingConfig):
    """The options of LSC."""

    bottleneck_width: int = 256
    mixer_width: int = 64
    mixer_dropout: float = 0.5
    auxiliary_weight: float = 0.5  # of the mean squared error of what the bottleneck's decoder gives back

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("bottleneck_width", "mixer_width")
        self._not_negative("auxiliary_weight")
        self._fraction("mixer_dropout")


class Lsc(ClipClap):
    """A bottleneck, a transformer over a single token, and a mixer, before the projection."""

    about = About(
        name="lsc",
        title="LSC",
        paper="Learning Semantic Consistency for Audio-Visual Zero-shot Learning, Artificial Intelligence Review",
        year=2025,
        status="exact",
        summary="ClipClap with a bottleneck, a transformer over one token and a mixer",
    )
    config: LscConfig

    def _build_encoder(self) -> None:
        config = self.config
        hidden = config.hidden_width
        self.encoder = single(config.input_width, hidden, dropout=config.dropout)
        self.bottleneck = nn.Sequential(
            nn.Linear(hidden, config.bottleneck_width), nn.Tanh(), nn.Linear(config.bottleneck_width, hidden), nn.ReLU()
        )
        self.bottleneck_decoder = nn.Sequential(
            nn.Linear(hidden, config.bottleneck_width), nn.ReLU(), nn.Linear(config.bottleneck_width, hidden)
        )
        self.token = nn.Parameter(torch.randn(hidden))
        self.attention = config.build_transformer()
        self.token_mixer = feed_forward(1, config.mixer_width, config.mixer_dropout)
        self.channel_mixer = feed_forward(hidden, config.mixer_width, config.mixer_dropout)

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute ClipClap's losses, the KL loss, and the error of the bottleneck's decoder."""
        terms, theta_o, theta_w, _ = self._losses(batch)
        return {**terms, "kl": kl_of_coordinates(theta_o, theta_w)}

    def _encode(self, videos: VideoBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute o (B, H), and the weighted error of what the bottleneck's decoder gives back."""
        o, terms = super()._encode(videos)
        z = self.bottleneck(o)
        terms["auxiliary"] = self.config.auxiliary_weight * F.mse_loss(self.bottleneck_decoder(z), o)
        mixed: Tensor = self.attention((z + self.token)[:, None])
        mixed = mixed + self.token_mixer(mixed.mT).mT
        mixed = mixed + self.channel_mixer(mixed)
        return mixed.squeeze(1), terms
