"""TCaF, temporal and cross-modal attention (ECCV 2022, arXiv 2207.09966).

Legend: B videos, T seconds, C classes, D width of a token, O output width.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.baselines.blocks import double, feed_forward, single
from daan.baselines.losses import class_family, unit
from daan.batch import VideoBatch
from daan.dropout import Dropout
from daan.method import About, Method, MethodConfig, Needs, TrainingBatch
from daan.scoring import euclidean

_FREQUENCY_DEVIATION = 10.0  # of the random frequencies of the time embedding
_BYTE = 255.0


@dataclass(frozen=True, kw_only=True)
class TcafConfig(MethodConfig):
    """The options of TCaF; the defaults are those of UCF-GZSL with SeLaVi's features."""

    training_defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-5}

    encoder_width: int = 256
    token_width: int = 300
    position_width: int = 64  # width of the embedding of modality and time, an even number
    output_width: int = 64
    projection_width: int = 512
    encoder_dropout: float = 0.4
    projection_dropout: float = 0.2
    text_dropout: float = 0.1
    token_dropout: float = 0.2
    depth: int = 5
    heads: int = 8
    head_width: int = 64
    feedforward_width: int = 128
    attention_dropout: float = 0.3
    # A longer video is cut: in training at a random place, in evaluation about its centre. 0: never
    most_training_seconds: int = 0
    most_seconds: int = 0
    bytes_of_audio: bool = False  # the audio features are bytes, as VGGish's, and are divided by 255
    # True repeats the published code: it divides audio by 255 always, scales each visual coordinate to length 1 over
    # the seconds of the batch's padded videos instead of each second, and counts padding in batch statistics.
    faithful: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("encoder_width", "token_width", "output_width", "projection_width", "depth", "heads")
        self._positive("head_width", "feedforward_width")
        self._not_negative("most_training_seconds", "most_seconds")
        self._fraction("encoder_dropout", "projection_dropout", "text_dropout", "token_dropout", "attention_dropout")
        if self.position_width < 2 or self.position_width % 2:
            raise ValueError(f"position_width is {self.position_width}, must be an even number of at least 2")


class Tcaf(Method):
    """The seconds of each modality attend to those of the other one; a class token gathers what they say."""

    about = About(
        name="tcaf",
        title="TCaF",
        paper="arXiv 2207.09966",
        year=2022,
        status="exact",
        summary="a transformer in which the seconds of one modality see only those of the other one",
    )
    needs = Needs(seconds=True)
    scores = ("fused",)

    def __init__(self, config: TcafConfig) -> None:
        super().__init__()
        self.config = config
        width, output = config.token_width, config.output_width
        self.audio_encoder, self.visual_encoder = (
            double(each, config.encoder_width, width, dropout=config.encoder_dropout)
            for each in (config.audio_width, config.visual_width)
        )
        self.positions = _Positions(config.position_width)
        self.audio_token, self.visual_token = (nn.Linear(width + config.position_width, width) for _ in range(2))
        self.token_dropout = Dropout(config.token_dropout)
        self.class_token = nn.Parameter(torch.randn(width))
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.depth))
        self.projection = double(width, config.projection_width, output, dropout=config.projection_dropout)
        self.text_projection = single(config.text_width, output, dropout=config.text_dropout)
        self.decoder = double(output, config.projection_width, config.text_width, dropout=config.projection_dropout)
        self.text_decoder = single(output, config.text_width, dropout=config.text_dropout)

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute l_ce, l_rec and l_reg."""
        w = batch.positive_text
        theta_o, theta_w = self._embed(batch.positive), self.embed_classes(w)
        return class_family(
            theta_o,
            theta_w,
            self.embed_classes(batch.class_table),
            batch.labels,
            decoded_video=self.decoder(theta_o),
            decoded_text=self.text_decoder(theta_w),
            target=w,
        )

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute theta_o (N, O)."""
        return {"fused": self._embed(videos)}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Compute theta_w (C, O) of class embeddings (C, W)."""
        self._check_text(text)
        theta: Tensor = self.text_projection(text)
        return theta

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute |theta_o - theta_w| (N, C)."""
        return {"fused": euclidean(videos["fused"], classes)}

    def _embed(self, videos: VideoBatch) -> Tensor:
        self._check_widths(videos)
        videos = self._cut(videos)
        audio, visual = self._scaled(videos)
        time = self.positions.of_time(max(audio.shape[1], visual.shape[1]))
        tokens = [self.class_token.expand(len(audio), 1, -1)]
        for modality, (x, mask, encode, join) in enumerate(
            (
                (audio, videos.audio_mask, self.audio_encoder, self.audio_token),
                (visual, videos.visual_mask, self.visual_encoder, self.visual_token),
            )
        ):
            encoded = self._each_second(encode, x, mask)
            positions = self.positions(modality, time[: x.shape[1]], mask)
            tokens.append(self.token_dropout(join(torch.cat((encoded, positions), dim=-1))))
        sees = _what_sees_what(videos.audio_mask, videos.visual_mask)
        x = torch.cat(tokens, dim=1)
        for layer in self.layers:
            x = layer(x, sees)
        theta: Tensor = self.projection(x[:, 0])
        return theta

    def _each_second(self, encode: nn.Sequential, x: Tensor, mask: Tensor) -> Tensor:
        """Encode the seconds (B, T, Dm) of a modality to (B, T, D); padding that is not encoded becomes zeros."""
        valid = torch.ones_like(mask) if self.config.faithful else mask
        rows: Tensor = encode(x[valid])
        return rows.new_zeros(*mask.shape, rows.shape[1]).index_put((valid,), rows)

    def _scaled(self, videos: VideoBatch) -> tuple[Tensor, Tensor]:
        """Scale the features of each second, and set those of padding to 0."""
        audio, visual = (
            videos.audio.where(videos.audio_mask[..., None], 0.0),
            videos.visual.where(videos.visual_mask[..., None], 0.0),
        )
        if self.config.faithful:
            return audio / _BYTE, F.normalize(visual, dim=1)
        return audio / _BYTE if self.config.bytes_of_audio else audio, unit(visual)

    def _cut(self, videos: VideoBatch) -> VideoBatch:
        """Cut videos that are longer than the options allow."""
        most = self.config.most_training_seconds if self.training else self.config.most_seconds
        longest = max(videos.audio.shape[1], videos.visual.shape[1])
        if most == 0 or longest <= most:
            return videos
        masks = [F.pad(mask, (0, longest - mask.shape[1])) for mask in (videos.audio_mask, videos.visual_mask)]
        spare = ((masks[0] | masks[1]).sum(1) - most).clamp_min(0)  # (B,) seconds that a video loses
        if self.training:
            start = (torch.rand(len(spare), device=spare.device) * (spare + 1)).long().clamp_max(spare)
        else:
            start = spare // 2
        rows = start[:, None] + torch.arange(most, device=spare.device)  # (B, most)

        def taken(x: Tensor) -> Tensor:
            padded = F.pad(x, (0, 0) * (x.ndim - 2) + (0, max(0, longest - x.shape[1])))
            index = rows if x.ndim == 2 else rows[..., None].expand(-1, -1, x.shape[-1])
            return padded.gather(1, index)

        return VideoBatch(
            taken(videos.audio), taken(videos.visual), taken(videos.audio_mask), taken(videos.visual_mask)
        )


