"""What runs the networks: PyTorch as it is (`eager`) in one of three precisions, or OpenVINO on a CPU."""

import contextlib
import importlib.util
from importlib import import_module
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from extractors.errors import UnavailableError

# Only the precision is part of what `describe` says. The runtime is not: at equal precision the features differ by some
# 1e-6, as those of two processors do; tests hold it below 1e-4.
Precision = Literal["float32", "bfloat16", "float16"]
Runtime = Literal["eager", "openvino"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Network(Protocol):
    """A network on its device, in evaluation mode; several threads may call it at once.

    Attributes:
        calls_at_once: how many calls side by side make full use of the device.
    """

    calls_at_once: int

    def __call__(self, inputs: Tensor) -> Tensor:
        """(N, ...) float32 on the network's device -> (N, D) float32 there, without gradients."""
        ...


def check_runtime(runtime: Runtime, device: torch.device, precision: Precision) -> None:
    """Refuse a combination that this machine cannot run, before anything is loaded for it.

    Raises:
        UnavailableError: OpenVINO is not installed, or asked for on a GPU or in half precision; or the GPU knows no
            bfloat16.
    """
    if runtime == "openvino":
        if importlib.util.find_spec("openvino") is None:
            raise UnavailableError(
                'runtime openvino is not installed here: pip install "avzsl[openvino]", or leave --runtime out'
            )
        if device.type != "cpu":
            raise UnavailableError(f"runtime openvino runs on the CPU, not on {device}: pass --device cpu")
        if precision != "float32":
            raise UnavailableError(f"runtime openvino calculates in float32, not in {precision}: leave --precision out")
    elif precision == "bfloat16" and device.type == "cuda" and not _has_bfloat16(device):
        raise UnavailableError(f"{device} cannot calculate in bfloat16: pass --precision float16 or float32")


def _has_bfloat16(gpu: torch.device) -> bool:
    return torch.cuda.get_device_capability(gpu) >= (8, 0)


def make_ready(
    network: nn.Module, *, runtime: Runtime, device: torch.device, precision: Precision, input_shape: tuple[int, ...]
) -> Network:
    """Put a network, with its weights loaded, on a device under a runtime.

    Args:
        network: on the CPU; not to be used otherwise afterwards.
        runtime: what runs it.
        device: where.
        precision: of convolutions; weights and features stay float32.
        input_shape: of one input, without the batch.

    Raises:
        UnavailableError: see `check_runtime`.
    """
    check_runtime(runtime, device, precision)
    if runtime == "openvino":
        compiled: Network = import_module("extractors.runtime.openvino_network").OpenvinoNetwork(network, input_shape)
        return compiled
    return EagerNetwork(network, device=device, precision=precision)


class EagerNetwork:
    """A network that PyTorch runs layer by layer.

    Args:
        network: taken to the device.
        device: where it runs.
        precision: half precisions are used where PyTorch's autocasting deems them safe.
    """

    def __init__(self, network: nn.Module, *, device: torch.device, precision: Precision) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self._precision = precision
        # On a CPU one call a core: threads that share a layer wait for the slowest of them at its end, and a decoder
        # that takes one core for a moment would hold up all.
        self.calls_at_once = torch.get_num_threads() if device.type == "cpu" else 1

    def __call__(self, inputs: Tensor) -> Tensor:
        """See `Network`."""
        dtype = _DTYPES[self._precision]
        autocast = torch.autocast(self._device.type, dtype=dtype, enabled=dtype != torch.float32)
        with torch.inference_mode(), self._exact_float32(), autocast:
            features: Tensor = self._network(inputs)
            return features.float()

    def _exact_float32(self) -> contextlib.AbstractContextManager[None]:
        """TF32, which CUDA convolutions use unless told otherwise, is good to three digits only."""
        if self._device.type != "cuda":
            return contextlib.nullcontext()
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
