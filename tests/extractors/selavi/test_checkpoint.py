"""extractors/selavi/checkpoint.py: checkpoints are loaded completely or not at all, without running code in them."""

import argparse
import hashlib
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from extractors.errors import WeightsError
from extractors.selavi.checkpoint import load_weights
from extractors.selavi.extractor import load_selavi
from extractors.selavi.networks import build_audio_network, build_visual_network
from extractors.selavi.options import SelaviOptions
from extractors.selavi.weights import resolve_weights

WIDTH = 2  # narrow networks have everything but the published shapes


def narrow_networks() -> dict[str, torch.nn.Module]:
    """Build both networks, with their names in a checkpoint."""
    return {"video_network": build_visual_network(WIDTH), "audio_network": build_audio_network(WIDTH)}


def authors_checkpoint(networks: dict[str, torch.nn.Module], prefix: str = "module.") -> dict[str, Any]:
    """Make a checkpoint like the authors': both networks, ten heads per modality, and the state of the training."""
    model: dict[str, Tensor] = {}
    for name, network in networks.items():
        model |= {f"{prefix}{name}.base.{key}": value for key, value in network.state_dict().items()}
    for head in range(10):
        for modality in "va":
            model[f"{prefix}mlp_{modality}{head}.block_forward.0.weight"] = torch.zeros(3, 3)
    return {
        "args": argparse.Namespace(arch="av_arch", headcount=10, lr=0.01, resume=None),
        "epoch": 200,
        "model": model,
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.01, "params": [0]}]},
    }


def saved(checkpoint: object, path: Path, **options: Any) -> Path:
    """Write a checkpoint and return its path."""
    torch.save(checkpoint, path, **options)
    return path


@pytest.mark.parametrize("prefix", ["module.", ""])
@pytest.mark.parametrize("zipped", [True, False])
def test_an_authors_checkpoint_loads_completely(prefix: str, tmp_path: Path, *, zipped: bool) -> None:
    """Every parameter and statistic is loaded, from both of PyTorch's file formats, with and without the prefix."""
    source, target = narrow_networks(), narrow_networks()
    for statistic in source["audio_network"].buffers():
        statistic.fill_(3)
    path = saved(authors_checkpoint(source, prefix), tmp_path / "selavi.pth", _use_new_zipfile_serialization=zipped)
    load_weights(path, target)
    for name, network in target.items():
        expected = source[name].state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())


