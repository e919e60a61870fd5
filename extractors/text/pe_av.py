"""Encode texts with PE-AV's text encoder, which has one head for sight and one for sound."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from extractors.files.model_folder import ModelFolder
from extractors.files.pretrained import load_pretrained
from extractors.text.paired import PairedText
from extractors.text.templates import Templates
from extractors.text.tower import TextTower

_MOST_TOKENS = 8192  # of ModernBERT


class Head(nn.Module):
    """LayerNorm and a projection, (N, H) -> (N, W); its layers have the names of the published file."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(width, eps=1e-6)
        self.proj = nn.Linear(width, out_width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Project."""
        vectors: Tensor = self.proj(self.layer_norm(hidden))
        return vectors


def load_head(folder: ModelFolder, prefix: str) -> Head:
    """Load a head of PE-AV, for texts, pictures or sound.

    Args:
        folder: the folder of the model.
        prefix: what the names of its weights begin with.

    Raises:
        WeightsError: weights of another architecture, or a damaged file.
    """
    out_width, width = folder.shape(f"{prefix}proj.weight")
    return load_pretrained(lambda: Head(width, out_width), folder, prefix=prefix)


def check_pe_av(folder: ModelFolder) -> None:
    """Refuse the folder of another model.

    Raises:
        WeightsError: another model.
    """
    folder.kind(("pe_audio_video",), "PE-AV")


class PeAvText(TextTower):
    """Computes PE-AV's text vectors for sight or for sound.

    Args:
        folder: folder of the model.
        cache_dir: folder for the checksums of large files.
        modality: `video` or `audio`: which head is used.
        shared: another encoder of the same folder, whose network is used too, because only the heads differ.
    """

    kind = "pe-av"
    what = "a PE-AV model"

    def __init__(self, folder: Path, cache_dir: Path | None, modality: str, shared: "PeAvText | None" = None) -> None:
        self._prefix = f"{modality}_model.text_{modality}_head."
        self._shared = shared
        self._trunk: nn.Module | None = None
        super().__init__(folder, cache_dir)

    def _check_kind(self) -> None:
        check_pe_av(self._folder)

    def _read_width(self) -> int:
        return self._folder.shape(f"{self._prefix}proj.weight")[0]

    def _read_most_tokens(self) -> int:
        return self._number(self._section("text_config"), "max_position_embeddings", _MOST_TOKENS)

    def trunk(self) -> nn.Module:
        """Return the network below the heads."""
        if self._shared is not None:
            return self._shared.trunk()
        if self._trunk is None:
            self._trunk = self._load_trunk()
        return self._trunk

    def _load_trunk(self) -> nn.Module:
        from transformers import ModernBertModel, PeAudioVideoConfig  # noqa: PLC0415 - takes seconds

        def build() -> nn.Module:
            config: Any = PeAudioVideoConfig(**self._config)
            return cast("nn.Module", ModernBertModel(config.text_config))

        return load_pretrained(build, self._folder, prefix="text_model.")

    def _load_network(self) -> Callable[[Tensor], Tensor]:
        trunk: Any = self.trunk()
        head = load_head(self._folder, self._prefix)

        def compute(tokens: Tensor) -> Tensor:
            hidden: Tensor = trunk(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
            vectors: Tensor = head(hidden[:, 0])
            return vectors

        return compute


def paired_pe_av(folder: Path, cache_dir: Path | None, templates: Templates) -> PairedText:
    """Pair the texts for sight with those for sound of one model."""
    sight = PeAvText(folder, cache_dir, "video")
    sound = PeAvText(folder, cache_dir, "audio", shared=sight)
    return PairedText("pe-av", sight, sound, templates, {"sha256": sight.identity["sha256"]})
