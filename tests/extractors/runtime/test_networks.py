"""extractors/runtime/networks.py: half precisions, OpenVINO compared with eager, and refused combinations."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from extractors.base import ResolvedWeights
from extractors.errors import UnavailableError
from extractors.runtime import networks
from extractors.runtime.networks import Precision, Runtime, check_runtime
from extractors.runtime.traced_network import TracedNetwork
from extractors.selavi.extractor import SelaviExtractor, describe, load_selavi
from extractors.selavi.networks import build_audio_network
from extractors.selavi.options import SelaviOptions
from extractors.selavi.weights import resolve_weights

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
WIDTH = 2
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed: the extra of that name"
)


@pytest.fixture(scope="module")
def untrained() -> ResolvedWeights:
    """Random weights need no file."""
    return resolve_weights("untrained", cache_dir=Path("unused"))


@pytest.fixture(scope="module")
def eager(untrained: ResolvedWeights) -> SelaviExtractor:
    """The reference: PyTorch in float32, layer by layer."""
    return load_selavi(SelaviOptions(weights="untrained", width=WIDTH), untrained, device=CPU, runtime="eager")


@pytest.fixture(scope="module", params=["traced", pytest.param("openvino", marks=needs_openvino)])
def compiled(request: pytest.FixtureRequest, untrained: ResolvedWeights) -> SelaviExtractor:
    """The same networks under each runtime for CPUs."""
    options = SelaviOptions(weights="untrained", width=WIDTH)
    return load_selavi(options, untrained, device=CPU, runtime=request.param)


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor]:
    """Three seconds of coarse noise and three of white noise; one of each is black or silent."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 30, 3, 7, 7, generator=generator).repeat_interleave(16, 3).repeat_interleave(16, 4)
    noise = torch.randint(-9000, 9000, (3, 44_100), dtype=torch.int16, generator=generator)
    coarse[1], noise[2] = 0, 0
    return coarse, noise


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest feature."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype == torch.float32
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 5e-2), ("float16", 5e-3)])
@pytest.mark.parametrize(
    "device", [pytest.param(CPU, id="cpu"), pytest.param(GPU, id="gpu", marks=pytest.mark.needs_gpu)]
)
def test_half_precision_gives_nearly_the_same_float32_features(
    precision: Precision,
    most: float,
    device: torch.device,
    untrained: ResolvedWeights,
    eager: SelaviExtractor,
    inputs: tuple[Tensor, Tensor],
) -> None:
    """They are near but not equal; equal features would mean that the precision was not used."""
    options = SelaviOptions(weights="untrained", width=WIDTH, precision=precision)
    half = load_selavi(options, untrained, device=device)
    for found, expected in (
        (half.visual(inputs[0]).cpu(), eager.visual(inputs[0])),
        (half.audio(inputs[1]).cpu(), eager.audio(inputs[1])),
    ):
        assert 1e-6 < relative_error(found, expected) < most


@pytest.mark.needs_gpu
def test_a_gpu_gives_the_features_of_the_cpu(
    untrained: ResolvedWeights, eager: SelaviExtractor, inputs: tuple[Tensor, Tensor]
) -> None:
    """The features agree in float32, without TF32."""
    on_gpu = load_selavi(SelaviOptions(weights="untrained", width=WIDTH), untrained, device=GPU)
    assert on_gpu.visual(inputs[0]).device == GPU
    assert relative_error(on_gpu.visual(inputs[0]).cpu(), eager.visual(inputs[0])) < 1e-4
    assert relative_error(on_gpu.audio(inputs[1]).cpu(), eager.audio(inputs[1])) < 1e-4


def test_the_identity_contains_the_precision(untrained: ResolvedWeights) -> None:
    """Features of different precisions are never mixed."""
    precisions: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
    identities = [describe(SelaviOptions(precision=precision), untrained) for precision in precisions]
    assert [identity["precision"] for identity in identities] == list(precisions)