def documented_shapes() -> dict[str, tuple[int, ...]]:
    """Return the keys and shapes of the published networks, from torchvision's names and the papers' sizes."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(key: str, *shape: int) -> None:
        shapes[f"{key}.weight"] = shape

    def normalisation(key: str, channels: int) -> None:
        shapes.update({f"{key}.{name}": (channels,) for name in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{key}.num_batches_tracked"] = ()

    video = "module.video_network.base"
    convolution(f"{video}.stem.0", 45, 3, 1, 7, 7)
    normalisation(f"{video}.stem.1", 45)
    convolution(f"{video}.stem.3", 64, 45, 3, 1, 1)
    normalisation(f"{video}.stem.4", 64)
    # The channels between spatial and temporal convolution give as many parameters as a full 3 x 3 x 3 layer has.
    for stage, before, after in ((1, 64, 64), (2, 64, 128), (3, 128, 256), (4, 256, 512)):
        for block, given in ((0, before), (1, after)):
            key = f"{video}.layer{stage}.{block}"
            between = given * after * 27 // (given * 9 + 3 * after)
            for half, taken in ((1, given), (2, after)):
                convolution(f"{key}.conv{half}.0.0", between, taken, 1, 3, 3)
                normalisation(f"{key}.conv{half}.0.1", between)
                convolution(f"{key}.conv{half}.0.3", after, between, 3, 1, 1)
                normalisation(f"{key}.conv{half}.1", after)
            if given != after:
                convolution(f"{key}.downsample.0", after, given, 1, 1, 1)
                normalisation(f"{key}.downsample.1", after)
    audio = "module.audio_network.base"
    convolution(f"{audio}.conv1", 64, 1, 7, 7)
    normalisation(f"{audio}.bn1", 64)
    for stage, before, after in ((1, 64, 64), (2, 64, 128), (3, 128, 256), (4, 256, 512)):
        key = f"{audio}.layer{stage}.0"
        for half, taken in ((1, before), (2, after)):
            convolution(f"{key}.conv{half}", after, taken, 3, 3)
            normalisation(f"{key}.bn{half}", after)
        if before != after:
            convolution(f"{key}.downsample.0", after, before, 1, 1)
            normalisation(f"{key}.downsample.1", after)
    return shapes


@pytest.fixture(scope="module")
def documented_checkpoint() -> dict[str, Any]:
    """A checkpoint made without our networks: every documented key, with a different value in each tensor."""
    model: dict[str, Tensor] = {}
    for number, (key, shape) in enumerate(documented_shapes().items(), start=1):
        model[key] = torch.tensor(number) if key.endswith("num_batches_tracked") else torch.full(shape, number / 1000)
    for head in range(10):
        for modality in "va":
            model[f"module.mlp_{modality}{head}.block_forward.0.weight"] = torch.zeros(3, 3)
            model[f"module.mlp_{modality}{head}.block_forward.0.bias"] = torch.zeros(3)
    return {"model": model, "epoch": 200}


def test_the_documented_keys_are_loaded_completely(documented_checkpoint: dict[str, Any], tmp_path: Path) -> None:
    """Each tensor is loaded into the parameter of its name; no tensor and no parameter is left out."""
    with torch.device("meta"):
        networks = {"video_network": build_visual_network(), "audio_network": build_audio_network()}
    networks = {name: network.to_empty(device="cpu") for name, network in networks.items()}
    load_weights(saved(documented_checkpoint, tmp_path / "selavi.pth"), networks)
    loaded = {
        f"module.{name}.base.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    assert loaded.keys() == documented_shapes().keys()
    assert all(torch.equal(value, documented_checkpoint["model"][key]) for key, value in loaded.items())


@pytest.mark.parametrize("key", [key for key in documented_shapes() if not key.endswith("num_batches_tracked")][::29])
def test_a_checkpoint_without_one_key_fails_by_key(
    documented_checkpoint: dict[str, Any], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the key, at any depth of both networks; the file is empty here, for speed."""
    model = {name: value for name, value in documented_checkpoint["model"].items() if name != key}
    monkeypatch.setattr(torch, "load", lambda *_, **__: {"model": model})
    path = tmp_path / "selavi.pth"
    path.touch()
    with torch.device("meta"):
        networks = {"video_network": build_visual_network(), "audio_network": build_audio_network()}
    with pytest.raises(WeightsError, match=rf"1 missing \({re.escape(key.removeprefix('module.'))}\)"):
        load_weights(path, networks)


def test_a_key_with_and_without_the_prefix_fails(tmp_path: Path) -> None:
    """It is not clear which of the two values is meant."""
    checkpoint = authors_checkpoint(narrow_networks())
    checkpoint["model"]["audio_network.base.bn1.bias"] = torch.zeros(WIDTH)
    with pytest.raises(WeightsError, match=r"with and without 'module\.' \(audio_network\.base\.bn1\.bias\)"):
        load_weights(saved(checkpoint, tmp_path / "selavi.pth"), narrow_networks())


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(WIDTH).to_sparse(),
        torch.zeros(WIDTH, device="meta"),
        torch.zeros(WIDTH, dtype=torch.complex64),
        torch.quantize_per_tensor(torch.zeros(WIDTH), 0.1, 0, torch.qint8),
        [0.0, 0.0],
        None,
    ],
)
def test_a_value_that_is_not_a_plain_tensor_fails_by_key(value: object, tmp_path: Path) -> None:
    """Tensors that are sparse, without content, complex or quantized, a list and None are refused."""
    checkpoint = authors_checkpoint(narrow_networks())
    checkpoint["model"]["module.audio_network.base.bn1.bias"] = value
    with pytest.raises(
        WeightsError,
        match=r"mis-shaped \(audio_network\.base\.bn1\.bias is not a tensor of real numbers, expected \(2,\)",
    ):
        load_weights(saved(checkpoint, tmp_path / "selavi.pth"), narrow_networks())


