"""The DAAN network.

Legend: B videos, T seconds, C classes, W width of a class embedding, H hidden width, O output width.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from daan.attention import CrossAttention
from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.dropout import Dropout
from daan.masked import Encoded, RowBatchNorm, with_stand_in
from daan.qdma import AveragedMlp, Branches, Layer, Qdma


@dataclass(frozen=True)
class Embeddings:
    """The outputs of the network for B videos and their classes. Suffixes: a for audio, v for visual, w for text.

    The losses need `phi_rec` and `rho_w` of positives only. They are empty for negatives.
    """

    theta_a: Tensor  # (B, O) embedding in the shared space
    theta_v: Tensor  # (B, O)
    theta_w: Tensor  # (B, O)
    phi_a: Tensor  # (B, H) output of the encoder, eq. 4
    phi_v: Tensor  # (B, H)
    phi_rec_a: Tensor  # (B, H) reconstructed from theta
    phi_rec_v: Tensor  # (B, H)
    rho_a: Tensor  # (B, W) decoded from theta
    rho_v: Tensor  # (B, W)
    rho_w: Tensor  # (B, W)

    def float(self) -> "Embeddings":
        """Convert 16-bit embeddings to float32, for losses and rates."""
        return Embeddings(*(x.float() if x.element_size() < 4 else x for x in self._values()))

    def _values(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]

    def split(self, first: int) -> tuple["Embeddings", "Embeddings"]:
        """Split into the embeddings of the first videos and of the rest.

        Args:
            first: number of videos in the first result.
        """
        return Embeddings(*(x[:first] for x in self._values())), Embeddings(*(x[first:] for x in self._values()))


class Daan(nn.Module):
    """Encoders, cross-attention, projections into the shared space, reconstructors and decoder.

    A modality that a video lacks is replaced by one valid second with a learned vector (C). The vector starts as zeros,
    the mean of standardised features. It is learned only if training has such videos or hides modalities.

    Args:
        config: widths and options.
    """

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

    def embed_videos(self, videos: VideoBatch) -> tuple[Tensor, Tensor]:
        """Compute theta_a and theta_v (B, O) of B videos.

        Raises:
            ValueError: widths other than those of the configuration.
        """
        return self._project(*self._encode(videos))

    def embed_classes(self, text: Tensor) -> Tensor:
        """Compute theta_w (C, O) of class embeddings (C, W). In training, values of the embeddings are dropped too.

        Raises:
            ValueError: a width other than that of the configuration.
        """
        _check_width("class embeddings", text, self.config.text_width)
        theta: Tensor = self.text_projection(self.input_dropout(text))
        return theta

    def _encode(self, videos: VideoBatch) -> tuple[Encoded, Encoded]:
        _check_width("audio features", videos.audio, self.config.audio_width)
        _check_width("visual features", videos.visual, self.config.visual_width)
        audio, audio_mask = with_stand_in(videos.audio, videos.audio_mask, self.absent_audio)
        visual, visual_mask = with_stand_in(videos.visual, videos.visual_mask, self.absent_visual)
        encoded_audio: Encoded = self.audio_encoder(self.input_dropout(audio), audio_mask)
        encoded_visual: Encoded = self.visual_encoder(self.input_dropout(visual), visual_mask)
        return encoded_audio, encoded_visual

    def _project(self, audio: Encoded, visual: Encoded) -> tuple[Tensor, Tensor]:
        phi_c_a = self.audio_asks_visual(audio, visual)
        phi_c_v = self.visual_asks_audio(visual, audio)
        return self.audio_projection(phi_c_a), self.visual_projection(phi_c_v)


def _check_width(what: str, values: Tensor, expected: int) -> None:
    if values.shape[-1] != expected:
        raise ValueError(
            f"{what} are {values.shape[-1]} wide, the network takes {expected}: give {what} of width {expected}"
        )


def projection(input_width: int, output_width: int, *, dropout: float) -> nn.Sequential:
    """Build a projection from (B, input_width) to (B, output_width): Linear, BatchNorm, ReLU, Dropout."""
    return nn.Sequential(
        # No bias: the normalisation after it would cancel it.
        nn.Linear(input_width, output_width, bias=False),
        RowBatchNorm(output_width),
        nn.ReLU(),
        Dropout(dropout),
    )
