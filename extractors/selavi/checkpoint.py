"""Load the checkpoints that SeLaVi's authors published: without running code in them, and completely or not at all."""

import argparse
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from extractors.errors import WeightsError

_SHOWN_KEYS = 3
_LENGTH_BYTES = 8  # a safetensors file begins with the length of its header, which is a JSON object
_PYTORCH_MAGICS = (b"PK", b"\x80")  # a zip file, or a pickle
_UNUSED_KEY = "num_batches_tracked"  # needed for training only; older checkpoints lack it


def load_weights(path: Path, networks: Mapping[str, nn.Module]) -> None:
    """Load the weights of each network from a checkpoint.

    Args:
        path: checkpoint file. Only the entries `[module.]<network>.base.<parameter>` in `model` are used. A
            safetensors file, which is known by its content, has these entries itself.
        networks: networks by their name in the checkpoint (`video_network`, `audio_network`), which may be without
            memory (on the device `meta`); changed in place.

    Raises:
        WeightsError: a file that is not a checkpoint, a pickle that would load more than tensors, or a parameter that
            is missing, unknown, mis-shaped or not finite.
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
        # The batch counters may be missing. Assigning saves a copy of all weights.
        loaded = {
            key: own[key].to(value.dtype).contiguous() if key in own else torch.zeros_like(value, device="cpu")
            for key, value in network.state_dict().items()
        }
        network.load_state_dict(loaded, assign=True)


def _read_state(path: Path) -> dict[str, Any]:
    """Read the weights and remove the prefix that data-parallel training puts before each key."""
    model = _read_safetensors(path) if _is_safetensors(path) else _read_model(path)
    state = {str(key).removeprefix("module."): value for key, value in model.items()}
    if len(state) < len(model):
        repeated = [key for key in state if key in model and f"module.{key}" in model]
        raise WeightsError(
            f"{path} holds the same keys with and without 'module.' ({_first(repeated)}). Pass another checkpoint."
        )
    return state


def _is_safetensors(path: Path) -> bool:
    """Find out the format from the content; of a file that is in no format, from its name, for the message."""
    try:
        with path.open("rb") as file:
            start = file.read(_LENGTH_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    if start[_LENGTH_BYTES:] == b"{":
        return True
    return path.suffix.lower() == ".safetensors" and not start.startswith(_PYTORCH_MAGICS)


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Read a safetensors file, whose keys are those of the entry `model` of the authors' checkpoints."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        return dict(load(content))
    except Exception as error:  # on arbitrary bytes, the reader can raise any exception
        raise WeightsError(f"{path} is not a whole safetensors file ({error}). Get it again.") from error


def _read_model(path: Path) -> dict[Any, Any]:
    """Read the entry `model` of a checkpoint that PyTorch saved."""
    try:
        # The authors saved their command line together with the weights.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings(action="ignore"):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on arbitrary bytes, the reader can raise any exception
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused:
            message = f"{path} is refused: it would load {refused[1]}, which no weights need. Get it from its authors."
        elif isinstance(error, OSError):
            message = f"{path} cannot be read: {error.strerror or error}."
        elif _is_text(path):
            message = f"{path} is not a checkpoint but a text file: give a file of weights that PyTorch saved."
        else:
            message = f"{path} is not a checkpoint that PyTorch can read. It may be cut short: download it again."
        raise WeightsError(message) from error
    model = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(model, dict):
        raise WeightsError(
            f"{path} is not a SeLaVi checkpoint: it has no entry 'model'. Pass one that SeLaVi's authors published."
        )
    return model


def _is_text(path: Path) -> bool:
    """Say whether a file begins as a text does."""
    with path.open("rb") as file:
        start = file.read(1000)
    return bool(start) and all(byte >= 0x20 or byte in b"\t\n\r" for byte in start) and b"\n" in start


def _check(path: Path, given: Mapping[str, Any], expected: Mapping[str, Tensor]) -> None:
    shapes = {
        key: str(tuple(value.shape)) if _is_plain(value) else "not a tensor of real numbers"
        for key, value in given.items()
    }
    misshaped = [
        f"{key} is {shapes[key]}, expected {tuple(value.shape)}"
        for key, value in expected.items()
        if key in shapes and shapes[key] != str(tuple(value.shape))
    ]
    faults = {
        "missing": [key for key in expected if key not in given and not key.endswith(_UNUSED_KEY)],
        "unexpected": [key for key in given if key not in expected],
        "mis-shaped": misshaped,
    }
    if any(faults.values()):
        listed = "; ".join(f"{len(keys)} {fault} ({_first(keys)})" for fault, keys in faults.items() if keys)
        raise WeightsError(f"{path} does not fit the network: {listed}. Pass a SeLaVi checkpoint.")
    not_finite = [key for key, value in given.items() if not _is_finite(value)]
    if not_finite:
        raise WeightsError(f"{path} holds numbers that are not finite ({_first(not_finite)}). Pass another checkpoint.")
    negative = [key for key, value in given.items() if key.endswith("running_var") and (value.float() < 0).any()]
    if negative:
        raise WeightsError(f"{path} holds negative variances ({_first(negative)}). Pass another checkpoint.")


def _is_finite(value: Tensor) -> bool:
    """Say whether all numbers are finite in the precision of the networks.

    It takes a third of the time of `torch.isfinite`, which makes a table of answers.
    """
    return value.numel() == 0 or all(bound.isfinite().item() for bound in torch.aminmax(value.float()))


def _is_plain(value: object) -> bool:
    """Return whether a value is a dense tensor of real numbers, which are in memory."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    return not (value.is_complex() or value.is_quantized or value.is_nested)


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN_KEYS]) + (", ..." if len(keys) > _SHOWN_KEYS else "")
