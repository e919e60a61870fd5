"""AVCA, audio-visual generalised zero-shot learning with cross-modal attention (CVPR 2022, arXiv 2203.03598).

Legend: B pairs, O output width. The losses are those of DAAN (eq. 9 to 12 there), term for term.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.baselines.blocks import TokenTransformer, averaged, double, single, text_layer
from daan.baselines.losses import triplet
from daan.batch import VideoBatch
from daan.method import About, Method, MethodConfig, Needs, Part, TrainingBatch
from daan.scoring import distances_of


@dataclass(frozen=True, kw_only=True)
class AvcaConfig(MethodConfig):
    """The options of AVCA; the defaults are those of UCF-GZSL."""

    encoder_width: int = 512
    hidden_width: int = 300  # width of a token
    projection_width: int = 512
    output_width: int = 64
    heads: int = 3
    head_width: int = 100
    feedforward_width: int = 64
    encoder_dropout: float = 0.2
    projection_dropout: float = 0.3
    decoder_dropout: float = 0.5
    # Width of a layer in front of the class embeddings; 0 for none. ClipClap's authors give this method one with CLIP
    # and CLAP features (arXiv 2404.06309, eq. 9); C: 512.
    text_layer_width: int = 0
    momentum: float = 0.1  # of the last BatchNorm of encoders and projections
    # True repeats two faults of the published code: the vectors that mark the modalities are not learned, and the
    # running statistics also count reconstructed features, and positives and their texts once more.
    faithful: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("encoder_width", "hidden_width", "projection_width", "output_width", "heads", "head_width")
        self._positive("feedforward_width")
        self._not_negative("text_layer_width")
        self._fraction("encoder_dropout", "projection_dropout", "decoder_dropout")
        if not 0 < self.momentum <= 1:
            raise ValueError(f"momentum is {self.momentum}, must be greater than 0 and at most 1")


class _Videos(NamedTuple):
    """Encoder outputs phi (B, H) and embeddings theta (B, O)."""

    phi_a: Tensor
    phi_v: Tensor
    theta_a: Tensor
    theta_v: Tensor


class Avca(Method):
    """Two encoders whose outputs attend to each other, and projections to a space that class embeddings share."""

    about = About(
        name="avca",
        title="AVCA",
        paper="arXiv 2203.03598",
        year=2022,
        status="exact",
        summary="averaged audio and visual features attend to each other before they meet the class embeddings",
    )
    needs = Needs(negatives=True)
    scores = ("visual", "audio", "sum")

    def __init__(self, config: AvcaConfig) -> None:
        super().__init__()
        self.config = config
        hidden, output = config.hidden_width, config.output_width
        self.audio_encoder, self.visual_encoder = (
            double(width, config.encoder_width, hidden, dropout=config.encoder_dropout, momentum=config.momentum)
            for width in (config.audio_width, config.visual_width)
        )
        self.modality = nn.Parameter(torch.randn(2, hidden), requires_grad=not config.faithful)
        self.attention = TokenTransformer(
            hidden,
            depth=1,
            heads=config.heads,
            head_width=config.head_width,
            feedforward_width=config.feedforward_width,
            dropout=config.encoder_dropout,
        )
        self.audio_projection, self.visual_projection = (
            double(
                hidden,
                config.projection_width,
                output,
                dropout=config.projection_dropout,
                momentum=config.momentum,
            )
            for _ in range(2)
        )
        text_width = config.text_layer_width or config.text_width
        self.text_layer = text_layer(config.text_width, config.text_layer_width)
        self.text_projection = single(text_width, output, dropout=config.decoder_dropout)
        self.decoder = single(output, text_width, dropout=config.decoder_dropout)
        self.audio_reconstructor = single(output, hidden, dropout=config.decoder_dropout)
        self.visual_reconstructor = single(output, hidden, dropout=config.decoder_dropout)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The two encoders."""
        return Part("audio", "encoder", (self.audio_encoder,)), Part("visual", "encoder", (self.visual_encoder,))

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute L_t, L_c and L_r.

        Positives and negatives pass the network one after the other, so that batch statistics cover one kind only.
        """
        w, w_n = self.text_layer(batch.positive_text), self.text_layer(batch.negative_text)
        p, n = self._embed(batch.positive), self._embed(batch.negative)
        theta_w, theta_w_n = self.text_projection(w), self.text_projection(w_n)
        rho_w = self.decoder(theta_w)
        rho_a, rho_a_n = self.decoder(p.theta_a), self.decoder(n.theta_a)
        rho_v, rho_v_n = self.decoder(p.theta_v), self.decoder(n.theta_v)
        phi_rec_a, phi_rec_v = self.audio_reconstructor(p.theta_a), self.visual_reconstructor(p.theta_v)
        if self.config.faithful:
            self._repeat_passes(batch, phi_rec_a, phi_rec_v)
        from_text_to_video = triplet(theta_w, p.theta_a, n.theta_a) + triplet(theta_w, p.theta_v, n.theta_v)
        from_video_to_text = triplet(p.theta_a, theta_w, theta_w_n) + triplet(p.theta_v, theta_w, theta_w_n)
        decoded = triplet(rho_w, rho_a, rho_a_n) + triplet(rho_w, rho_v, rho_v_n)
        return {
            "triplet": triplet(p.theta_a, theta_w, n.theta_a)
            + triplet(p.theta_v, theta_w, n.theta_v)
            + triplet(theta_w, p.theta_a, theta_w_n)
            + triplet(theta_w, p.theta_v, theta_w_n),
            "composite": F.mse_loss(rho_a, w)
            + F.mse_loss(rho_v, w)
            + F.mse_loss(rho_w, w)
            + decoded
            + from_text_to_video
            + from_video_to_text,
            "regularisation": F.mse_loss(phi_rec_a, p.phi_a)
            + F.mse_loss(phi_rec_v, p.phi_v)
            + F.mse_loss(p.theta_a, theta_w)
            + F.mse_loss(p.theta_v, theta_w),
        }

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute theta_a and theta_v (N, O)."""
        found = self._embed(videos)
        return {"audio": found.theta_a, "visual": found.theta_v, **videos.presence()}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Compute theta_w (C, O) of class embeddings (C, W)."""
        self._check_text(text)
        theta: Tensor = self.text_projection(self.text_layer(text))
        return theta

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute Euclidean distances by the visual embedding, which is the published score, by audio and by both."""
        return distances_of(videos, classes)

    def _embed(self, videos: VideoBatch) -> _Videos:
        self._check_widths(videos)
        audio, visual = averaged(videos)
        phi_a, phi_v = self.audio_encoder(audio), self.visual_encoder(visual)
        attended = self.attention(torch.stack((phi_a, phi_v), dim=1) + self.modality)
        return _Videos(
            phi_a,
            phi_v,
            self.audio_projection(phi_a + attended[:, 0]),
            self.visual_projection(phi_v + attended[:, 1]),
        )

    @torch.no_grad()
    def _repeat_passes(self, batch: TrainingBatch, phi_rec_a: Tensor, phi_rec_v: Tensor) -> None:
        """Repeat passes that the published code makes without use; they only change running statistics."""
        self.audio_projection(phi_rec_a)
        self.visual_projection(phi_rec_v)
        self._embed(batch.positive)
        self.embed_classes(batch.positive_text)