def test_the_runtimes_give_the_features_of_eager(
    compiled: SelaviExtractor, eager: SelaviExtractor, inputs: tuple[Tensor, Tensor]
) -> None:
    """They agree to 1e-5 of their size, in batches and one by one; so all runtimes have the same identity."""
    assert compiled.identity == eager.identity
    for found, alone, expected in (
        (
            compiled.visual(inputs[0]),
            torch.cat([compiled.visual(second) for second in inputs[0].split(1)]),
            eager.visual(inputs[0]),
        ),
        (
            compiled.audio(inputs[1]),
            torch.cat([compiled.audio(second) for second in inputs[1].split(1)]),
            eager.audio(inputs[1]),
        ),
    ):
        assert relative_error(found, expected) < 1e-5
        torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-5)


def test_auto_is_traced_on_a_cpu_and_eager_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default needs nothing more to be installed."""
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda _: None)
    for precision, kind in (("float32", TracedNetwork), ("bfloat16", networks.EagerNetwork)):
        network = networks.make_ready(
            build_audio_network(WIDTH), runtime="auto", device=CPU, precision=precision, input_shape=(1, 257, 99)
        )
        assert isinstance(network, kind)


@needs_openvino
def test_auto_is_openvino_where_it_is_installed() -> None:
    """It is a little faster than the fused network."""
    network = networks.make_ready(
        build_audio_network(WIDTH), runtime="auto", device=CPU, precision="float32", input_shape=(1, 257, 99)
    )
    assert type(network).__name__ == "OpenvinoNetwork"


@needs_openvino
def test_openvino_in_bfloat16_gives_nearly_the_same_features(
    untrained: ResolvedWeights, eager: SelaviExtractor, inputs: tuple[Tensor, Tensor]
) -> None:
    """They differ by a few percent, and have an identity of their own."""
    options = SelaviOptions(weights="untrained", width=WIDTH, precision="bfloat16")
    half = load_selavi(options, untrained, device=CPU, runtime="openvino")
    assert half.identity != eager.identity
    assert relative_error(half.visual(inputs[0]), eager.visual(inputs[0])) < 5e-2


def test_several_threads_may_call_a_compiled_network(
    compiled: SelaviExtractor, eager: SelaviExtractor, inputs: tuple[Tensor, Tensor]
) -> None:
    """Each call has its own input and result, also if several run at once."""
    with ThreadPoolExecutor(3) as executor:
        found = list(executor.map(compiled.audio, inputs[1].split(1) * 4))
    assert relative_error(torch.cat(found), eager.audio(inputs[1]).repeat(4, 1)) < 1e-5


@needs_openvino
def test_openvino_sends_no_telemetry() -> None:
    """The library that would send statistics over the network is never loaded."""
    code = (
        "import extractors.runtime.openvino_network, sys; "
        "sys.exit(any(name.startswith('openvino_telemetry') and module for name, module in sys.modules.items()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_openvino_the_message_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, untrained: ResolvedWeights
) -> None:
    """The message is one line with a command to copy, and comes before any network is built."""
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        UnavailableError, match=r'openvino is not installed here: pip install "avzsl\[openvino\]"'
    ) as no:
        load_selavi(SelaviOptions(weights="untrained"), untrained, device=CPU, runtime="openvino")
    assert "\n" not in str(no.value)


@pytest.mark.parametrize(
    ("name", "device", "precision", "message"),
    [
        ("openvino", GPU, "float32", "runs on the CPU, not on cuda:0: pass --device cpu"),
        (
            "openvino",
            CPU,
            "float16",
            "calculates in float32 or bfloat16, not in float16: leave --runtime or",
        ),
        ("traced", CPU, "bfloat16", "calculates in float32, not in bfloat16: leave --runtime or --precision out"),
        ("traced", GPU, "float32", "runs on the CPU, not on cuda:0: pass --device cpu"),
        ("eager", GPU, "bfloat16", "cuda:0 cannot calculate in bfloat16: pass --precision float16 or float32"),
    ],
)
def test_combinations_that_cannot_run_are_refused(
    name: Runtime, device: torch.device, precision: Precision, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to pass instead; no other runtime or precision is used silently."""
    monkeypatch.setattr(networks.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(UnavailableError, match=message):
        check_runtime(name, device, precision)


def test_combinations_that_can_run_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU of compute capability 8.0 supports bfloat16, every GPU float16, and a CPU both."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    check_runtime("eager", GPU, "bfloat16")
    check_runtime("eager", GPU, "float16")
    check_runtime("eager", CPU, "bfloat16")
    check_runtime("eager", CPU, "float16")
