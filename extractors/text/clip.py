"""Encode texts with the text tower of a CLIP or SigLIP model, from a folder or the hub."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import Tensor, nn

from extractors.files.pretrained import load_pretrained
from extractors.text.tower import TextTower

_MODEL_TYPES = {"clip", "clip_text_model", "siglip"}
_PROJECTION = "text_projection.weight"
_MOST_TOKENS = 77  # of every published CLIP
_SIGLIP_TOKENS = 64
# They select the state that transformers pools, which is not used here. In many published files they are wrong.
_SPECIAL_TOKENS = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": None}
# Values that the shapes of the weights do not determine.
_SETTINGS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "hidden_act",
    "layer_norm_eps",
)


class ClipText(TextTower):
    """Computes text features: CLIP's last state, projected, or SigLIP's; scaled to length 1."""

    kind = "clip"
    what = "a CLIP model"

    def _check_kind(self) -> None:
        self._is_siglip = self._folder.kind(_MODEL_TYPES, "CLIP", "give a model with a text tower") == "siglip"

    def _read_width(self) -> int:
        if self._is_siglip:
            settings = self._section("text_config")
            return self._number(settings, "projection_size", self._number(settings, "hidden_size", 768))
        return self._folder.shape(_PROJECTION)[0]

    def _read_most_tokens(self) -> int:
        default = _SIGLIP_TOKENS if self._is_siglip else _MOST_TOKENS
        return self._number(self._settings, "max_position_embeddings", default)

    @property
    def _settings(self) -> Mapping[str, object]:
        return self._section("text_config") or self._config

    def _load_network(self) -> Callable[[Tensor], Tensor]:
        return self._load_siglip() if self._is_siglip else self._load_clip()

    def _load_clip(self) -> Callable[[Tensor], Tensor]:
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection  # noqa: PLC0415 - takes seconds

        fields = {name: self._settings[name] for name in _SETTINGS if name in self._settings}
        fields |= {**_SPECIAL_TOKENS, "projection_dim": self.width, "max_position_embeddings": self.most_tokens}

        def build() -> nn.Module:
            config: Any = CLIPTextConfig(**fields)  # type: ignore[arg-type]  # checked by transformers
            return cast("nn.Module", CLIPTextModelWithProjection(config))

        network: Any = load_pretrained(build, self._folder)

        def compute(tokens: Tensor) -> Tensor:
            hidden: Tensor = network.text_model(input_ids=tokens).last_hidden_state  # (B, L, H)
            projected: Tensor = network.text_projection(hidden[:, -1])
            return projected

        return compute

    def _load_siglip(self) -> Callable[[Tensor], Tensor]:
        from transformers import SiglipConfig, SiglipTextModel  # noqa: PLC0415 - takes seconds

        def build() -> nn.Module:
            config: Any = SiglipConfig(**self._config)
            return cast("nn.Module", SiglipTextModel(config.text_config))

        network: Any = load_pretrained(build, self._folder, prefix="text_model.")
        padding = self._number(self._settings, "pad_token_id", 1)

        def compute(tokens: Tensor) -> Tensor:
            # SigLIP learned from texts that are filled up, and its last position holds the result.
            filled = nn.functional.pad(tokens, (0, self.most_tokens - tokens.shape[1]), value=padding)
            pooled: Tensor = network(input_ids=filled).pooler_output
            return pooled

        return compute
