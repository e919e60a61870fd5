"""What the text towers of CLIP, SigLIP, CLAP and PE-AV have in common: a folder, a tokenizer, and batches of tokens."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extractors.errors import NoVectorError, TextEncoderError, WeightsError
from extractors.files.hub import fetch_model
from extractors.files.model_folder import CONFIG, TOKENIZER, ModelFolder
from extractors.text.encoder import refuse_blank
from extractors.text.spec import is_folder_of_model

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PHRASES_AT_ONCE = 64
_SHOWN_LETTERS = 60
_MOST_TOKENS = 1 << 16


@contextmanager
def tower_errors() -> Iterator[None]:
    """Convert the errors of a model's folder to those of text encoders."""
    try:
        yield
    except WeightsError as error:
        raise TextEncoderError(str(error)) from error


class TextTower(ABC):
    """Computes the vectors of texts with a network in a folder.

    The first `encode` loads the network. So the identity only needs checksums, not the slow import of transformers.

    Args:
        folder: folder with config.json, tokenizer.json and model.safetensors.
        cache_dir: folder for the checksums of large files; None to cache none.

    Attributes:
        identity: kind of the encoder, and sha256 of the three files.
        width: number W of values in a vector.

    Raises:
        TextEncoderError: a file that is missing, damaged or of another model.
    """

    kind: ClassVar[str]
    what: ClassVar[str]  # for messages

    def __init__(self, folder: Path, cache_dir: Path | None = None) -> None:
        with tower_errors():
            self._folder = ModelFolder(folder, self.what, cache_dir)
            self._config = self._folder.config()
            self._check_kind()
            self.identity: Mapping[str, str] = {
                "encoder": self.kind,
                "sha256": self._folder.sha256((CONFIG, TOKENIZER)),
            }
            self.width = self._read_width()
            self.most_tokens = self._read_most_tokens()
        self._loaded: tuple[Tokenizer, Callable[[Tensor], Tensor]] | None = None

    @abstractmethod
    def _check_kind(self) -> None:
        """Refuse the folder of another model."""

    @abstractmethod
    def _read_width(self) -> int:
        """Read the width of a vector."""

    @abstractmethod
    def _read_most_tokens(self) -> int:
        """Read how many tokens the network takes."""

    @abstractmethod
    def _load_network(self) -> Callable[[Tensor], Tensor]:
        """Load the network: (B, L) tokens, all of one length -> (B, W)."""

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (C, W) of C texts, which are used unchanged, in the same order, each of length 1.

        Raises:
            NoVectorError: blank texts, or texts that are longer than the network takes.
            TextEncoderError: a damaged file.
        """
        refuse_blank(phrases)
        vectors = np.zeros((len(phrases), self.width), np.float32)
        if not phrases:
            return vectors
        tokens = [encoded.ids for encoded in self._load()[0].encode_batch(list(phrases))]
        self._refuse_long(phrases, tokens)
        # Texts of equal length are in one batch, so that nothing is padded and the last token marks the end.
        indices_by_length: dict[int, list[int]] = {}
        for index, ids in enumerate(tokens):
            indices_by_length.setdefault(len(ids), []).append(index)
        for indices in indices_by_length.values():
            for start in range(0, len(indices), _PHRASES_AT_ONCE):
                batch = indices[start : start + _PHRASES_AT_ONCE]
                vectors[batch] = self._encode_batch(torch.tensor([tokens[index] for index in batch])).numpy()
        if not np.isfinite(vectors).all():
            raise TextEncoderError(str(self._folder.damaged("its vectors contain numbers that are not finite")))
        return vectors

    def _refuse_long(self, phrases: Sequence[str], tokens: Sequence[Sequence[int]]) -> None:
        long = {phrase: len(ids) for phrase, ids in zip(phrases, tokens, strict=True) if len(ids) > self.most_tokens}
        if long:
            phrase, length = next(iter(long.items()))
            shown = phrase if len(phrase) <= _SHOWN_LETTERS else f"{phrase[:_SHOWN_LETTERS]}..."
            more = f" and {len(long) - 1} more" if len(long) > 1 else ""
            raise NoVectorError(
                f"{shown!r}{more}: {length} tokens, but {self.what} takes at most {self.most_tokens}: give a shorter "
                "phrase",
                {phrase: [] for phrase in long},
            )

    @torch.inference_mode()
    def _encode_batch(self, tokens: Tensor) -> Tensor:
        """Return the vectors (B, W) of (B, L) tokens."""
        vectors: Tensor = torch.nn.functional.normalize(self._load()[1](tokens).float(), dim=1)
        return vectors

    def _load(self) -> "tuple[Tokenizer, Callable[[Tensor], Tensor]]":
        if self._loaded is None:
            with tower_errors():
                self._loaded = self._load_tokenizer(), self._load_network()
        return self._loaded

    def _load_tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer  # noqa: PLC0415 - needed only with transformers

        try:
            tokenizer = Tokenizer.from_file(str(self._folder.path / TOKENIZER))
        except Exception as error:  # tokenizers raises no narrower type for a damaged file
            raise self._folder.damaged(f"{TOKENIZER}: {error}") from error
        if not tokenizer.num_special_tokens_to_add(is_pair=False):
            raise self._folder.damaged(f"its {TOKENIZER} does not mark the end of a phrase")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def _number(self, values: Mapping[str, object], name: str, default: int) -> int:
        """Read a size from config.json; transformers leaves out those that equal its defaults."""
        value = values.get(name, default)
        if not isinstance(value, int) or not 1 <= value <= _MOST_TOKENS:
            raise self._folder.damaged(f"{CONFIG}: {name} is {value!r}")
        return value

    def _section(self, name: str) -> dict[str, object]:
        """Return a section of config.json; an empty one if it is not there."""
        section = self._config.get(name) or {}
        if not isinstance(section, dict):
            raise self._folder.damaged(f"{CONFIG}: {name} is not an object")
        return section


def model_folder(location: str, kind: str, cache_dir: Path | None) -> Path:
    """Return the folder of a model: the one that is named, or that of a name on the hub, which is fetched if needed.

    Raises:
        TextEncoderError: a model that cannot be fetched.
    """
    if is_folder_of_model(location):
        return Path(location).expanduser()
    remedy = f"save its {CONFIG}, {TOKENIZER} and model.safetensors in a folder and give {kind}:FOLDER"
    with tower_errors():
        return fetch_model(location, _cache(cache_dir), remedy=remedy).folder


def _cache(cache_dir: Path | None) -> Path:
    return Path.home() / ".cache" / "avzsl" if cache_dir is None else cache_dir
