"""A model in the layout of transformers: config.json, preprocessing, tokenizer and weights in one folder.

Nothing in it is trusted: JSON is parsed, safetensors are read, and a pickle only if it is a published one that is known
by its sha256.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extractors.errors import WeightsError
from extractors.files.checksums import cached_sha256

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, TOKENIZER, WEIGHTS, PICKLE = "config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin"
# The preprocessing stands in the first of these files that exists; in the last one, in a section of its own.
_PREPROCESSING = {
    "image_processor": ("preprocessor_config.json", "processor_config.json"),
    "feature_extractor": ("preprocessor_config.json", "processor_config.json"),
    "video_processor": ("video_preprocessor_config.json", "processor_config.json"),
}
# Published weights that exist only as a pickle: sha256 -> what they are.
_KNOWN_PICKLES = {
    "1cd3c601bc4afe0fa87be3de4c13dd2cfadd249fac1e29acf74a9b296c3219bb": "laion/clap-htsat-unfused",
    "a63082132ba4f97a80bea76823f544493bffa8082296d62d71581a4feff1576f": "openai/clip-vit-base-patch32",
}
_LARGEST_JSON_BYTES = 1 << 24
_LONGEST_FAULT = 140


class ModelFolder:
    """The files of a model.

    Args:
        path: the folder.
        what: what should be in it, for messages, such as `a CLIP model`.
        cache_dir: folder for the checksums of large files; None to cache none.

    Raises:
        WeightsError: a folder that does not exist.
    """

    def __init__(self, path: Path, what: str, cache_dir: Path | None = None) -> None:
        self.path = path
        self._what = what
        self._cache_dir = cache_dir
        if not path.is_dir():
            raise WeightsError(f"{path} is not a folder: give the folder of {what}, as transformers saves it")

    def config(self) -> dict[str, Any]:
        """Read config.json.

        Raises:
            WeightsError: a file that does not exist, or is no JSON object.
        """
        return self._json(CONFIG)

    def kind(self, known: Collection[str], named: str, advice: str = "give the folder of one") -> str:
        """Return the kind of model, as config.json names it.

        Args:
            known: the kinds that are wanted.
            named: their name in the message.
            advice: what to do with another model.

        Raises:
            WeightsError: another model.
        """
        found = self.config().get("model_type")
        if not isinstance(found, str) or found not in known:
            raise WeightsError(f"{self.path} contains no {named} model ({found or 'unknown'}): {advice}")
        return found

    def preprocessing(self, section: str) -> dict[str, Any]:
        """Read how inputs are made: the section image_processor, feature_extractor or video_processor.

        Raises:
            WeightsError: none of the files exists, or is no JSON object.
        """
        for name in _PREPROCESSING[section]:
            if (self.path / name).is_file():
                document = self._json(name)
                found = document.get(section, document)
                if isinstance(found, dict):
                    return found
        raise self.lacks(_PREPROCESSING[section][0])

    def sha256(self, names: Iterable[str]) -> str:
        """Return the sha256 of the checksums of some files and of the weights.

        Raises:
            WeightsError: a file that does not exist or cannot be read.
        """
        paths = [*(self.path / name for name in names), self.weights()]
        try:
            checksums = [cached_sha256(path, self._cache_dir) for path in paths]
        except FileNotFoundError as error:
            raise self.lacks(Path(error.filename).name) from error
        except OSError as error:
            raise WeightsError(f"{error.filename} cannot be read ({error.strerror}): check the file") from error
        return hashlib.sha256("".join(checksums).encode()).hexdigest()

    def weights(self) -> Path:
        """Return the file of the weights.

        Raises:
            WeightsError: there is none, or only a pickle that is not known.
        """
        if (self.path / WEIGHTS).is_file():
            return self.path / WEIGHTS
        pickle = self.path / PICKLE
        if not pickle.is_file():
            raise self.lacks(WEIGHTS)
        if cached_sha256(pickle, self._cache_dir) not in _KNOWN_PICKLES:
            raise WeightsError(
                f"{pickle} is a pickle, which can run code, and none that is known: save the model as {WEIGHTS} "
                "(save_pretrained of transformers does)"
            )
        return pickle

    def tensors(self, names: Mapping[str, "Tensor"]) -> "dict[str, Tensor]":
        """Read tensors by name, in the shapes of the given ones; float types become float32.

        Args:
            names: the wanted tensors of a network, whose values are not used.

        Raises:
            WeightsError: weights of another architecture, or a damaged file.
        """
        import torch  # noqa: PLC0415 - a folder can be checked without torch

        path = self.weights()
        try:
            found = _read_safetensors(path, names) if path.name == WEIGHTS else _read_pickle(path, names)
        except Exception as error:  # on arbitrary bytes, the readers can raise any exception
            raise self.damaged(f"{path.name}: {error}") from error
        missing = [name for name in names if name not in found]
        if missing:
            raise WeightsError(
                f"{path} is not of {self._what} of this architecture: {len(missing)} of {len(names)} weights are "
                f"missing ({missing[0]})"
            )
        for name, value in names.items():
            if found[name].shape != value.shape:
                raise WeightsError(
                    f"{path} does not fit its {CONFIG}: {name} is {tuple(found[name].shape)}, expected "
                    f"{tuple(value.shape)}"
                )
        tensors = {name: value.float() if value.is_floating_point() else value for name, value in found.items()}
        bad = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
        if bad:
            raise self.damaged(f"{path.name}: {bad[0]} holds numbers that are not finite")
        return tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Read the shape of a weight, without the weight.

        Raises:
            WeightsError: the weights have none of this name, or are damaged.
        """
        from safetensors import safe_open  # noqa: PLC0415 - imports torch

        path = self.weights()
        try:
            if path.name != WEIGHTS:
                found = _read_pickle(path, (name,))
                return tuple(found[name].shape)
            with safe_open(path, framework="pt") as file:
                return tuple(file.get_slice(name).get_shape())
        except Exception as error:  # on arbitrary bytes, the readers can raise any exception
            raise self.damaged(f"{path.name}: {error}") from error

    def number(self, name: str) -> float:
        """Read a weight that is a single number, such as the logarithm of a scale.

        Raises:
            WeightsError: the weights have no such number.
        """
        import torch  # noqa: PLC0415 - a folder can be checked without torch

        for shape in ((), (1,)):
            try:
                return float(self.tensors({name: torch.zeros(shape)})[name])
            except WeightsError as error:
                fault = error
        raise fault

    def lacks(self, name: str) -> WeightsError:
        """Make the error about a file that does not exist."""
        return WeightsError(f"{self.path} has no {name}: give the folder of {self._what}, as transformers saves it")

    def damaged(self, fault: str) -> WeightsError:
        """Make the error about a file that cannot be used."""
        reason = " ".join(fault.split())[:_LONGEST_FAULT]
        return WeightsError(f"the model in {self.path} cannot be loaded ({reason}): get its files again")

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            if path.stat().st_size > _LARGEST_JSON_BYTES:
                raise self.damaged(f"{name} is larger than {_LARGEST_JSON_BYTES} bytes")
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise self.lacks(name) from error
        except (OSError, ValueError, RecursionError) as error:
            raise self.damaged(f"{name}: {error}") from error
        if not isinstance(document, dict):
            raise self.damaged(f"{name} is no JSON object")
        return document


def _read_safetensors(path: Path, names: Iterable[str]) -> "dict[str, Tensor]":
    from safetensors import safe_open  # noqa: PLC0415 - imports torch

    with safe_open(path, framework="pt") as file:
        present = set(file.keys())
        return {name: file.get_tensor(name) for name in names if name in present}


def _read_pickle(path: Path, names: Iterable[str]) -> "dict[str, Tensor]":
    import torch  # noqa: PLC0415 - a folder can be checked without torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: state[name] for name in names if isinstance(state.get(name), torch.Tensor)}
