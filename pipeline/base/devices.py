"""Choose the device that runs the networks."""

import re

import torch

from pipeline.base.errors import UsageError


def resolve_device(name: str, *, cpu_only: bool = False) -> torch.device:
    """Convert a name to a device: `auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:n`.

    Args:
        name: the name that the user gave.
        cpu_only: whether `auto` means the CPU, for a runtime that needs it, such as OpenVINO.

    Raises:
        UsageError: the name is unknown, or this machine has no such device.
    """
    name = name.strip().lower()
    if name == "cpu":
        return torch.device("cpu")
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() and not cpu_only else "cpu")
    cuda = re.fullmatch(r"cuda(?::([0-9]+))?", name)
    if not cuda:
        raise UsageError(f"unknown device {name!r}: give auto, cpu, cuda or cuda:n")
    index = int(cuda[1] or 0)  # torch would read cuda:256 as cuda:0
    if index >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} is not on this machine ({torch.cuda.device_count()} GPUs seen): use --device auto or cpu"
        )
    return torch.device("cuda", index)
