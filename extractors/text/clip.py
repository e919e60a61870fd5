"""Encode phrases with the text tower of a CLIP model, from a folder or the hub."""

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
# They select the state that transformers pools, which is not used here. In many published files they are wrong.
_SPECIAL_TOKENS = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": None}
_MODEL_TYPES = {"clip", "clip_text_model"}
_PHRASES_AT_ONCE = 64
_MAX_PHRASE_TOKENS = 77  # of every published CLIP; the rest of a longer description is ignored
# The errors of transformers, for a network whose sizes make no sense or do not fit the weights.
_NETWORK_ERRORS = (KeyError, TypeError, ValueError, RuntimeError)


def load_clip(spec: TextSpec, cache_dir: Path | None) -> "ClipText":
    """Load the text tower that `spec` names; fetch a model on the hub if it is not in the cache.

    Raises:
        TextEncoderError: a file that is missing or damaged, or cannot be fetched.
    """
    folder = spec.path if spec.path is not None else fetch_clip(spec.location, cache_dir)
    return ClipText(folder)


class ClipText:
    """Computes CLIP's text features: the last token's state, projected and scaled to length 1.

    The first `encode` loads the network. So the identity only needs checksums, not the slow import of transformers.

    Args:
        folder: folder with config.json, tokenizer.json and model.safetensors. No other file is read. In particular, a
            model stored as a pickle (pytorch_model.bin) is never read, because a pickle can run code.

    Raises:
        TextEncoderError: a file that is missing, damaged or of another model.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        checksums = [_sha256(folder, name) for name in _FILES]
        self.identity: Mapping[str, str] = {
            "encoder": "clip",
            "sha256": hashlib.sha256("".join(checksums).encode()).hexdigest(),  # of the three files' checksums
        }
        self._settings = self._read_settings()
        self.width = int(self._settings["projection_dim"])
        self._loaded: tuple[Tokenizer, CLIPTextModelWithProjection] | None = None

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (C, W) of C phrases, which are used unchanged, in the same order, each of length 1.

        Raises:
            NoVectorError: blank phrases.
            TextEncoderError: a damaged file.
        """
        refuse_blank(phrases)
        vectors = np.zeros((len(phrases), self.width), np.float32)
        if not phrases:
            return vectors
        tokens = [encoded.ids for encoded in self._load()[0].encode_batch(list(phrases))]
        # Phrases of equal length are in one batch, so that nothing is padded and the last token marks the end.
        indices_by_length: dict[int, list[int]] = {}
        for index, ids in enumerate(tokens):
            indices_by_length.setdefault(len(ids), []).append(index)
        for indices in indices_by_length.values():
            for start in range(0, len(indices), _PHRASES_AT_ONCE):
                batch = indices[start : start + _PHRASES_AT_ONCE]
                vectors[batch] = self._encode_batch(torch.tensor([tokens[index] for index in batch])).numpy()
        if not np.isfinite(vectors).all():
            raise self._damaged("its vectors contain numbers that are not finite")
        return vectors

    @torch.inference_mode()
    def _encode_batch(self, tokens: Tensor) -> Tensor:
        """Return the vectors (B, W) of (B, L) tokens."""
        network = self._load()[1]
        hidden: Tensor = network.text_model(input_ids=tokens).last_hidden_state  # (B, L, H)
        projected: Tensor = network.text_projection(hidden[:, -1])
        return torch.nn.functional.normalize(projected, dim=1)

    def _load(self) -> "tuple[Tokenizer, CLIPTextModelWithProjection]":
        if self._loaded is None:
            self._loaded = self._tokenizer(), self._network()
        return self._loaded

    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer  # noqa: PLC0415 - needed only with transformers

        try:
            tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
        except Exception as error:  # tokenizers raises no narrower type for a damaged file
            raise self._damaged(f"{TOKENIZER}: {error}") from error
        if not tokenizer.num_special_tokens_to_add(is_pair=False):
            raise self._damaged(f"its {TOKENIZER} does not mark the end of a phrase")
        tokenizer.enable_truncation(self._settings["max_position_embeddings"])
        tokenizer.no_padding()
        return tokenizer

    def _network(self) -> "CLIPTextModelWithProjection":
        from huggingface_hub.errors import StrictDataclassError  # noqa: PLC0415 - as below
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection  # noqa: PLC0415 - takes seconds

        # Built without `from_pretrained`, which draws a progress bar and reads a pickle if there is no other file.
        fields: dict[str, Any] = {**self._settings, **_SPECIAL_TOKENS}
        try:
            config = CLIPTextConfig(**fields)
            # The initial random weights of the network must not change the random state of a training.
            with torch.random.fork_rng(devices=[]):
                network = CLIPTextModelWithProjection(config)
        except (StrictDataclassError, *_NETWORK_ERRORS) as error:
            raise self._damaged(f"{CONFIG}: {error}") from error
        names = list(network.state_dict())
        try:
            with safe_open(self._folder / WEIGHTS, framework="pt") as file:
                weights = {name: file.get_tensor(name).float() for name in names}
        except (SafetensorError, OSError) as error:
            raise self._damaged(str(error)) from error
        try:
            network.load_state_dict(weights, assign=True)
        except RuntimeError as error:  # the shapes differ
            raise self._damaged(str(error)) from error
        network.train(mode=False)
        return network

    def _read_settings(self) -> dict[str, Any]:
        """Read the sizes of the text tower; the output's size comes from the weights."""
        try:
            document = json.loads((self._folder / CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(str(error)) from error
        kind = document.get("model_type") if isinstance(document, dict) else None
        if kind not in _MODEL_TYPES:
            raise TextEncoderError(
                f"{self._folder} contains no CLIP model ({kind or 'unknown'}): give a model with a text tower"
            )
        settings = document.get("text_config") or document
        if not isinstance(settings, dict):
            raise self._damaged(f"{CONFIG}: text_config is not an object")
        tokens = settings.get("max_position_embeddings", _MAX_PHRASE_TOKENS)
        if not isinstance(tokens, int):
            raise self._damaged(f"{CONFIG}: max_position_embeddings is {tokens!r}")
        try:
            with safe_open(self._folder / WEIGHTS, framework="pt") as file:
                width = file.get_slice(_PROJECTION).get_shape()[0]
        except (SafetensorError, OSError) as error:
            raise self._damaged(str(error)) from error
        return {name: settings[name] for name in _SETTINGS if name in settings} | {
            "projection_dim": width,
            "max_position_embeddings": tokens,
        }

    def _damaged(self, fault: str) -> TextEncoderError:
        reason = " ".join(fault.split())[:120]
        return TextEncoderError(
            f"the CLIP model in {self._folder} cannot be loaded ({reason}): download its files again"
        )


def _sha256(folder: Path, name: str) -> str:
    path = folder / name
    try:
        return sha256_of_file(path)
    except FileNotFoundError as error:
        note = "pytorch_model.bin is never read, as a pickle can run code; " if name == WEIGHTS else ""
        raise TextEncoderError(
            f"{folder} has no {name}: {note}a CLIP model needs {', '.join(_FILES)}, as transformers saves them"
        ) from error
    except OSError as error:
        raise TextEncoderError(
            f"{path} cannot be read ({error.strerror}): check the file, or download it again"
        ) from error


def fetch_clip(name: str, cache_dir: Path | None) -> Path:
    """Fetch a model's files and return their folder; with AVZSL_OFFLINE=1 in the environment, only use the cache.

    Args:
        name: name of the model on the hub, such as openai/clip-vit-large-patch14.
        cache_dir: folder for models; None for huggingface_hub's own cache.

    Raises:
        TextEncoderError: a model that does not exist, has other formats, or cannot be fetched.
    """
    from huggingface_hub import errors, hf_hub_download  # noqa: PLC0415 - takes half a second

    offline = is_offline()
    try:
        # The weights come last, so that nothing large is fetched if another file is missing.
        paths = [
            hf_hub_download(name, file, cache_dir=cache_dir, local_files_only=offline)
            for file in (CONFIG, TOKENIZER, WEIGHTS)
        ]
    except errors.LocalEntryNotFoundError as error:
        reason = "AVZSL_OFFLINE is set" if offline else "the hub cannot be reached"
        raise TextEncoderError(f"the CLIP model {name} is not in the cache and {reason}: {_REMEDY}") from error
    except errors.EntryNotFoundError as error:
        raise TextEncoderError(
            f"{name} does not hold {CONFIG}, {TOKENIZER} and {WEIGHTS}; no other files are read "
            "(a pickle can run code): give a model with these files, such as openai/clip-vit-large-patch14"
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise TextEncoderError(f"{name!r} is not a model on the hub (or not a public one): {_REMEDY}") from error
    except (errors.HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise TextEncoderError(f"cannot fetch the CLIP model {name} ({reason}): {_REMEDY}") from error
    return Path(paths[0]).parent
