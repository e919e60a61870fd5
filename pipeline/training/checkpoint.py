"""Write and read checkpoints: the file of torch.save, with a checksum at its end."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import StorageError
from pipeline.base.files import read_bytes, replacing

_DIGEST_BYTES = 32  # of a sha256


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and texts. An earlier file stays until the new one is complete."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        # Write through memory: if the disk is full, torch raises an error that does not say so.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
        # The sha256 is the comment of the zip file, so that torch.load reads the file as before. The last two bytes of
        # a zip file without a comment are the length of its comment.
        content = content[:-2] + _DIGEST_BYTES.to_bytes(2, "little")
        file.write(content + hashlib.sha256(content).digest())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that avzsl wrote.

    Raises:
        StorageError: a file that does not exist, is damaged, or contains more than plain data.
    """
    content = read_bytes(path)
    if hashlib.sha256(content[:-_DIGEST_BYTES]).digest() != content[-_DIGEST_BYTES:]:
        raise StorageError(f"{path} is damaged (its checksum differs): delete it to train this stage from the start")
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch tries to read damaged bytes and may raise any kind of error
        raise StorageError(f"{path} is damaged: delete it to train this stage from the start") from error
    if not isinstance(state, dict):
        raise StorageError(f"{path} is not a checkpoint of avzsl")
    return state
