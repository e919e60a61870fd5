"""Load the checkpoints that SeLaVi's authors published: without running code in them, and completely or not at all."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from extractors.errors import WeightsError
from extractors.files.torch_weights import check_state, first_of, is_safetensors, read_pytorch, read_safetensors

_ADVICE = "Pass a SeLaVi checkpoint."


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
    check_state(path, given, expected, _ADVICE)
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
    model = read_safetensors(path) if is_safetensors(path) else _read_model(path)
    state = {str(key).removeprefix("module."): value for key, value in model.items()}
    if len(state) < len(model):
        repeated = [key for key in state if key in model and f"module.{key}" in model]
        raise WeightsError(
            f"{path} holds the same keys with and without 'module.' ({first_of(repeated)}). Pass another checkpoint."
        )
    return state


def _read_model(path: Path) -> dict[Any, Any]:
    """Read the entry `model` of a checkpoint; the authors saved their command line together with the weights."""
    checkpoint = read_pytorch(path, allowed=[argparse.Namespace])
    model = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(model, dict):
        raise WeightsError(
            f"{path} is not a SeLaVi checkpoint: it has no entry 'model'. Pass one that SeLaVi's authors published."
        )
    return model
