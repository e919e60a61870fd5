"""Resume state of a training run: plain tensors and numbers, written whole, read without executing anything."""

import pickle
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import StorageError
from pipeline.files import replacing


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and texts; what was there before stays until the new file is complete."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of this program.

    Raises:
        StorageError: unreadable, damaged, or holding more than plain data.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise StorageError(f"{path} is damaged: delete it to train this stage from the start") from error
    if not isinstance(state, dict):
        raise StorageError(f"{path} is no checkpoint of avzsl")
    return state
