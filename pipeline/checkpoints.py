"""Resume state of a training run: plain tensors and numbers, written whole, read without executing anything."""

import io
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import StorageError
from pipeline.base.files import replacing, storage_errors


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and texts; what was there before stays until the new file is complete."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        # Through memory: torch reports a full disk as an error of its own that does not say so.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        file.write(buffer.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of this program.

    Raises:
        StorageError: not there, damaged, or holding more than plain data.
    """
    with storage_errors(path):
        content = path.read_bytes()
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch reads damaged bytes as best it can: there is no telling what it raises
        raise StorageError(f"{path} is damaged: delete it to train this stage from the start") from error
    if not isinstance(state, dict):
        raise StorageError(f"{path} is no checkpoint of avzsl")
    return state


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed writer left in a run's folder; no other process may write there."""
    with storage_errors(folder):
        for stray in folder.rglob(".*.tmp"):
            stray.unlink(missing_ok=True)
