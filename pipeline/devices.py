"""Which device runs the networks."""

import torch

from pipeline.errors import UsageError


def resolve_device(name: str) -> torch.device:
    """`auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:n`.

    Raises:
        UsageError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}: give auto, cpu, cuda or cuda:n") from error
    if device.type not in {"cpu", "cuda"}:
        raise UsageError(f"device {name!r} is not supported: give auto, cpu, cuda or cuda:n")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} is not on this machine ({torch.cuda.device_count()} GPUs seen): use --device auto or cpu"
        )
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device
