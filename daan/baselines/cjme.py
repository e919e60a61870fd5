"""CJME, coordinated joint multimodal embeddings (WACV 2020, arXiv 1910.08732), as AVCA's authors adapted it.

Legend: B pairs, N videos, C classes, O output width.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.baselines.blocks import averaged, mlp, text_layer
from daan.baselines.losses import entropy, gate_target
from daan.batch import VideoBatch
from daan.masked import RowBatchNorm
from daan.method import About, Method, MethodConfig, Needs, Part, TrainingBatch
from daan.scoring import distances_of


@dataclass(frozen=True, kw_only=True)
class CjmeConfig(MethodConfig):
    """The options of CJME; the defaults are those of UCF-GZSL."""

    hidden_width: int = 1024
    text_hidden_width: int = 300
    output_width: int = 64
    dropout: float = 0.2
    # Width of a layer in front of the class embeddings; 0 for none. ClipClap's authors give this method one with CLIP
    # and CLAP features (arXiv 2404.06309, eq. 9); C: 512.
    text_layer_width: int = 0
    # True repeats the published code: the gate acts through its mean over the batch only, and the running statistics of
    # the text encoder also count the negatives' texts.
    faithful: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive("hidden_width", "text_hidden_width", "output_width")
        self._not_negative("text_layer_width")
        self._fraction("dropout")


class Cjme(Method):
    """Audio, visual and text meet in one space; a gate chooses the modality that scores a video."""

    about = About(
        name="cjme",
        title="CJME",
        paper="arXiv 1910.08732; adaptation of arXiv 2203.03598",
        year=2020,
        status="exact",
        summary="one space for audio, visual and text; a gate learns which modality is surer of the class",
    )
    needs = Needs(negatives=True)
    scores = ("gated", "audio", "visual", "sum")

    def __init__(self, config: CjmeConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_encoder, self.visual_encoder = (
            _with_relu(mlp(width, config.hidden_width, config.output_width, dropout=config.dropout))
            for width in (config.audio_width, config.visual_width)
        )
        text_width = config.text_layer_width or config.text_width
        self.text_layer = text_layer(config.text_width, config.text_layer_width)
        self.text_encoder = _with_relu(
            mlp(text_width, config.text_hidden_width, config.output_width, dropout=config.dropout)
        )
        width = config.audio_width + config.visual_width
        self.gate = nn.Sequential(RowBatchNorm(width), nn.Linear(width, 1), nn.Sigmoid())

    @property
    def parts(self) -> tuple[Part, ...]:
        """The two encoders."""
        return Part("audio", "encoder", (self.audio_encoder,)), Part("visual", "encoder", (self.visual_encoder,))

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute the gated triplets, the alignment of the modalities and the loss of the gate."""
        theta_a, theta_v, gate = self._embed(batch.positive)
        theta_a_n, theta_v_n = self._encode(batch.negative)
        theta_w = self.embed_classes(batch.positive_text)
        of_audio, of_visual = (
            F.triplet_margin_loss(theta_w, near, far, reduction="none")
            for near, far in ((theta_a, theta_a_n), (theta_v, theta_v_n))
        )  # (B,)
        with torch.no_grad():
            classes = self.embed_classes(batch.class_table)
            target = gate_target(entropy(theta_a @ classes.T), entropy(theta_v @ classes.T))
        if self.config.faithful:
            with torch.no_grad():
                self.embed_classes(batch.negative_text)
            gated = (1 - gate).mean() * of_audio.mean() + gate.mean() * of_visual.mean()
        else:
            gated = ((1 - gate) * of_audio + gate * of_visual).mean()
        return {"triplet": gated, "alignment": F.mse_loss(theta_a, theta_v), "gate": F.mse_loss(gate, target)}

    def embed_videos(self, videos: VideoBatch) -> dict[str, Tensor]:
        """Compute theta_a and theta_v (N, O) and the gate (N,), which is 1 for visual."""
        theta_a, theta_v, gate = self._embed(videos)
        return {"audio": theta_a, "visual": theta_v, "gate": gate, **videos.presence()}

    def embed_classes(self, text: Tensor) -> Tensor:
        """Compute theta_w (C, O) of class embeddings (C, W)."""
        self._check_text(text)
        theta: Tensor = self.text_encoder(self.text_layer(text))
        return theta

    def distances(self, videos: Mapping[str, Tensor], classes: Tensor) -> dict[str, Tensor]:
        """Compute Euclidean distances by the modality that the gate chooses, which is the published score, and others.

        A modality that a video lacks is never chosen (C).
        """
        has_audio, has_visual = videos["has_audio"], videos["has_visual"]
        found = distances_of(videos, classes)
        chooses_visual = torch.where(has_audio & has_visual, videos["gate"] >= 0.5, ~has_audio)
        return {"gated": torch.where(chooses_visual[:, None], found["visual"], found["audio"]), **found}

    def _embed(self, videos: VideoBatch) -> tuple[Tensor, Tensor, Tensor]:
        theta_a, theta_v = self._encode(videos)
        gate = self.gate(torch.cat(averaged(videos), dim=1)).squeeze(1)
        return theta_a, theta_v, gate

    def _encode(self, videos: VideoBatch) -> tuple[Tensor, Tensor]:
        self._check_widths(videos)
        audio, visual = averaged(videos)
        return self.audio_encoder(audio), self.visual_encoder(visual)


def _with_relu(layers: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*layers, nn.ReLU())
