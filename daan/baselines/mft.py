"""MFT, multimodal fusion transformer (JEIT 47(7), 2025, doi 10.11999/JEIT241090).

There is no code. The paper names the features, the losses and the ablations. The rest follows the code of LSC, which
has the same first authors, or is our reading (C). Legend: B videos, C classes, H hidden width, O output width.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from daan.baselines.blocks import single
from daan.baselines.clipclap import AttendingConfig, ClipClap
from daan.baselines.losses import cosine_to_label, cosine_within_class, kl_of_classes, kl_of_coordinates
from daan.batch import VideoBatch
from daan.method import About, TrainingBatch

Tokens = Literal["pair", "fused"]
Kl = Literal["coordinates", "classes", "off"]
Cosine = Literal["label", "class", "off"]


@dataclass(frozen=True, kw_only=True)
class MftConfig(AttendingConfig):
    """The options of MFT."""

    # C: what attends. pair: audio and visual, as the text says; fused: one token of both, as LSC's code does
    tokens: Tokens = "pair"
    attention: Literal["on", "off"] = "on"
    # C: coordinates: between the softmax of theta_w and of theta_o (LSC's code); classes: between likenesses of classes
    kl: Kl = "coordinates"
    # C: label: theta_o to its theta_w (LSC's code); class: videos of one class to each other
    cosine: Cosine = "label"
    kl_weight: float = 1.0
    cosine_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._not_negative("kl_weight", "cosine_weight")
        self._choice("tokens", get_args(Tokens))
        self._choice("attention", ("on", "off"))
        self._choice("kl", get_args(Kl))
        self._choice("cosine", get_args(Cosine))
        if self.tokens == "pair" and self.modality != "both":
            raise ValueError(
                f"tokens is pair, must be fused with modality {self.modality}: one modality has no pair of tokens"
            )


class Mft(ClipClap):
    """ClipClap with attention between the modalities and two more losses."""

    about = About(
        name="mft",
        title="MFT",
        paper="doi 10.11999/JEIT241090",
        year=2025,
        status="reconstructed",
        summary="ClipClap with a transformer over the modalities, a KL loss and a cosine loss",
    )
    config: MftConfig

    def _build_encoder(self) -> None:
        config = self.config
        hidden = config.hidden_width
        widths = (config.visual_width, config.audio_width) if config.tokens == "pair" else (config.input_width,)
        self.encoders = nn.ModuleList(single(width, hidden, dropout=config.dropout) for width in widths)
        self.token = nn.Parameter(torch.randn(len(widths), hidden)) if config.attention == "on" else None
        self.attention = config.build_transformer() if config.attention == "on" else None

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute ClipClap's losses, the KL loss and the cosine loss, each with its weight."""
        config = self.config
        terms, theta_o, theta_w, theta_table = self._losses(batch)
        if config.kl == "coordinates":
            terms["kl"] = config.kl_weight * kl_of_coordinates(theta_o, theta_w)
        elif config.kl == "classes":
            terms["kl"] = config.kl_weight * kl_of_classes(theta_o, theta_table, batch.labels, batch.class_table)
        if config.cosine == "label":
            terms["cosine"] = config.cosine_weight * cosine_to_label(theta_o, theta_w)
        elif config.cosine == "class":
            terms["cosine"] = config.cosine_weight * cosine_within_class(theta_o, batch.labels)
        return terms

    def _encode(self, videos: VideoBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute o (B, H), the mean of the tokens after attention; no further terms."""
        inputs = self._inputs(videos)
        if self.config.tokens == "fused":
            inputs = (torch.cat(inputs, dim=1),)
        tokens = torch.stack([encode(x) for encode, x in zip(self.encoders, inputs, strict=True)], dim=1)
        if self.attention is not None and self.token is not None:
            tokens = self.attention(tokens + self.token)
        return tokens.mean(1), {}
