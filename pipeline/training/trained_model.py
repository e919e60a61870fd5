"""Save and load a trained model: model.safetensors and model.json.

Prediction needs nothing else but the extractor's weights.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from daan.baselines.anchored import Anchored
from daan.baselines.zero_shot import ZeroShotConfig
from daan.method import Method
from extractors.text.spec import TextSpec
from pipeline.base.errors import IncompatibleFeaturesError, MissingStageError, StorageError, UsageError
from pipeline.base.files import checked_document, read_bytes, read_json, replacing, write_json
from pipeline.base.wording import not_a_file
from pipeline.datasets.phrases import Phrases, parse_phrases, phrases_text
from pipeline.features.feature_set import Standardiser
from pipeline.scoring.held_out import Calibration, HeldOutDistances
from pipeline.settings.training import MethodName
from pipeline.training.methods import build_method, config_class
from pipeline.training.run_files import DESCRIPTION, WEIGHTS, check_file, checksums_of

SCHEMA = 4  # schema 3 had no checksums; schema 2 had another temporal bypass, and no validation distances
# These attributes are not compared: they may differ although the extractor computes the same features.
_NOT_COMPARED = {
    "content",
    "extractor_fingerprint",
    "schema",
    "dtype",
    "weights",
    "weights_file",
    "paired_text",
    "clip",
    "clap",
}
_HELD_OUT = "validation."  # prefix of the validation distances in model.safetensors


@dataclass(frozen=True)
class ModelClass:
    """A class of a model."""

    name: str
    phrases: Phrases
    seen: bool  # whether the class was trained on

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the class in model.json."""
        return {"name": self.name, "phrase": phrases_text(self.phrases), "seen": self.seen}


