"""ClipClap-GZSL (CVPR workshop 2024, arXiv 2404.06309). Legend: B videos, C classes, H hidden width, O output width."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from daan.baselines.blocks import TokenTransformer, averaged, double, single
from daan.baselines.losses import class_family
from daan.batch import VideoBatch
from daan.method import About, Method, MethodConfig, Needs, TrainingBatch
from daan.scoring import euclidean

Modality = Literal["both", "audio", "visual"]


@dataclass(frozen=True, kw_only=True)
class ClipClapConfig(MethodConfig):
    """The options of ClipClap."""

    training_defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}

    audio_width: int = 1024  # of CLAP
    visual_width: int = 512  # of CLIP
    text_width: int = 512 + 1024  # of the text encoders of both
    hidden_width: int = 512
    output_width: int = 64
    dropout: float = 0.1
    modality: Modality = "both"  # which features are read; a single modality reads its own part of the text only
    text_part: Modality = "both"  # with both modalities: which part of the text is read
    visual_text_width: int = 512  # the first values of a class embedding, from the text encoder of the pictures
    audio_text_width: int = 1024  # the values after them, from the text encoder of the sound

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("hidden_width", "output_width", "visual_text_width", "audio_text_width")
        self._fraction("dropout")
        self._choice("modality", get_args(Modality))
        self._choice("text_part", get_args(Modality))
        if self.reads_text != "both" and self.text_width != self.visual_text_width + self.audio_text_width:
            raise ValueError(
                f"text_width is {self.text_width}, must be {self.visual_text_width} + {self.audio_text_width} "
                "(visual_text_width + audio_text_width): to read only one part of the text, a class embedding must be "
                "the vector of the visual text encoder and then that of the audio text encoder"
            )

    @property
    def reads_text(self) -> Modality:
        """Which part of the text is read."""
        return self.text_part if self.modality == "both" else self.modality

    @property
    def text_span(self) -> slice:
        """The values of a class embedding that are read."""
        start = self.visual_text_width if self.reads_text == "audio" else 0
        end = self.visual_text_width if self.reads_text == "visual" else self.text_width
        return slice(start, end)

    @property
    def input_width(self) -> int:
        """The width of the features that are read."""
        widths = {"audio": self.audio_width, "visual": self.visual_width}
        return sum(widths.values()) if self.modality == "both" else widths[self.modality]


@dataclass(frozen=True, kw_only=True)
class AttendingConfig(ClipClapConfig):
    """The options of ClipClap, and of a transformer over its tokens."""

    training_defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 4e-4}

    depth: int = 6
    heads: int = 8
    head_width: int = 64
    feedforward_width: int = 512
    attention_dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("depth", "heads", "head_width", "feedforward_width")
        self._fraction("attention_dropout")

    def build_transformer(self) -> TokenTransformer:
        """Build the transformer."""
        return TokenTransformer(
            self.hidden_width,
            depth=self.depth,
            heads=self.heads,
            head_width=self.head_width,
            feedforward_width=self.feedforward_width,
            dropout=self.attention_dropout,
        )


class ClipClap(Method):
    """One embedding of both modalities meets an embedding of the class, which is learned too."""

    about = About(
        name="clipclap",
        title="ClipClap",
        paper="arXiv 2404.06309",
        year=2024,
        status="exact",
        summary="joined audio and visual features and joined texts of two encoders meet in one space",
    )
    needs = Needs()
    scores = ("fused",)

    def __init__(self, config: ClipClapConfig) -> None:
        super().__init__()
        self.config = config
        hidden, output, dropout = config.hidden_width, config.output_width, config.dropout
        self._build_encoder()
        span = config.text_span
        self.text_encoder = single(span.stop - span.start, hidden, dropout=dropout)
        self.projection = double(hidden, hidden, output, dropout=dropout)
        self.text_projection = single(hidden, output, dropout=dropout)
        self.decoder = double(output, hidden, hidden, dropout=dropout)
        self.text_decoder = single(output, hidden, dropout=dropout)

    def _build_encoder(self) -> None:
        """Build the layers that `_encode` uses."""
        self.encoder = single(self.config.input_width, self.config.hidden_width, dropout=self.config.dropout)

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute l_ce, l_rec and l_reg; the target of the reconstruction is the learned embedding of the text."""
        return self._losses(batch)[0]

    def _losses(self, batch: TrainingBatch) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
        """Compute the terms, and theta_o (B, O), theta_w (B, O) and the theta of the class table (C, O)."""
        o, more = self._encode(batch.positive)
        theta_o = self.projection(o)
        w = self._read_text(batch.positive_text)
        theta_w, theta_table = self.text_projection(w), self.embed_classes(batch.class_table)
        terms = class_family(
            theta_o,
            theta_w,
            theta_table,
            batch.labels,
            decoded_video=self.decoder(theta_o),
            decoded_text=self.text_decoder(theta_w),
            target=w,
        )
        return {**terms, **more}, theta_o, theta_w, theta_table

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute theta_o (N, O)."""
        return {"fused": self.projection(self._encode(videos)[0])}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Compute theta_w (C, O) of class embeddings (C, W)."""
        theta: Tensor = self.text_projection(self._read_text(text))
        return theta

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute |theta_o - theta_w| (N, C)."""
        return {"fused": euclidean(videos["fused"], classes)}

    def _encode(self, videos: VideoBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute o (B, H), and terms of the loss that arise on the way."""
        return self.encoder(torch.cat(self._inputs(videos), dim=1)), {}

    def _inputs(self, videos: VideoBatch) -> tuple[Tensor, ...]:
        """Return the averaged features that are read, visual before audio."""
        self._check_widths(videos)
        audio, visual = averaged(videos)
        return {"both": (visual, audio), "audio": (audio,), "visual": (visual,)}[self.config.modality]

    def _read_text(self, text: Tensor) -> Tensor:
        """Compute w (C, H) of class embeddings (C, W)."""
        self._check_text(text)
        found: Tensor = self.text_encoder(text[:, self.config.text_span])
        return found
