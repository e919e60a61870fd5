"""Fill a network of transformers with the weights of a folder, without random numbers and without its messages."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import nn

from extractors.errors import WeightsError
from extractors.files.model_folder import ModelFolder

_KNOWN_BUFFERS = {"position_ids", "token_type_ids"}
_ERRORS_ONLY = 40  # the level of errors in Python's logging
NetworkT = TypeVar("NetworkT", bound=nn.Module)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the warnings of transformers from the terminal: they are about configurations that are as they should be."""
    from transformers.utils import logging  # noqa: PLC0415 - takes seconds

    before: int = logging.get_verbosity()
    logging.set_verbosity(_ERRORS_ONLY)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def load_pretrained(build: Callable[[], NetworkT], folder: ModelFolder, *, prefix: str = "") -> NetworkT:
    """Build a network and load its weights, on the CPU and in evaluation mode.

    The network is built without memory first: sizes in config.json are compared with the weights before any memory is
    taken.

    Args:
        build: builds the network from its configuration.
        folder: the folder of the model.
        prefix: what the names of the weights in the file begin with.

    Raises:
        WeightsError: a configuration that makes no sense, or weights that do not fit it.
    """
    try:
        with quiet_transformers(), torch.device("meta"):
            network = build()
    except WeightsError:
        raise
    except Exception as error:  # on an arbitrary configuration, transformers can raise any exception
        raise folder.damaged(f"config.json: {error}") from error
    wanted = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    tensors = folder.tensors(wanted)
    if _unknown_buffers(network):  # such as tables of angles, which only the network itself can compute
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            network = build()
    network.load_state_dict({name.removeprefix(prefix): value for name, value in tensors.items()}, assign=True)
    _fill_buffers(network)
    return network.eval().requires_grad_(requires_grad=False)


def _unknown_buffers(network: nn.Module) -> bool:
    """Say whether a network has buffers that are neither in its file nor known here."""
    stored = network.state_dict().keys()
    names = [name for name, buffer in network.named_buffers() if buffer.is_meta and name not in stored]
    return any(name.rpartition(".")[2] not in _KNOWN_BUFFERS for name in names)


def _fill_buffers(network: nn.Module) -> None:
    """Give the buffers that no file holds their values: the numbers of positions, and the types of tokens."""
    for name, buffer in list(network.named_buffers()):
        owner, _, short = name.rpartition(".")
        if buffer.is_meta:
            value = torch.zeros(buffer.shape, dtype=torch.long)
            if short == "position_ids":
                value += torch.arange(buffer.shape[-1])
            network.get_submodule(owner).register_buffer(short, value, persistent=False)
