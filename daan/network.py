"""The DAAN network.

Legend: B videos, T seconds, C classes, W width of a class embedding, H hidden width, O output width.
"""

from collections.abc import Mapping
from typing import get_args

import torch
from torch import Tensor, nn

from daan.attention import CrossAttention
from daan.batch import MODALITY_AXIS, VideoBatch, hide_modalities
from daan.config import DaanConfig, Score
from daan.dropout import Dropout
from daan.losses import Embeddings, daan_losses
from daan.masked import Encoded, RowBatchNorm, with_stand_in
from daan.method import About, Method, Needs, Part, TrainingBatch
from daan.qdma import BRANCH_AXIS, AveragedMlp, Branches, Layer, Qdma
from daan.scoring import distances_of


class Daan(Method):
    """Encoders, cross-attention, projections into the shared space, reconstructors and decoder.

    A modality that a video lacks is replaced by one valid second with a learned vector (C). The vector starts as zeros,
    the mean of standardised features. It is learned only if training has such videos or hides modalities.

    Args:
        config: widths and options.
    """

    about = About(
        name="daan",
        title="DAAN",
        paper="arXiv 2412.11715",
        year=2024,
        status="reconstructed",
        summary="differential attention and temporal convolution over the seconds, with modulated gradients",
    )
    needs = Needs(seconds=True, negatives=True)
    scores = get_args(Score)
    config: DaanConfig

    def __init__(self, config: DaanConfig) -> None:
        super().__init__()
        self.config = config
        hidden, output = config.hidden_width, config.output_width
        video, decoded = config.projection_dropout, config.decoder_dropout
        encoder: type[Qdma | AveragedMlp] = Qdma if config.qdma == "on" else AveragedMlp
        self.absent_audio = nn.Parameter(torch.zeros(config.audio_width))
        self.absent_visual = nn.Parameter(torch.zeros(config.visual_width))
        self.input_dropout = Dropout(config.input_dropout)
        self.audio_encoder = encoder(config.audio_width, config)
        self.visual_encoder = encoder(config.visual_width, config)
        self.audio_asks_visual, self.visual_asks_audio = (
            CrossAttention(
                hidden,
                heads=config.heads,
                feedforward_width=config.feedforward_width,
                dropout=config.encoder_dropout,
            )
            for _ in range(2)
        )
        self.audio_projection = projection(hidden, output, dropout=video)
        self.visual_projection = projection(hidden, output, dropout=video)
        self.text_projection = projection(config.text_width, output, dropout=decoded)
        # phi is never negative, so a reconstructor can end with ReLU, as AVCA's (C). A class embedding can be negative,
        # so the decoder is Linear only (C).
        self.audio_reconstructor = projection(output, hidden, dropout=decoded)
        self.visual_reconstructor = projection(output, hidden, dropout=decoded)
        self.decoder = nn.Linear(output, config.text_width)

    @property
    def branches(self) -> tuple[Branches, Branches]:
        """The layers of the audio encoder and of the visual encoder, by branch."""
        return self.audio_encoder.branches, self.visual_encoder.branches

    @property
    def branch_layers(self) -> list[tuple[int, int, Layer]]:
        """The same layers in a list, each with the indices of its modality and its branch."""
        return [
            (modality, branch, layer)
            for modality, branches in enumerate(self.branches)
            for branch, layers in enumerate(branches)
            for layer in layers
        ]

    @property
    def score(self) -> str:
        """The score that predicts, which is an option: the paper does not name one."""
        return self.config.score

    @property
    def parts(self) -> tuple[Part, ...]:
        """The branches of both encoders; without QDMA, the branch `bypass` is empty."""
        return tuple(
            Part(modality, branch, layers)
            for modality, branches in zip(MODALITY_AXIS, self.branches, strict=True)
            for branch, layers in zip(BRANCH_AXIS, branches, strict=True)
        )

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute L_t, L_c and L_r of B pairs (DAAN paper, eq. 9 to 12)."""
        return self.losses_of(*self.embed_pairs(batch, self.shown(batch.videos)), batch)

    def shown(self, videos: VideoBatch) -> VideoBatch:
        """Hide modalities of some training videos, as the option `modality_dropout` has it."""
        return hide_modalities(videos, self.config.modality_dropout, None)

    def embed_pairs(self, batch: TrainingBatch, videos: VideoBatch) -> tuple[Embeddings, Embeddings]:
        """Compute all inputs of the losses, in float32, of the positives and of the negatives.

        Both pass the network together, so that batch statistics cover both.

        Args:
            batch: B pairs.
            videos: their 2B videos, of which some may lack a modality that is hidden.
        """
        embeddings: Embeddings = self(videos, batch.text, batch.pairs)
        return embeddings.float().split(batch.pairs)

    def losses_of(self, positive: Embeddings, negative: Embeddings, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute L_t, L_c and L_r of embedded pairs."""
        return daan_losses(positive, negative, batch.positive_text, margin=self.config.margin)

    def forward(self, videos: VideoBatch, text: Tensor, positives: int | None = None) -> Embeddings:
        """Embed B videos and the class embeddings (B, W) of their classes, and compute all inputs of the losses.

        Args:
            videos: B videos.
            text: class embeddings (B, W).
            positives: number of videos at the beginning that are positives; None for all.

        Raises:
            ValueError: widths other than those of the configuration, or different numbers of texts and videos.
        """
        if len(text) != len(videos):
            raise ValueError(
                f"{len(text)} class embeddings for {len(videos)} videos: give one class embedding per video"
            )
        audio, visual = self._encode(videos)
        theta_a, theta_v = self._project(audio, visual)
        theta_w = self.embed_classes(text)
        positives = len(videos) if positives is None else positives
        rho = self.decoder(torch.cat((theta_a, theta_v, theta_w[:positives])))
        rho_a, rho_v, rho_w = rho.split((len(theta_a), len(theta_v), positives))
        return Embeddings(
            theta_a=theta_a,
            theta_v=theta_v,
            theta_w=theta_w,
            phi_a=audio.phi,
            phi_v=visual.phi,
            phi_rec_a=self.audio_reconstructor(theta_a[:positives]),
            phi_rec_v=self.visual_reconstructor(theta_v[:positives]),
            rho_a=rho_a,
            rho_v=rho_v,
            rho_w=rho_w,
        )

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute theta_a and theta_v (N, O) of N videos.

        Raises:
            ValueError: widths other than those of the configuration.
        """
        theta_a, theta_v = self._project(*self._encode(videos))
        return {"audio": theta_a, "visual": theta_v, **videos.presence()}

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute Euclidean distances (N, C) by audio, by visual and by their sum."""
        return distances_of(videos, classes)

    def embed_classes(self, text: Tensor) -> Tensor:
        """Compute theta_w (C, O) of class embeddings (C, W). In training, values of the embeddings are dropped too.

        Raises:
            ValueError: a width other than that of the configuration.
        """
        self._check_text(text)
        theta: Tensor = self.text_projection(self.input_dropout(text))
        return theta

    def _encode(self, videos: VideoBatch) -> tuple[Encoded, Encoded]:
        self._check_widths(videos)
        audio, audio_mask = with_stand_in(videos.audio, videos.audio_mask, self.absent_audio)
        visual, visual_mask = with_stand_in(videos.visual, videos.visual_mask, self.absent_visual)
        encoded_audio: Encoded = self.audio_encoder(self.input_dropout(audio), audio_mask)
        encoded_visual: Encoded = self.visual_encoder(self.input_dropout(visual), visual_mask)
        return encoded_audio, encoded_visual

    def _project(self, audio: Encoded, visual: Encoded) -> tuple[Tensor, Tensor]:
        phi_c_a = self.audio_asks_visual(audio, visual)
        phi_c_v = self.visual_asks_audio(visual, audio)
        return self.audio_projection(phi_c_a), self.visual_projection(phi_c_v)


def projection(input_width: int, output_width: int, *, dropout: float) -> nn.Sequential:
    """Build a projection from (B, input_width) to (B, output_width): Linear, BatchNorm, ReLU, Dropout."""
    return nn.Sequential(
        # No bias: the normalisation after it would cancel it.
        nn.Linear(input_width, output_width, bias=False),
        RowBatchNorm(output_width),
        nn.ReLU(),
        Dropout(dropout),
    )