@dataclass(frozen=True)
class Model:
    """A trained network with everything that its predictions need."""

    network: Method
    standardiser: Standardiser
    classes: tuple[ModelClass, ...]
    class_vectors: NDArray[np.float32]  # (C, W), rows in the order of `classes`
    text_encoder: Mapping[str, str]  # identity of the text encoder
    text_spec: TextSpec  # how to load the text encoder
    extractor: Mapping[str, Any]  # attributes of the features that the model was trained on
    betas: Mapping[str, float]  # score -> beta, which is added to the distances of seen classes
    temperatures: Mapping[str, float]  # score -> temperature of the softmax
    score: str  # the score used for predictions
    training: Mapping[str, Any]  # best epoch, validation metrics, unseen classes, fingerprint
    # Published grid -> score -> the beta that it chose in validation.
    grid_betas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    # The distances of validation videos by `score`, which calibrate predictions; None if there were too few videos.
    held_out: HeldOutDistances | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether these are encoders as they are: nothing was trained, and no class is known."""
        return not self.classes

    def calibration(self, seen_names: int, unseen_names: int) -> Calibration:
        """Derive the calibration for some numbers of seen and unseen class names, for distances by `score`."""
        if self.held_out is None:
            return Calibration.none()
        return self.held_out.calibration(seen_names, unseen_names)


def save_model(folder: Path, model: Model) -> None:
    """Write model.safetensors, then model.json, which makes the model complete."""
    tensors = {f"network.{name}": value.contiguous() for name, value in model.network.state_dict().items()}
    tensors |= {
        f"standardiser.{entry.name}": getattr(model.standardiser, entry.name)
        for entry in dataclasses.fields(Standardiser)
    }
    tensors["class_vectors"] = torch.from_numpy(model.class_vectors)
    if model.held_out is not None:
        tensors |= {
            f"{_HELD_OUT}{entry.name}": torch.from_numpy(np.ascontiguousarray(getattr(model.held_out, entry.name)))
            for entry in dataclasses.fields(HeldOutDistances)
        }
    with replacing(folder / WEIGHTS) as temporary:
        # Written as bytes: if the disk is full, safetensors' own writing raises another kind of error.
        temporary.write_bytes(safetensors.torch.save({name: value.cpu() for name, value in tensors.items()}))
    description = {
        "schema": SCHEMA,
        "method": model.network.about.name,
        model.network.about.name: dataclasses.asdict(model.network.config),
        "classes": [entry.to_json() for entry in model.classes],
        "text_encoder": dict(model.text_encoder),
        # A path inside the workspace is stored relative to it, so that the workspace may be moved.
        "text_spec": model.text_spec.to_text(_workspace_of(folder)),
        "extractor": dict(model.extractor),
        "betas": dict(model.betas),
        "temperatures": dict(model.temperatures),
        "score": model.score,
        "training": dict(model.training),
        "grid_betas": {grid: dict(betas) for grid, betas in model.grid_betas.items()},
        **({"anchor": dataclasses.asdict(model.network.frozen.config)} if isinstance(model.network, Anchored) else {}),
        "files": checksums_of(folder),
    }
    write_json(folder / DESCRIPTION, description)


def _workspace_of(folder: Path) -> Path:
    """Return the workspace of the folder models/<run>; for a copied model folder, its second parent."""
    return folder.absolute().parent.parent


def is_complete(folder: Path) -> bool:
    """Check whether the training of a run is finished."""
    return (folder / DESCRIPTION).exists()


@dataclass(frozen=True)
class ClassDescription:
    """A class in model.json."""

    name: str
    phrase: str
    seen: bool


@dataclass(frozen=True)
class ModelDescription:
    """The content of model.json."""

    classes: list[ClassDescription]
    text_encoder: dict[str, str]
    text_spec: str
    extractor: dict[str, Any]
    betas: dict[str, float]
    temperatures: dict[str, float]
    score: str
    training: dict[str, Any]
    files: dict[str, str]  # name -> sha256 of the run's other files
    method: MethodName = "daan"  # models of older versions do not name it
    options: dict[str, Any] = field(default_factory=dict)  # of the method; in model.json they have its name
    grid_betas: dict[str, dict[str, float]] = field(default_factory=dict)
    anchor: ZeroShotConfig | None = None  # the frozen encoders that the distances are mixed with


def read_description(folder: Path) -> ModelDescription:
    """Read model.json.

    Raises:
        StorageError: a file that does not exist, is damaged, or has another schema.
    """
    path = folder / DESCRIPTION

    def damage(fault: str) -> StorageError:
        return StorageError(f"{path} is damaged ({fault}): train the model again")

    description = read_json(path, damage)
    if not isinstance(description, dict) or "schema" not in description:
        raise StorageError(f"{path} is damaged (it lacks schema): train the model again")
    if description["schema"] != SCHEMA:
        raise StorageError(
            f"{folder} is a model of schema {description['schema']}, this version of avzsl reads {SCHEMA}: "
            "train it again"
        )
    options = description.get(description.get("method", "daan"), {})
    return checked_document({**description, "options": options}, ModelDescription, damage)


def run_file(folder: Path, name: str) -> Path:
    """Return the path of a file of a run, a name of run_files.py; if the run is finished, check the file first.

    Raises:
        StorageError: a file that cannot be read, or is not what training wrote.
    """
    return check_file(folder, name, read_description(folder).files if is_complete(folder) else {})


def load_model(folder: Path, device: torch.device) -> Model:
    """Read a model folder.

    Raises:
        MissingStageError: a folder without a finished model.
        StorageError: files that are damaged or of another version.
    """
    if not folder.exists() and (folder.is_symlink() or set("*?[") & set(str(folder))):
        raise UsageError(f"{not_a_file(folder)} Give the folder of a model, such as one in models/ of a workspace")
    if not is_complete(folder):
        raise MissingStageError(
            f"{folder} does not contain a trained model: run avzsl train first, or give a model folder with --model"
        )
    description = read_description(folder)
    check_file(folder, WEIGHTS, description.files)
    tensors = _read_tensors(folder)
    config = checked_document(
        description.options, config_class(description.method), lambda fault: _damaged_model(folder, ValueError(fault))
    )
    network = build_method(description.method, config)
    if description.anchor is not None:
        network = Anchored(network, description.anchor)
    try:
        network.load_state_dict(_with_prefix(tensors, "network."))
    except RuntimeError as error:  # weights are missing, unknown or of another shape
        raise _damaged_model(folder, error) from error
    return Model(
        network=network.to(device).eval(),
        standardiser=Standardiser(**_with_prefix(tensors, "standardiser.")).to(device),
        classes=tuple(ModelClass(one.name, parse_phrases(one.phrase), one.seen) for one in description.classes),
        class_vectors=tensors["class_vectors"].numpy(),
        text_encoder=description.text_encoder,
        text_spec=TextSpec.from_text(description.text_spec, _workspace_of(folder)),
        extractor=description.extractor,
        betas=description.betas,
        temperatures=description.temperatures,
        score=description.score,
        training=description.training,
        grid_betas=description.grid_betas,
        held_out=_held_out(folder, tensors),
    )


def _held_out(folder: Path, tensors: Mapping[str, torch.Tensor]) -> HeldOutDistances | None:
    """Read and check the validation distances; None if the model has none."""
    stored = _with_prefix(tensors, _HELD_OUT)
    if not stored:
        return None
    types = {"distances": torch.float32, "labels": torch.int64, "seen": torch.bool}
    found = {name: values.dtype for name, values in stored.items()}
    if found != types:
        raise _damaged_model(folder, ValueError(f"validation distances {found}"))
    try:
        return HeldOutDistances(**{name: values.numpy() for name, values in stored.items()})
    except ValueError as error:  # shapes that do not fit, or distances that are not finite
        raise _damaged_model(folder, error) from error


def _read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Read model.safetensors, which must contain class vectors and a standardiser."""
    path = folder / WEIGHTS
    content = read_bytes(path)
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise _damaged_model(folder, error) from error
    needed = {"class_vectors", *(f"standardiser.{entry.name}" for entry in dataclasses.fields(Standardiser))}
    if not needed <= tensors.keys():
        raise _damaged_model(folder, KeyError(f"model.safetensors lacks {min(needed - tensors.keys())}"))
    return tensors


def _damaged_model(folder: Path, error: Exception) -> StorageError:
    return StorageError(f"the model in {folder} is damaged ({' '.join(str(error).split())[:120]}): train it again")


def _with_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def check_extractor(model: Model, attributes: Mapping[str, Any], what: str) -> None:
    """Refuse features that come from another extractor than the model's features.

    Args:
        model: the model.
        attributes: attributes of the features.
        what: name of the features in the message.

    Raises:
        IncompatibleFeaturesError: attributes that differ; the message lists the first ones.
    """
    names = sorted((model.extractor.keys() | attributes.keys()) - _NOT_COMPARED)
    different = [name for name in names if model.extractor.get(name) != attributes.get(name)]
    if different:
        shown = ", ".join(
            f"{name} {attributes.get(name)} instead of {model.extractor.get(name)}" for name in different[:3]
        )
        raise IncompatibleFeaturesError(
            f"{what} come from another extractor than the model's: {shown}. Extract as for the model, or train again"
        )


def model_classes(names: Sequence[str], phrases: Mapping[str, Phrases], seen: Sequence[bool]) -> tuple[ModelClass, ...]:
    """Make the classes of a model, in order, from names, phrases and seen flags."""
    return tuple(ModelClass(name, phrases[name], flag) for name, flag in zip(names, seen, strict=True))