@pytest.mark.parametrize("key", ["bias", "running_var"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float8_e4m3fn])
def test_numbers_of_another_precision_are_cast(key: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """The networks calculate in float32, whatever the checkpoint was saved in."""
    checkpoint, networks = authors_checkpoint(narrow_networks()), narrow_networks()
    checkpoint["model"][f"module.audio_network.base.bn1.{key}"] = torch.tensor([0.5, 2.0]).to(dtype)
    load_weights(saved(checkpoint, tmp_path / "selavi.pth"), networks)
    assert networks["audio_network"].state_dict()[f"bn1.{key}"].tolist() == [0.5, 2.0]


def test_numbers_beyond_the_precision_of_the_networks_fail_by_key(tmp_path: Path) -> None:
    """1e300 is finite in float64, but not in float32."""
    checkpoint = authors_checkpoint(narrow_networks())
    checkpoint["model"]["module.audio_network.base.bn1.bias"] = torch.tensor([0.0, 1e300], dtype=torch.float64)
    with pytest.raises(WeightsError, match=r"not finite \(audio_network\.base\.bn1\.bias\)"):
        load_weights(saved(checkpoint, tmp_path / "selavi.pth"), narrow_networks())


def test_a_checkpoint_that_fails_changes_nothing(tmp_path: Path) -> None:
    """If the second network does not fit, the first one is not loaded either."""
    checkpoint, networks = authors_checkpoint(narrow_networks()), narrow_networks()
    del checkpoint["model"]["module.audio_network.base.bn1.bias"]
    before = {name: {k: v.clone() for k, v in network.state_dict().items()} for name, network in networks.items()}
    with pytest.raises(WeightsError, match="1 missing"):
        load_weights(saved(checkpoint, tmp_path / "selavi.pth"), networks)
    for name, network in networks.items():
        assert all(torch.equal(value, before[name][key]) for key, value in network.state_dict().items())


def test_batch_counters_may_be_missing(tmp_path: Path) -> None:
    """Checkpoints from before PyTorch 0.4.1 have none."""
    checkpoint = authors_checkpoint(narrow_networks())
    checkpoint["model"] = {k: v for k, v in checkpoint["model"].items() if not k.endswith("num_batches_tracked")}
    load_weights(saved(checkpoint, tmp_path / "selavi.pth"), narrow_networks())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"remove": "module.video_network.base.stem.0.weight"}, r"1 missing \(video_network\.base\.stem\.0\.weight\)"),
        ({"add": "module.audio_network.base.fc.weight"}, r"1 unexpected \(audio_network\.base\.fc\.weight\)"),
        ({"add": "module.audio_network.odd"}, r"1 unexpected \(audio_network\.odd\)"),
        (
            {"replace": "module.audio_network.base.bn1.bias"},
            r"1 mis-shaped \(audio_network\.base\.bn1\.bias is \(7,\), expected \(2,\)",
        ),
        ({"spoil": "module.audio_network.base.bn1.bias"}, r"not finite \(audio_network\.base\.bn1\.bias\)"),
    ],
    ids=["missing", "unexpected", "unexpected outside the base", "mis-shaped", "not finite"],
)
def test_a_checkpoint_that_does_not_fit_fails_by_key(change: dict[str, str], message: str, tmp_path: Path) -> None:
    """Nothing is filled in or left out; the message names the key."""
    checkpoint = authors_checkpoint(narrow_networks())
    (kind, key), model = next(iter(change.items())), checkpoint["model"]
    if kind == "remove":
        del model[key]
    elif kind == "spoil":
        model[key] = torch.full_like(model[key], torch.nan)
    else:
        model[key] = torch.zeros(7)
    with pytest.raises(WeightsError, match=message):
        load_weights(saved(checkpoint, tmp_path / "selavi.pth"), narrow_networks())


