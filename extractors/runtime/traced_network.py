"""The runtime `traced`: a network whose layers PyTorch fuses once for inference on a CPU."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from extractors.runtime.one_thread import one_thread

_EXAMPLE_PIXELS = 16  # so small that tracing costs nothing
_EXAMPLE_INPUTS = 2  # with one input, a trace could take the number of inputs for a constant


class TracedNetwork:
    """A traced network with BatchNorm folded into the convolutions, in single precision.

    It needs about half the processor time of the layers one by one, and gives the same features to about 1e-6.

    Args:
        network: a network on the CPU whose layers do not depend on the values of its inputs.
        input_shape: shape of one input, without the batch dimension.
        takes_any_size: whether the network takes smaller inputs too, with which tracing is faster.
    """

    runtime = "traced"

    def __init__(self, network: nn.Module, input_shape: tuple[int, ...], *, takes_any_size: bool) -> None:
        example = example_input(input_shape, takes_any_size=takes_any_size)
        # Tracing is deprecated, but what replaces it needs a C++ compiler.
        with one_thread(), torch.no_grad(), warnings.catch_warnings(action="ignore"):
            whole = _OneModule(network.eval().requires_grad_(requires_grad=False))
            traced = torch.jit.trace(whole.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
            self._network = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        # One call per core: threads that share a layer wait for the slowest of them at the end of the layer.
        self.calls_at_once = torch.get_num_threads()

    def __call__(self, inputs: Tensor) -> Tensor:
        """Compute features, as `extractors.runtime.networks.Network` describes."""
        with torch.inference_mode():
            features: Tensor = self._network(inputs)
            # A fused ReLU turns NaN into 0, which would hide a fault of an input.
            features[~inputs.flatten(1).isfinite().all(1)] = torch.nan
            return features


def example_input(input_shape: tuple[int, ...], *, takes_any_size: bool) -> Tensor:
    """Make an input that a network can be traced with."""
    channels, *sides = input_shape
    most = _EXAMPLE_PIXELS if takes_any_size else max(sides)
    return torch.zeros(_EXAMPLE_INPUTS, channels, *(min(side, most) for side in sides))


class _OneModule(nn.Module):
    """Hides the layers of a network, whose weights a trace then takes as constants.

    PyTorch describes every layer that it sees in a trace, which takes more time than all the rest of the tracing.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._call: Callable[[Tensor], Tensor] = network.__call__  # PyTorch does not see a layer behind a method

    def forward(self, inputs: Tensor) -> Tensor:
        return self._call(inputs)
