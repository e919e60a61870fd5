"""extractors/vggish_c3d: both networks against plain ones, the spectrogram against a slow one, and their files."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from extractors.errors import WeightsError, WeightsSpecError
from extractors.vggish_c3d.extractor import VggishC3d
from extractors.vggish_c3d.log_mel import LogMel
from extractors.vggish_c3d.networks import C3d, Vggish
from extractors.vggish_c3d.options import VggishC3dOptions

FAMILY = VggishC3d()
CPU = torch.device("cpu")


def random_state(network: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Draw weights that keep the size of what passes through, in half precision, which is half as much to write."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in network.state_dict().items():
        deviation = math.sqrt(2 / value[0].numel()) if value.ndim > 1 else 0.01
        state[name] = (torch.randn(value.shape, generator=generator) * deviation).half()
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both files; C3D's has the layers after fc6 too, VGGish's the PCA."""
    made = tmp_path_factory.mktemp("weights")
    with torch.device("meta"):
        c3d, vggish = C3d(), Vggish()
    torch.save(
        {**random_state(c3d, 0), "fc7.weight": torch.zeros(2, 2), "fc8.bias": torch.zeros(2)}, made / "c3d.pickle"
    )
    save_file({**random_state(vggish, 1), "pproc.pca_means": torch.zeros(3)}, made / "vggish.safetensors")
    return made


def test_the_vectors_are_those_of_plain_networks(folder: Path) -> None:
    """The layers one after the other, with the sizes of the papers."""
    options = FAMILY.complete(VggishC3dOptions(weights=str(folder)), frozenset({"weights"}))
    weights = FAMILY.find_weights(options, cache_dir=folder)
    extractor = FAMILY.load(options, weights, device=CPU, runtime="eager")
    generator = np.random.default_rng(0)
    frames = torch.from_numpy(generator.integers(0, 256, (1, 16, 3, 112, 112), dtype=np.uint8))
    sound = torch.from_numpy(generator.integers(-9000, 9000, (3, 16_000)).astype(np.int16))
    state = torch.load(folder / "c3d.pickle", weights_only=True)
    hidden = frames.float().transpose(1, 2)
    for name in ("conv1", "pool1", "conv2", "pool", "conv3a", "conv3b", "pool", "conv4a", "conv4b", "pool"):
        if name == "pool1":
            hidden = nn.MaxPool3d((1, 2, 2))(hidden)
        elif name == "pool":
            hidden = nn.MaxPool3d(2)(hidden)
        else:
            weight, bias = state[f"{name}.weight"].float(), state[f"{name}.bias"].float()
            hidden = nn.functional.conv3d(hidden, weight, bias, padding=1).relu()
    for name in ("conv5a", "conv5b"):
        weight, bias = state[f"{name}.weight"].float(), state[f"{name}.bias"].float()
        hidden = nn.functional.conv3d(hidden, weight, bias, padding=1).relu()
    hidden = nn.MaxPool3d(2, padding=(0, 1, 1))(hidden)
    assert hidden.shape == (1, 512, 1, 4, 4)
    expected = nn.functional.linear(hidden.flatten(1), state["fc6.weight"].float(), state["fc6.bias"].float()).relu()
    torch.testing.assert_close(extractor.visual(frames), expected, atol=1e-3, rtol=1e-4)
    assert extractor.audio(sound).shape == (3, 128)
    assert FAMILY.widths(options, weights) == (4096, 128)


def test_vggish_reads_time_frequency_and_channel_in_the_order_of_tensorflow(folder: Path) -> None:
    """A plain network of the same layers, with the transposition written out."""
    torch.manual_seed(0)
    network = Vggish().eval()
    log_mel = torch.randn(2, 1, 96, 64)
    with torch.inference_mode():
        hidden = network.features(log_mel)
        assert hidden.shape == (2, 512, 6, 4)
        flat = torch.stack(
            [
                torch.tensor([hidden[n, c, t, f] for t in range(6) for f in range(4) for c in range(512)])
                for n in range(2)
            ]
        )
        torch.testing.assert_close(network(log_mel), network.embeddings(flat))


def slow_log_mel(samples: np.ndarray) -> np.ndarray:
    """Compute the spectrogram window by window, filter by filter, as the published description says."""
    mel = lambda hz: 1127 * math.log(1 + hz / 700)  # noqa: E731 - as short as the formula
    edges = [mel(125) + (mel(7500) - mel(125)) * k / 65 for k in range(66)]
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    rows = []
    for window in range(96):
        piece = samples[window * 160 : window * 160 + 400] * hann
        magnitudes = np.abs(np.fft.rfft(piece, 512))
        row = []
        for band in range(64):
            low, middle, high = edges[band : band + 3]
            total = 0.0
            for k, magnitude in enumerate(magnitudes):
                at = mel(k * 16_000 / 512)
                weight = max(0.0, min((at - low) / (middle - low), (high - at) / (high - middle)))
                total += weight * magnitude if k else 0.0
            row.append(math.log(total + 0.01))
        rows.append(row)
    return np.array(rows)


def test_the_spectrogram_equals_a_slow_one() -> None:
    """Silence too, whose logarithm is that of the offset."""
    sound = np.random.default_rng(0).integers(-20_000, 20_000, 16_000).astype(np.int16)
    found = LogMel(CPU)(torch.from_numpy(np.stack([sound, np.zeros_like(sound)])))
    assert found.shape == (2, 1, 96, 64)
    np.testing.assert_allclose(found[0, 0].numpy(), slow_log_mel(sound / 32768), atol=1e-4)
    np.testing.assert_allclose(found[1].numpy(), math.log(0.01), atol=1e-6)


def test_a_folder_without_one_of_the_files_is_refused(folder: Path, tmp_path: Path) -> None:
    """The message names the published files."""
    (tmp_path / "vggish.safetensors").symlink_to(folder / "vggish.safetensors")
    with pytest.raises(WeightsError, match=r"contains no files of C3D's weights, not one\. Give C3D's Sports-1M"):
        FAMILY.find_weights(VggishC3dOptions(weights=str(tmp_path)), cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("weights", "message"), [("auto", r"vggish-c3d needs --weights FOLDER with both"), ("c3d", "Give a folder with")]
)
def test_no_download_is_promised(weights: str, message: str) -> None:
    """The user must name a folder."""
    with pytest.raises(WeightsSpecError, match=message):
        FAMILY.complete(VggishC3dOptions(weights=weights), frozenset())