class _Positions(nn.Module):
    """Embeddings of modality, time and padding, which are added. C: time is the number of the second."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modality = nn.Parameter(torch.randn(2, width))
        self.padding = nn.Parameter(torch.randn(width))
        self.time = nn.Linear(width, width)
        self.register_buffer("frequencies", _FREQUENCY_DEVIATION * torch.randn(2, width // 2))

    def of_time(self, seconds: int) -> Tensor:
        """Embed the numbers of the seconds: (T, width)."""
        number = torch.arange(seconds, device=self.frequencies.device, dtype=self.frequencies.dtype)
        angles = 2 * math.pi * number[:, None].expand(-1, 2) @ self.frequencies
        embedded: Tensor = self.time(torch.cat((angles.sin(), angles.cos()), dim=-1))
        return embedded

    def forward(self, modality: int, time: Tensor, mask: Tensor) -> Tensor:
        """Embed the places (B, T, width) of a modality whose valid seconds are those of the mask (B, T)."""
        return self.modality[modality] + time + torch.where(mask[..., None], 0.0, self.padding)


class _Layer(nn.Module):
    """A transformer layer with one LayerNorm, which stands before both of its parts."""

    def __init__(self, config: TcafConfig) -> None:
        super().__init__()
        width, inner = config.token_width, config.heads * config.head_width
        self.heads = config.heads
        self.norm = nn.LayerNorm(width)
        self.queries, self.keys, self.values = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.output = nn.Sequential(nn.Linear(inner, width), Dropout(config.attention_dropout))
        self.feedforward = feed_forward(width, config.feedforward_width, config.attention_dropout)

    def forward(self, x: Tensor, sees: Tensor) -> Tensor:
        """Change tokens (B, N, D); `sees` (B, 1, N, N) says which token each token attends to."""
        normed = self.norm(x)
        query, key, value = (
            project(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.queries, self.keys, self.values)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=sees)
        x = x + self.output(attended.transpose(1, 2).flatten(2))
        found: Tensor = x + self.feedforward(self.norm(x))
        return found


def _what_sees_what(audio_mask: Tensor, visual_mask: Tensor) -> Tensor:
    """Decide what each token attends to: (B, 1, N, N), with the class token first, then audio, then visual.

    The class token sees all valid seconds and itself; a second sees the valid ones of the other modality and the class
    token, and not its own modality.
    """
    first = audio_mask.new_ones(len(audio_mask), 1)
    valid = torch.cat((first, audio_mask, visual_mask), dim=1)  # (B, N)
    kind = torch.cat(
        [torch.full((length,), kind) for kind, length in ((0, 1), (1, audio_mask.shape[1]), (2, visual_mask.shape[1]))]
    ).to(valid.device)
    crosses = (kind[:, None] != kind[None]) | ((kind[:, None] == 0) & (kind[None] == 0))
    return (valid[:, None, :] & crosses)[:, None]
