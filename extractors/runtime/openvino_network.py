"""The runtime `openvino`: a network compiled for the CPU it runs on, some twice as fast as PyTorch's own layers."""

import sys
import threading
import warnings
from typing import Any

import torch
from torch import Tensor, nn

# The import itself would report over the network that it happened, unless the library that does so is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: Python's sign for "do not import"

import openvino  # noqa: E402 - only after the line above

_EXAMPLE_PIXELS = 16  # a picture so small that tracing costs nothing; the networks fit any size


class OpenvinoNetwork:
    """A network under OpenVINO, in single precision throughout, on as many threads as PyTorch would use.

    Compiled anew each time: what a cache on disk would save (0.3 s at width 64) is less than the conversion takes.

    Args:
        network: of convolutions with adaptive pooling behind them; changed in no way.
        input_shape: of one input, without the batch.
    """

    calls_at_once = 1  # its threads help each other out, and wait for none that has no core at the moment

    def __init__(self, network: nn.Module, input_shape: tuple[int, ...]) -> None:
        channels, *sides = input_shape
        example = torch.zeros(1, channels, *(min(side, _EXAMPLE_PIXELS) for side in sides))
        with warnings.catch_warnings(action="ignore"):  # of tracing, which is deprecated and what OpenVINO uses
            model = openvino.convert_model(
                network.eval(), example_input=example, input=[openvino.PartialShape([-1, *input_shape])]
            )
        # On some processors the default is half precision.
        properties = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", properties)
        self._requests = threading.local()

    def __call__(self, inputs: Tensor) -> Tensor:
        """See `extractors.runtime.networks.Network`."""
        results = self._request().infer([inputs.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(results[0])

    def _request(self) -> Any:  # noqa: ANN401 - OpenVINO has no types
        """The calling thread's own: one request is one call at a time."""
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        return self._requests.own
