"""Encode texts with the text tower of a CLAP model, from a folder or the hub."""

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from extractors.files.pretrained import load_pretrained
from extractors.text.tower import TextTower

_POSITIONS = 514  # of RoBERTa
_UNUSED_POSITIONS = 2  # RoBERTa counts from the number of the padding token plus 1


class ClapText(TextTower):
    """Computes CLAP's text features: the pooled state, projected, scaled to length 1."""

    kind = "clap"
    what = "a CLAP model"

    def _check_kind(self) -> None:
        self._folder.kind(("clap",), "CLAP")

    def _read_width(self) -> int:
        return self._number(self._config, "projection_dim", 512)

    def _read_most_tokens(self) -> int:
        positions = self._number(self._section("text_config"), "max_position_embeddings", _POSITIONS)
        return positions - _UNUSED_POSITIONS

    def _load_network(self) -> Callable[[Tensor], Tensor]:
        from transformers import ClapConfig, ClapTextModelWithProjection  # noqa: PLC0415 - takes seconds

        def build() -> nn.Module:
            whole: Any = ClapConfig(**self._config)
            whole.text_config.projection_dim = whole.projection_dim
            return cast("nn.Module", ClapTextModelWithProjection(whole.text_config))

        network: Any = load_pretrained(build, self._folder)

        def compute(tokens: Tensor) -> Tensor:
            vectors: Tensor = network(input_ids=tokens).text_embeds
            return vectors

        return compute
