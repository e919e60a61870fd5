"""The text tower of a CLIP model, from a folder or the hub: phrases in the space that CLIP shares with pictures."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from extractors.errors import TextEncoderError
from extractors.files.checksums import sha256_of_file
from extractors.files.download import is_offline
from extractors.text.encoder import refuse_blank
from extractors.text.spec import TextSpec

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
_REMEDY = f"save its {CONFIG}, {TOKENIZER} and {WEIGHTS} in a folder and give clip:FOLDER"

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import CLIPTextModelWithProjection

_FILES = (CONFIG, TOKENIZER, WEIGHTS)
_PROJECTION = "text_projection.weight"
# What the weights do not say by their shapes.
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
# They decide which state transformers pools, which is not used here, and are wrong in many published files.
_SPECIAL_TOKENS = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": None}
_MODEL_TYPES = {"clip", "clip_text_model"}
_PHRASES_AT_ONCE = 64
_LONGEST_PHRASE_TOKENS = 77  # of every published CLIP; the rest of a longer description is not read
# What transformers, safetensors and tokenizers raise about files that are damaged or of another model.
_FAULTS = (KeyError, TypeError, ValueError, RuntimeError, SafetensorError)


def load_clip(spec: TextSpec, cache_dir: Path | None) -> "ClipText":
    """The text tower that `spec` names; a model on the hub is fetched where it is not in the cache.

    Raises:
        TextEncoderError: a file is missing or damaged, or cannot be fetched.
    """
    folder = spec.path if spec.path is not None else fetch_clip(spec.place, cache_dir)
    return ClipText(folder)


class ClipText:
    """Text features of CLIP: the last token's state, projected and scaled to length 1.

    The network is read at the first `encode`, so that asking for the identity costs checksums but not transformers.

    Args:
        folder: holds config.json, tokenizer.json and model.safetensors. No other file of it is read, and a model kept
            as a pickle (pytorch_model.bin) never is, as a pickle can run code.

    Raises:
        TextEncoderError: a file is missing, damaged or of another model.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        sums = [_sha256(folder, name) for name in _FILES]
        self.identity: Mapping[str, str] = {
            "encoder": "clip",
            "sha256": hashlib.sha256("".join(sums).encode()).hexdigest(),  # of the three files' own
        }
        self._settings = self._read_settings()
        self.width = int(self._settings["projection_dim"])
        self._loaded: tuple[Tokenizer, CLIPTextModelWithProjection] | None = None

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (C, W) of C phrases, as they are given, in their order, each of length 1.

        Raises:
            NoVectorError: a phrase is blank.
            TextEncoderError: a file is damaged.
        """
        refuse_blank(phrases)
        vectors = np.zeros((len(phrases), self.width), np.float32)
        if not phrases:
            return vectors
        tokens = [encoded.ids for encoded in self._load()[0].encode_batch(list(phrases))]
        # Phrases of equal length go together, so that nothing is padded and the last token is the end's.
        places_by_length: dict[int, list[int]] = {}
        for place, ids in enumerate(tokens):
            places_by_length.setdefault(len(ids), []).append(place)
        for places in places_by_length.values():
            for start in range(0, len(places), _PHRASES_AT_ONCE):
                batch = places[start : start + _PHRASES_AT_ONCE]
                vectors[batch] = self._encode_batch(torch.tensor([tokens[place] for place in batch])).numpy()
        if not np.isfinite(vectors).all():
            raise self._damaged(ValueError("its vectors are not all finite numbers"))
        return vectors

    @torch.inference_mode()
    def _encode_batch(self, tokens: Tensor) -> Tensor:
        """(B, W) of (B, L) tokens."""
        network = self._load()[1]
        hidden: Tensor = network.text_model(input_ids=tokens).last_hidden_state  # (B, L, H)
        projected: Tensor = network.text_projection(hidden[:, -1])
        return torch.nn.functional.normalize(projected, dim=1)

    def _load(self) -> "tuple[Tokenizer, CLIPTextModelWithProjection]":
        if self._loaded is None:
            try:
                self._loaded = self._tokenizer(), self._network()
            except _FAULTS as error:
                raise self._damaged(error) from error
        return self._loaded

    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer  # noqa: PLC0415 - with transformers

        try:
            tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
        except Exception as error:  # tokenizers raises nothing narrower for a damaged file
            raise ValueError(f"{TOKENIZER}: {error}") from error
        if not tokenizer.num_special_tokens_to_add(is_pair=False):
            raise ValueError(f"its {TOKENIZER} marks no end of a phrase")
        tokenizer.enable_truncation(int(self._settings["max_position_embeddings"]))
        tokenizer.no_padding()
        return tokenizer

    def _network(self) -> "CLIPTextModelWithProjection":
        from huggingface_hub.errors import StrictDataclassError  # noqa: PLC0415 - as below
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection  # noqa: PLC0415 - takes seconds

        # Built and filled by hand: `from_pretrained` draws a progress bar and takes a pickle where there is no other.
        fields: dict[str, Any] = {**self._settings, **_SPECIAL_TOKENS}
        try:
            config = CLIPTextConfig(**fields)
        except StrictDataclassError as error:
            raise ValueError(f"{CONFIG}: {error}") from error
        with torch.random.fork_rng(devices=[]):  # its first random weights must not move the seeds of a training
            network = CLIPTextModelWithProjection(config)
        with safe_open(self._folder / WEIGHTS, framework="pt") as file:
            weights = {name: file.get_tensor(name).float() for name in network.state_dict()}
        network.load_state_dict(weights, assign=True)
        network.train(mode=False)
        return network

    def _read_settings(self) -> dict[str, Any]:
        """Sizes of the text tower, its output's from the weights."""
        try:
            document = json.loads((self._folder / CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(error) from error
        kind = document.get("model_type") if isinstance(document, dict) else None
        if kind not in _MODEL_TYPES:
            raise TextEncoderError(
                f"{self._folder} holds no CLIP model ({kind or 'unknown'}): give one with a text tower"
            )
        text = document.get("text_config") or document
        try:
            with safe_open(self._folder / WEIGHTS, framework="pt") as file:
                width = file.get_slice(_PROJECTION).get_shape()[0]
            return {name: text[name] for name in _SETTINGS if name in text} | {
                "projection_dim": width,
                "max_position_embeddings": text.get("max_position_embeddings", _LONGEST_PHRASE_TOKENS),
            }
        except _FAULTS as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> TextEncoderError:
        reason = " ".join(str(error).split())[:120]
        return TextEncoderError(f"the CLIP model in {self._folder} cannot be loaded ({reason}): get its files again")


def _sha256(folder: Path, name: str) -> str:
    path = folder / name
    try:
        return sha256_of_file(path)
    except FileNotFoundError as error:
        others = "pytorch_model.bin is never read, as a pickle can run code; " if name == WEIGHTS else ""
        raise TextEncoderError(
            f"{folder} has no {name}: {others}a CLIP model needs {', '.join(_FILES)}, as transformers saves them"
        ) from error
    except OSError as error:
        raise TextEncoderError(f"{path} cannot be read ({error.strerror}): check the file, or get it again") from error


def fetch_clip(name: str, cache_dir: Path | None) -> Path:
    """The folder that holds the files of a model; with AVZSL_OFFLINE=1 in the environment only the cache is looked in.

    Args:
        name: on the hub, such as openai/clip-vit-large-patch14.
        cache_dir: where models are kept; None: where huggingface_hub keeps them.

    Raises:
        TextEncoderError: no such model, none in these formats, or it cannot be fetched.
    """
    from huggingface_hub import errors, hf_hub_download  # noqa: PLC0415 - takes half a second

    offline = is_offline()
    try:
        # The weights last: of a model without them nothing large is fetched.
        paths = [
            hf_hub_download(name, file, cache_dir=cache_dir, local_files_only=offline)
            for file in (CONFIG, TOKENIZER, WEIGHTS)
        ]
    except errors.LocalEntryNotFoundError as error:
        reason = "AVZSL_OFFLINE is set" if offline else "the hub cannot be reached"
        raise TextEncoderError(f"the CLIP model {name} is not in the cache and {reason}: {_REMEDY}") from error
    except errors.EntryNotFoundError as error:
        raise TextEncoderError(
            f"{name} does not hold {CONFIG}, {TOKENIZER} and {WEIGHTS}, which alone are read (a pickle can run code): "
            "take a model that does, such as openai/clip-vit-large-patch14"
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise TextEncoderError(f"{name!r} is no model on the hub (or not a public one): {_REMEDY}") from error
    except (errors.HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise TextEncoderError(f"cannot fetch the CLIP model {name} ({reason}): {_REMEDY}") from error
    return Path(paths[0]).parent
