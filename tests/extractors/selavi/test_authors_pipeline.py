"""The features of a 30 Hz clip equal those of SeLaVi's own preprocessing and networks, written down plainly."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from python_speech_features import logfbank
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.video import r2plus1d_18

from extractors.decoding.interface import DecodingRequest, get_decoder
from extractors.selavi.extractor import load_selavi
from extractors.selavi.options import RECIPES, SelaviOptions
from extractors.selavi.weights import resolve_weights

SECONDS = 2
SIZE = 140, 180  # height, width


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, nn.Module, Path]:
    """Return the authors' networks with random weights, and a checkpoint of them in the authors' layout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        visual, audio = r2plus1d_18(), ResNet(BasicBlock, [1, 1, 1, 1])
        audio.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        visual.fc, audio.fc = nn.Identity(), nn.Identity()
    parts = {"video_network": visual, "audio_network": audio}
    keys = {f"module.{n}.base.{key}": value for n, part in parts.items() for key, value in part.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "selavi.pth"
    torch.save({"model": keys}, path)
    return visual.eval(), audio.eval(), path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a clip of 30 pictures per second with sound at 44.1 kHz."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    random = np.random.default_rng(0)
    with av.open(path, "w") as container:
        picture = container.add_stream("libx264", rate=30, options={"bf": "2"})
        picture.height, picture.width, picture.pix_fmt = *SIZE, "yuv420p"
        sound = container.add_stream("aac", rate=44_100, layout="stereo")
        for _ in range(30 * SECONDS + 15):
            blocks = random.integers(0, 256, (SIZE[0] // 20, SIZE[1] // 20, 3))
            rgb = np.kron(blocks, np.ones((20, 20, 1))).astype(np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        samples = random.normal(0, 0.2, (2, 44_100 * SECONDS + 22_050)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        container.mux(sound.encode(frame))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    return path


def authors_pictures(path: Path) -> Tensor:
    """Return whole seconds of normalised pictures, (N, 3, 30, 112, 112): frame by frame, torch's resizing, a crop."""
    with av.open(path) as container:
        frames = [frame.to_rgb().to_ndarray() for frame in container.decode(video=0)][: 30 * SECONDS]
    pictures = torch.from_numpy(np.stack(frames)).float() / 255
    pictures = ((pictures - 0.45) / 0.225).permute(0, 3, 1, 2)
    width = int(SIZE[1] / SIZE[0] * 112)
    scaled = nn.functional.interpolate(pictures, size=(112, width), mode="bilinear", align_corners=False)
    left = int(np.ceil((width - 112) / 2))
    cropped = scaled[:, :, :, left : left + 112]
    return cropped.reshape(SECONDS, 30, 3, 112, 112).transpose(1, 2)


def authors_sound(path: Path, *, rate_hz: int, mean: float, deviation: float) -> Tensor:
    """Return whole seconds of log filterbanks of 16-bit mono sound, (N, 1, 257, 99)."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    with av.open(path) as container:
        mixed = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
    samples = np.concatenate([piece.to_ndarray()[0] for piece in [*mixed, *resampler.resample(None)]])
    seconds = samples[: SECONDS * rate_hz].reshape(SECONDS, rate_hz)
    energies = [logfbank(second, rate_hz, winlen=0.02, winstep=0.01, nfilt=257, nfft=1024) for second in seconds]
    return (torch.tensor(np.stack(energies)).float().transpose(1, 2)[:, None] - mean) / deviation


@pytest.mark.parametrize("recipe", RECIPES)
def test_features_equal_the_authors_own(networks: tuple[nn.Module, nn.Module, Path], clip: Path, recipe: str) -> None:
    """Both modalities agree to 1e-5 of the largest value, from the file to the feature."""
    visual, audio, checkpoint = networks
    options = SelaviOptions(weights=str(checkpoint), recipe=recipe)
    extractor = load_selavi(
        options, resolve_weights(str(checkpoint), cache_dir=checkpoint.parent), device=torch.device("cpu")
    )
    request = DecodingRequest(path=clip, inputs=extractor.inputs)
    seconds = list(get_decoder("pyav").decode(request))
    assert len(seconds) == SECONDS
    settings = RECIPES[recipe]
    with torch.inference_mode():
        shown = extractor.visual(torch.from_numpy(np.stack([second.frames for second in seconds])))
        heard = extractor.audio(torch.from_numpy(np.stack([second.audio for second in seconds])))
        wanted = visual(authors_pictures(clip))
        sound = authors_sound(
            clip, rate_hz=settings.audio_rate_hz, mean=settings.audio_mean, deviation=settings.audio_deviation
        )
        heard_wanted = audio(sound)
    for ours, theirs in ((shown, wanted), (heard, heard_wanted)):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
