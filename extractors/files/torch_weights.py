"""Read a file of weights that PyTorch or safetensors saved: as tensors only, and completely or not at all."""

import contextlib
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor, nn

from extractors.errors import WeightsError

_SHOWN_KEYS = 3
_LENGTH_BYTES = 8  # a safetensors file begins with the length of its header, which is a JSON object
_PYTORCH_MAGICS = (b"PK", b"\x80")  # a zip file, or a pickle
_UNUSED_KEY = "num_batches_tracked"  # needed for training only; older files lack it


def load_state(path: Path, network: nn.Module, *, unused: Sequence[str] = (), advice: str) -> None:
    """Load a file of weights into a network, which may be without memory (on the device `meta`).

    Args:
        path: the file: a dictionary of tensors, as torch.save or safetensors write it.
        network: the network; changed in place.
        unused: what the keys begin with that the network does not need, such as a classifier.
        advice: what to give instead, for messages.

    Raises:
        WeightsError: a file that is no such dictionary, a pickle that would load more than tensors, or a weight that is
            missing, unknown, mis-shaped or not finite.
    """
    state = read_safetensors(path) if is_safetensors(path) else read_pytorch(path)
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds no dictionary of weights. {advice}")
    given = {str(key): value for key, value in state.items() if not str(key).startswith(tuple(unused) or ("\0",))}
    expected = network.state_dict()
    check_state(path, given, expected, advice)
    loaded = {
        key: given[key].to(value.dtype).contiguous() if key in given else torch.zeros_like(value, device="cpu")
        for key, value in expected.items()
    }
    network.load_state_dict(loaded, assign=True)


def is_safetensors(path: Path) -> bool:
    """Find out the format from the content; of a file that is in no format, from its name, for the message.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_LENGTH_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    if start[_LENGTH_BYTES:] == b"{":
        return True
    return path.suffix.lower() == ".safetensors" and not start.startswith(_PYTORCH_MAGICS)


def read_safetensors(path: Path) -> dict[str, Any]:
    """Read a safetensors file.

    Raises:
        WeightsError: it cannot be read, or is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        return dict(load(content))
    except Exception as error:  # on arbitrary bytes, the reader can raise any exception
        raise WeightsError(f"{path} is not a whole safetensors file ({error}). Get it again.") from error


def read_pytorch(path: Path, *, allowed: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - whatever was saved
    """Read a file that PyTorch saved, as tensors and plain values only.

    Args:
        path: the file.
        allowed: further classes that it may contain.

    Raises:
        WeightsError: it cannot be read, or would load more.
    """
    try:
        classes = torch.serialization.safe_globals(list(allowed)) if allowed else contextlib.nullcontext()
        with classes, warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
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


def _is_text(path: Path) -> bool:
    """Say whether a file begins as a text does."""
    with path.open("rb") as file:
        start = file.read(1000)
    return bool(start) and all(byte >= 0x20 or byte in b"\t\n\r" for byte in start) and b"\n" in start


def check_state(path: Path, given: Mapping[str, Any], expected: Mapping[str, Tensor], advice: str) -> None:
    """Compare weights with those of a network.

    Raises:
        WeightsError: a weight that is missing, unknown, mis-shaped or not finite.
    """
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
        listed = "; ".join(f"{len(keys)} {fault} ({first_of(keys)})" for fault, keys in faults.items() if keys)
        raise WeightsError(f"{path} does not fit the network: {listed}. {advice}")
    not_finite = [key for key, value in given.items() if not _is_finite(value)]
    if not_finite:
        raise WeightsError(
            f"{path} holds numbers that are not finite ({first_of(not_finite)}). Pass another checkpoint."
        )
    negative = [key for key, value in given.items() if key.endswith("running_var") and (value.float() < 0).any()]
    if negative:
        raise WeightsError(f"{path} holds negative variances ({first_of(negative)}). Pass another checkpoint.")


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


def first_of(keys: list[str]) -> str:
    """List the first keys for a message."""
    return ", ".join(keys[:_SHOWN_KEYS]) + (", ..." if len(keys) > _SHOWN_KEYS else "")
