"""extractors/r2plus1d: features equal those of torchvision's own network and transforms."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.video import R2Plus1D_18_Weights, r2plus1d_18

from extractors.decoding.pictures.convert import resize_and_crop
from extractors.errors import WeightsError, WeightsSpecError
from extractors.r2plus1d.extractor import INPUTS, KINETICS, R2plus1d
from extractors.r2plus1d.options import R2plus1dOptions

FAMILY = R2plus1d()
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights in torchvision's layout."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "r2plus1d.pth"
    torch.save(r2plus1d_18().state_dict(), path)
    return path


def test_the_features_are_those_of_torchvision(weights_file: Path) -> None:
    """The transforms that the weights name, and the network without its classifier."""
    options = FAMILY.complete(R2plus1dOptions(weights=str(weights_file)), frozenset({"weights"}))
    extractor = FAMILY.load(options, FAMILY.find_weights(options, cache_dir=weights_file.parent), device=CPU)
    frames = np.random.default_rng(0).integers(0, 256, (16, 90, 160, 3), dtype=np.uint8)
    network = r2plus1d_18().eval()
    network.load_state_dict(torch.load(weights_file, weights_only=True))
    network.fc = torch.nn.Identity()
    transforms = R2Plus1D_18_Weights.KINETICS400_V1.transforms()
    with torch.inference_mode():
        expected = network(transforms(torch.from_numpy(frames).permute(0, 3, 1, 2))[None])
    out = np.zeros((1, *INPUTS.picture.shape), np.uint8)
    for frame, target in zip(frames, out[0], strict=True):
        resize_and_crop(frame, target, INPUTS.picture)
    vectors = extractor.visual(torch.from_numpy(out))
    torch.testing.assert_close(vectors, expected, atol=1e-4, rtol=1e-3)
    assert (extractor.visual_width, extractor.audio_width) == (512, None)


def test_the_published_file_is_torchvisions() -> None:
    """Its name holds the beginning of its sha256."""
    assert R2Plus1D_18_Weights.KINETICS400_V1.url == KINETICS.url
    assert KINETICS.sha256_begins in KINETICS.name


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    """Tests run with AVZSL_OFFLINE."""
    with pytest.raises(WeightsError, match=r"AVZSL_OFFLINE is set\. Download it elsewhere and give it with --weights"):
        FAMILY.find_weights(R2plus1dOptions(), cache_dir=tmp_path)


def test_a_changed_file_in_the_cache_is_refused(tmp_path: Path) -> None:
    """The sha256 is known by its beginning."""
    (tmp_path / KINETICS.name).write_bytes(b"another file")
    with pytest.raises(WeightsError, match="has changed since it was fetched, or is another file"):
        FAMILY.find_weights(R2plus1dOptions(), cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"junk\n", "is not a checkpoint but a text file"),
        (b"PK\x03\x04 cut", "is not a checkpoint that PyTorch can read"),
        ({"layer1.weight": torch.zeros(3)}, r"does not fit the network: .* missing"),
        ([1, 2], "holds no dictionary of weights"),
    ],
)
def test_wrong_weights_are_refused_in_one_line(tmp_path: Path, content: object, message: str) -> None:
    """Text, a damaged file, weights of another network, and another thing that PyTorch saved."""
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    options = R2plus1dOptions(weights=str(path))
    weights = FAMILY.find_weights(options, cache_dir=tmp_path)
    with pytest.raises(WeightsError, match=message) as caught:
        FAMILY.load(options, weights, device=CPU)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_exist_are_a_usage_error() -> None:
    """The message says what to give."""
    with pytest.raises(WeightsSpecError, match=re.escape("Give a file of R(2+1)D-18 weights in torchvision's")):
        FAMILY.complete(R2plus1dOptions(weights="kinetics"), frozenset({"weights"}))
