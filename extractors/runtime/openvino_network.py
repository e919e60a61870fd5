"""The runtime `openvino`: a network compiled for the CPU, about twice as fast as PyTorch's own layers."""

import sys
import threading
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from extractors.runtime.traced_network import example_input

# Importing openvino sends a report over the network, unless the library for it cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes Python refuse the import

import openvino  # noqa: E402 - only after the line above

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenvinoNetwork:
    """A network under OpenVINO, on as many threads as PyTorch would use.

    It is compiled again each time: a cache on disk would save 0.3 s at width 64, less than the conversion takes.

    Args:
        network: a network whose layers do not depend on the values of its inputs; not changed.
        input_shape: shape of one input, without the batch dimension.
        precision: float32 or bfloat16, with which the features differ by about 1 %.
        takes_any_size: whether the network takes smaller inputs too, with which the conversion is faster.
    """

    runtime = "openvino"
    calls_at_once = 1  # its threads take over each other's work, so a thread without a core delays nothing

    def __init__(
        self, network: nn.Module, input_shape: tuple[int, ...], precision: str = "float32", *, takes_any_size: bool
    ) -> None:
        example = example_input(input_shape, takes_any_size=takes_any_size)
        with warnings.catch_warnings(action="ignore"):  # OpenVINO uses tracing, which is deprecated
            model = openvino.convert_model(
                network.eval(), example_input=example, input=[openvino.PartialShape([-1, *input_shape])]
            )
        # On some processors the default is half precision.
        properties = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", properties)
        self._requests = threading.local()

    def __call__(self, inputs: Tensor) -> Tensor:
        """Compute features, as `extractors.runtime.networks.Network` describes."""
        results = self._request().infer([inputs.contiguous().numpy()], share_inputs=True)
        features = torch.from_numpy(results[0])
        # A fused ReLU turns NaN into 0, which would hide a fault of an input.
        features[~inputs.flatten(1).isfinite().all(1)] = torch.nan
        return features

    def _request(self) -> Any:  # noqa: ANN401 - OpenVINO has no types
        """Return the request of the calling thread: a request can only run one call at a time."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        return self._requests.own
