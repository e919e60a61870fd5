"""Run the networks: with plain PyTorch (`eager`), or fused (`traced`) or with OpenVINO on a CPU."""

import contextlib
import importlib.util
from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

import torch
from torch import Tensor, nn

from extractors.base import Precision, Runtime
from extractors.errors import UnavailableError
from extractors.runtime.traced_network import TracedNetwork

# The identity of an extractor contains the precision but not the runtime. At equal precision, the features of two
# runtimes differ by about 1e-6, as those of two processors do. Tests check that they differ by less than 1e-5.

# The precisions of the runtimes that run on a CPU only.
_CPU_PRECISIONS: Mapping[Runtime, tuple[Precision, ...]] = {
    "traced": ("float32",),
    "openvino": ("float32", "bfloat16"),
}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Network(Protocol):
    """A network on its device, in evaluation mode; several threads may call it at once.

    Attributes:
        runtime: the name of the runtime.
        calls_at_once: the number of simultaneous calls that use the whole device.
    """

    runtime: str
    calls_at_once: int

    def __call__(self, inputs: Tensor) -> Tensor:
        """Compute features without gradients: (N, ...) float32 on the network's device -> (N, D) float32 on it."""
        ...


def check_runtime(runtime: Runtime, device: torch.device, precision: Precision) -> None:
    """Refuse a combination that this machine cannot run, before loading anything.

    Raises:
        UnavailableError: OpenVINO is not installed; a runtime for CPUs is requested on a GPU or in a precision that it
            does not have; or the GPU does not support bfloat16.
    """
    if runtime in _CPU_PRECISIONS:
        if runtime == "openvino" and importlib.util.find_spec("openvino") is None:
            raise UnavailableError(
                'runtime openvino is not installed here: pip install "avzsl[openvino]", or leave --runtime out'
            )
        if device.type != "cpu":
            raise UnavailableError(f"runtime {runtime} runs on the CPU, not on {device}: pass --device cpu")
        if precision not in _CPU_PRECISIONS[runtime]:
            able = " or ".join(_CPU_PRECISIONS[runtime])
            raise UnavailableError(
                f"runtime {runtime} calculates in {able}, not in {precision}: leave --runtime or --precision out"
            )
    elif precision == "bfloat16" and device.type == "cuda" and not _has_bfloat16(device):
        raise UnavailableError(f"{device} cannot calculate in bfloat16: pass --precision float16 or float32")


def _has_bfloat16(gpu: torch.device) -> bool:
    return torch.cuda.get_device_capability(gpu) >= (8, 0)


def make_ready(
    network: nn.Module,
    *,
    runtime: Runtime,
    device: torch.device,
    precision: Precision,
    input_shape: tuple[int, ...],
    takes_any_size: bool = False,
) -> Network:
    """Put a network, with its weights loaded, on a device under a runtime.

    Args:
        network: network on the CPU; do not use it yourself afterwards.
        runtime: runtime that runs the network.
        device: device that the network runs on.
        precision: precision of the convolutions; weights and features stay float32.
        input_shape: shape of one input, without the batch dimension.
        takes_any_size: whether the network takes smaller inputs too, as convolutions followed by pooling do.

    Raises:
        UnavailableError: a combination that `check_runtime` refuses.
    """
    check_runtime(runtime, device, precision)
    if runtime == "auto":
        runtime = _fastest(device, precision)
    if runtime == "openvino":
        library = import_module("extractors.runtime.openvino_network")
        compiled: Network = library.OpenvinoNetwork(network, input_shape, precision, takes_any_size=takes_any_size)
        return compiled
    if runtime == "traced":
        return TracedNetwork(network, input_shape, takes_any_size=takes_any_size)
    return EagerNetwork(network, device=device, precision=precision)


def _fastest(device: torch.device, precision: Precision) -> Runtime:
    """Choose the runtime that takes the least time (benchmarks/runtime_speed.py): OpenVINO needs 0.9 of `traced`."""
    if device.type != "cpu" or precision != "float32":
        return "eager"
    return "traced" if importlib.util.find_spec("openvino") is None else "openvino"


class EagerNetwork:
    """A network that PyTorch runs layer by layer.

    Args:
        network: network to move to the device.
        device: device that the network runs on.
        precision: precision of the calculation; half precision is used only where PyTorch's autocast considers it safe.
    """

    runtime = "eager"

    def __init__(self, network: nn.Module, *, device: torch.device, precision: Precision) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self._precision = precision
        # On a CPU, one call per core. Threads that share a layer wait for the slowest of them at the end of the layer,
        # so a decoder that takes one core for a moment would delay all of them.
        self.calls_at_once = torch.get_num_threads() if device.type == "cpu" else 1

    def __call__(self, inputs: Tensor) -> Tensor:
        """Compute features, as `Network` describes."""
        dtype = _DTYPES[self._precision]
        autocast = torch.autocast(self._device.type, dtype=dtype, enabled=dtype != torch.float32)
        with torch.inference_mode(), self._exact_float32(), autocast:
            features: Tensor = self._network(inputs)
            return features.float()

    def _exact_float32(self) -> contextlib.AbstractContextManager[None]:
        """Switch TF32 off, which CUDA convolutions use by default: it is only accurate to three digits."""
        if self._device.type != "cuda":
            return contextlib.nullcontext()
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
