"""The checkpoints SeLaVi's authors published: read without running what is in them, loaded completely or not at all."""

import argparse
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from extractors.errors import WeightsError

_SHOWN_KEYS = 3
_UNUSED_KEY = "num_batches_tracked"  # matters to training only; older checkpoints lack it


def load_weights(path: Path, networks: Mapping[str, nn.Module]) -> None:
    """Load the weights of each network from a checkpoint.

    Args:
        path: a file whose entry `model` holds `[module.]<network>.base.<parameter>`; everything else in it is ignored.
        networks: by their name in the checkpoint (`video_network`, `audio_network`); changed in place.

    Raises:
        WeightsError: no checkpoint, a pickle that wants more than tensors, or a parameter is missing, unknown,
            mis-shaped or not finite.
    """
    state = _read_state(path)
    prefixes = tuple(f"{name}." for name in networks)
    given = {key: value for key, value in state.items() if key.startswith(prefixes)}
    expected = {
        f"{name}.base.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()
    }
    _check(path, given, expected)
    for name, network in networks.items():
        prefix = f"{name}.base."
        own = {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
        network.load_state_dict(own, strict=False)  # the counters of batches may be absent


def _read_state(path: Path) -> dict[str, Any]:
    """The entry `model`, without the prefix that data-parallel training puts before each key."""
    try:
        # The authors saved their command line beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings(action="ignore"):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of any bytes makes the reader raise anything
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            message = (
                f"{path} is refused: it wants to load {refused[1]}, which no weights need. Get it from its authors."
            )
        elif isinstance(error, OSError):
            message = f"{path} cannot be read: {error.strerror or error}."
        else:
            message = f"{path} is no checkpoint that PyTorch can read. It may be cut short: get it again."
        raise WeightsError(message) from error
    model = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(model, dict):
        raise WeightsError(
            f"{path} is no SeLaVi checkpoint: it has no entry 'model'. Pass one that SeLaVi's authors published."
        )
    state = {str(key).removeprefix("module."): value for key, value in model.items()}
    if len(state) < len(model):
        twice = [key for key in state if key in model and f"module.{key}" in model]
        raise WeightsError(f"{path} holds keys with and without 'module.' ({_first(twice)}). Pass another checkpoint.")
    return state


def _check(path: Path, given: Mapping[str, Any], expected: Mapping[str, Tensor]) -> None:
    shapes = {key: tuple(value.shape) if _is_plain(value) else None for key, value in given.items()}
    misshaped = [
        f"{key} is {'no tensor' if shapes[key] is None else shapes[key]} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in shapes and shapes[key] != tuple(value.shape)
    ]
    faults = {
        "missing": [key for key in expected if key not in given and not key.endswith(_UNUSED_KEY)],
        "unexpected": [key for key in given if key not in expected],
        "mis-shaped": misshaped,
    }
    if any(faults.values()):
        said = "; ".join(f"{len(keys)} {fault} ({_first(keys)})" for fault, keys in faults.items() if keys)
        raise WeightsError(f"{path} does not fit the network: {said}. Pass a SeLaVi checkpoint.")
    odd = [key for key, value in given.items() if not torch.isfinite(value).all()]
    if odd:
        raise WeightsError(f"{path} holds numbers that are not finite ({_first(odd)}). Pass another checkpoint.")


def _is_plain(value: object) -> bool:
    """Whether it is a tensor of ordinary numbers, and they are there."""
    return isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN_KEYS]) + (", ..." if len(keys) > _SHOWN_KEYS else "")