def test_the_published_width_loads_into_the_extractor(tmp_path: Path) -> None:
    """An extractor made from a checkpoint of width 64 gives the features of the checkpoint's networks."""
    torch.manual_seed(0)
    networks: dict[str, torch.nn.Module] = {
        "video_network": build_visual_network(),
        "audio_network": build_audio_network(),
    }
    path = saved(authors_checkpoint(networks), tmp_path / "selavi_mine.pth")
    found = resolve_weights(str(path), cache_dir=tmp_path)
    extractor = load_selavi(SelaviOptions(weights=str(path)), found, device=torch.device("cpu"))
    assert (extractor.visual_width, extractor.audio_width) == (512, 512)
    assert extractor.identity["weights_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    noise = torch.randint(-999, 999, (1, 44_100), dtype=torch.int16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = networks["audio_network"].eval()(extractor.audio_input(noise))
    torch.testing.assert_close(extractor.audio(noise), expected)


class Hostile:
    """Runs a command when an ordinary unpickler reads it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_checkpoint_is_refused_by_name(tmp_path: Path, *, zipped: bool) -> None:
    """The message names what would be loaded, and nothing is run."""
    trace = tmp_path / "trace"
    checkpoint = authors_checkpoint(narrow_networks()) | {"args": Hostile(trace)}
    path = saved(checkpoint, tmp_path / "selavi.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"is refused: it would load posix\.system"):
        load_weights(path, narrow_networks())
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello\n", b"PK\x03\x04 and nothing more", pickle.dumps([1, 2])[:-1], bytes(range(256))],
    ids=["empty", "text", "zip cut short", "pickle cut short", "bytes"],
)
def test_a_file_that_is_not_a_checkpoint_fails_in_one_line(content: bytes, tmp_path: Path) -> None:
    """The message is one line for every exception that PyTorch raises."""
    path = tmp_path / "selavi.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is not a checkpoint") as error:
        load_weights(path, narrow_networks())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "checkpoint", [{"state_dict": {}}, [1, 2], {"model": [1]}], ids=["other key", "list", "not a dict"]
)
def test_another_projects_checkpoint_fails(checkpoint: object, tmp_path: Path) -> None:
    """A file of tensors is not enough: it needs the entry `model`."""
    with pytest.raises(WeightsError, match="is not a SeLaVi checkpoint: it has no entry 'model'"):
        load_weights(saved(checkpoint, tmp_path / "other.pth"), narrow_networks())


@pytest.mark.parametrize("file_name", ["selavi.safetensors", "selavi.pth", "selavi"])
def test_a_safetensors_file_is_read_like_a_checkpoint(tmp_path: Path, file_name: str) -> None:
    """Its content decides. Its keys are those of the entry `model`; a file that is cut short is called one."""
    networks, path = narrow_networks(), tmp_path / file_name
    weights = {key: value.contiguous() for key, value in authors_checkpoint(networks)["model"].items()}
    path.write_bytes(save(weights))
    loaded = narrow_networks()
    load_weights(path, loaded)
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            assert key.endswith("num_batches_tracked") or torch.equal(value, loaded[name].state_dict()[key])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="is not a whole safetensors file"):
        load_weights(path, narrow_networks())


@pytest.mark.parametrize("zipped", [True, False])
def test_the_name_of_a_pytorch_checkpoint_does_not_matter(tmp_path: Path, *, zipped: bool) -> None:
    """Both of PyTorch's formats are known by their content."""
    source, path = authors_checkpoint(narrow_networks()), tmp_path / "selavi.safetensors"
    load_weights(saved(source, path, _use_new_zipfile_serialization=zipped), narrow_networks())


@pytest.mark.parametrize("content", [b"", b"short", b"no checkpoint at all"])
def test_a_file_of_neither_format_is_called_what_its_name_says(tmp_path: Path, content: bytes) -> None:
    """The user knows it by this name."""
    for file_name, words in (("a.safetensors", "not a whole safetensors file"), ("a.pth", "not a checkpoint")):
        (tmp_path / file_name).write_bytes(content)
        with pytest.raises(WeightsError, match=words):
            load_weights(tmp_path / file_name, narrow_networks())


def test_negative_variances_are_refused(tmp_path: Path) -> None:
    """They would give features that are not numbers, which a fused network may hide."""
    checkpoint = authors_checkpoint(narrow_networks())
    checkpoint["model"]["module.audio_network.base.bn1.running_var"] -= 10
    with pytest.raises(WeightsError, match=r"negative variances \(audio_network\.base\.bn1\.running_var\)"):
        load_weights(saved(checkpoint, tmp_path / "selavi.pth"), narrow_networks())


def test_a_text_file_is_called_a_text_file(tmp_path: Path) -> None:
    """A file of word vectors is not a checkpoint that was cut short."""
    (tmp_path / "glove.txt").write_text("dog 0.1 0.2\ncat 0.3 0.4\n")
    with pytest.raises(WeightsError, match=r"glove\.txt is not a checkpoint but a text file"):
        load_weights(tmp_path / "glove.txt", narrow_networks())
