"""The contract of every extractor: shapes, independence of batches and order, identity, half precision."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from extractors.base import Extractor, ExtractorFamily, ExtractorOptions
from extractors.clip_clap.options import ClipClapOptions
from extractors.decoding.interface import Second, VideoSummary
from extractors.decoding.pool import SecondDecoded, VideoDecoded
from extractors.extraction import VideoFeatures, extract_videos
from extractors.pe_av.options import PeAvOptions
from extractors.r2plus1d.options import R2plus1dOptions
from extractors.registry import EXTRACTORS, about_extractor, extractor_family
from extractors.selavi.options import SelaviOptions
from extractors.vggish_c3d.options import VggishC3dOptions

CPU = torch.device("cpu")
HEAVY = {"r2plus1d", "vggish-c3d"}  # a second takes seconds


@dataclasses.dataclass(frozen=True)
class Case:
    """An extractor with small or random weights."""

    name: str
    family: ExtractorFamily[Any]
    options: ExtractorOptions
    extractor: Extractor
    cache_dir: Path


def _random_state(network: torch.nn.Module) -> dict[str, Tensor]:
    """Draw weights that keep the size of what passes through."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: (torch.randn(value.shape, generator=generator) * math.sqrt(2 / max(1, value[0].numel()))).half()
        if value.ndim > 1
        else torch.ones_like(value, device="cpu")
        for name, value in network.state_dict().items()
    }


def _options(name: str, request: pytest.FixtureRequest, folder: Path) -> ExtractorOptions:
    """Make small or random weights for an extractor, and return options that name them."""
    if name == "selavi":
        return SelaviOptions(weights="untrained", width=1)
    if name == "clip-clap":
        save: Callable[..., Path] = request.getfixturevalue("clip_clap_models")
        return ClipClapOptions(weights=str(save(folder)))
    if name == "pe-av":
        save = request.getfixturevalue("pe_av_model")
        return PeAvOptions(weights=str(save(folder)))
    if name == "r2plus1d":
        from torchvision.models.video import r2plus1d_18  # noqa: PLC0415 - takes seconds

        torch.manual_seed(0)
        torch.save(r2plus1d_18().state_dict(), folder / "weights.pth")
        return R2plus1dOptions(weights=str(folder / "weights.pth"))
    from extractors.vggish_c3d.networks import C3d, Vggish  # noqa: PLC0415 - only here

    with torch.device("meta"):
        c3d, vggish = C3d(), Vggish()
    torch.save(_random_state(c3d), folder / "c3d.pickle")
    torch.save(_random_state(vggish), folder / "vggish.pth")
    return VggishC3dOptions(weights=str(folder))


@pytest.fixture(scope="module", params=EXTRACTORS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Each extractor of the registry."""
    folder = tmp_path_factory.mktemp(request.param)
    family = extractor_family(request.param)
    options = family.complete(_options(request.param, request, folder), frozenset({"weights", "width"}))
    weights = family.find_weights(options, cache_dir=folder / "cache")
    extractor = family.load(options, weights, device=CPU)
    return Case(request.param, family, options, extractor, folder / "cache")


def frames_of(extractor: Extractor, count: int, seed: int = 0) -> Tensor:
    """Draw coarse noise as pictures (N, F, 3, S, S)."""
    wanted = extractor.inputs.picture
    assert wanted is not None
    side = -(-wanted.side_pixels // 8)
    coarse = np.random.default_rng(seed).integers(0, 256, (count, wanted.frames_per_second, 3, side, side))
    pictures = coarse.repeat(8, 3).repeat(8, 4)[..., : wanted.side_pixels, : wanted.side_pixels]
    return torch.from_numpy((pictures / 255).astype(np.float32) if wanted.is_float else pictures.astype(np.uint8))


def sounds_of(extractor: Extractor, count: int, seconds: float = 1.0, seed: int = 0) -> Tensor:
    """Draw noise as sound (N, L)."""
    wanted = extractor.inputs.sound
    assert wanted is not None
    samples = np.random.default_rng(seed).integers(-9000, 9000, (count, round(seconds * wanted.rate_hz)))
    return torch.from_numpy(samples.astype(np.int16))


def computed(extractor: Extractor) -> list[tuple[Callable[[Tensor], Tensor], Tensor, int | None]]:
    """Return the calls of an extractor, with inputs and the width of a vector (None: rows of single pictures)."""
    calls: list[tuple[Callable[[Tensor], Tensor], Tensor, int | None]] = []
    if extractor.visual_width is not None:
        picture = extractor.inputs.picture
        assert picture is not None
        frames = frames_of(extractor, 3)
        if picture.window_seconds > 1:
            rows = extractor.visual(frames)
            assert rows.shape[:2] == (3, picture.frames_per_second)
            calls += [(extractor.visual, frames, None), (extractor.visual_of_windows, rows, extractor.visual_width)]
        else:
            calls.append((extractor.visual, frames, extractor.visual_width))
    if extractor.audio_width is not None:
        assert extractor.inputs.sound is not None
        window = extractor.inputs.sound.window_seconds
        for seconds in sorted({1.0, (1 + window) / 2, float(window)}):  # the ends of a clip cut windows
            calls.append((extractor.audio, sounds_of(extractor, 3, seconds), extractor.audio_width))
    return calls


def test_vectors_have_the_announced_widths_and_are_finite(case: Case) -> None:
    """They are float32 without gradients, and differ from second to second."""
    weights = case.family.find_weights(case.options, cache_dir=case.cache_dir)
    widths = (case.extractor.visual_width, case.extractor.audio_width)
    assert case.family.widths(case.options, weights) == widths
    for call, inputs, width in computed(case.extractor):
        vectors = call(inputs)
        assert vectors.dtype == torch.float32
        assert not vectors.requires_grad
        assert width is None or vectors.shape == (3, width)
        assert torch.isfinite(vectors).all()
        assert (vectors[0] - vectors[1]).abs().max() > 1e-4


def test_vectors_do_not_depend_on_the_batch(case: Case) -> None:
    """Alone, in a batch, and in another order."""
    for call, inputs, _ in computed(case.extractor):
        vectors = call(inputs)
        size = vectors.abs().max()
        for row in range(3):
            torch.testing.assert_close(call(inputs[row : row + 1])[0] / size, vectors[row] / size, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(call(inputs.flip(0)).flip(0) / size, vectors / size, atol=1e-5, rtol=1e-4)


def test_inputs_are_not_changed(case: Case) -> None:
    """A caller may use them again."""
    for call, inputs, _ in computed(case.extractor):
        before = inputs.clone()
        call(inputs)
        assert torch.equal(inputs, before)


def test_the_identity_is_plain_and_that_of_the_family(case: Case) -> None:
    """It becomes the attributes of a file; loading the same again gives the same."""
    weights = case.family.find_weights(case.options, cache_dir=case.cache_dir)
    described = case.family.describe(case.options, weights)
    assert dict(case.extractor.identity) == described
    assert described["extractor"] == case.name
    assert isinstance(described["extractor_version"], int)
    assert all(isinstance(value, str | int | float | bool) for value in described.values())
    where = case.family.where(case.options, weights)
    assert where.get("paired_text", "") == case.extractor.paired_text
    assert bool(case.extractor.paired_text) == about_extractor(case.name).text


def test_half_precision_is_near_and_has_another_identity(case: Case) -> None:
    """Vectors keep their direction."""
    if case.name in HEAVY and not torch.cuda.is_available():
        pytest.skip("without a GPU, a processor takes minutes for these networks in half precision")
    half = dataclasses.replace(case.options, precision="bfloat16")
    weights = case.family.find_weights(half, cache_dir=case.cache_dir)
    extractor = case.family.load(half, weights, device=CPU)
    assert dict(extractor.identity) != dict(case.extractor.identity)
    for (call, inputs, _), (exact, _, _) in zip(computed(extractor), computed(case.extractor), strict=True):
        found, expected = call(inputs).flatten(1), exact(inputs).flatten(1)
        assert found.dtype == torch.float32
        assert torch.cosine_similarity(found, expected).min() > 0.9


@pytest.mark.parametrize("absent", ["", "picture", "sound"])
def test_a_video_with_or_without_a_modality_is_extracted(case: Case, absent: str) -> None:
    """Windows of pictures are cut at the ends of the video, which a slow loop does too."""
    extractor, count = case.extractor, 2 if case.name in HEAVY else 5
    sees = extractor.visual_width is not None and absent != "picture"
    hears = extractor.audio_width is not None and absent != "sound"
    if not (sees or hears):
        pytest.skip("decoding refuses a video that lacks the only modality")
    frames = frames_of(extractor, count, seed=1) if sees else None
    sounds = sounds_of(extractor, count, seed=1) if hears else None
    seconds = [
        Second(None if frames is None else frames[n].numpy(), None if sounds is None else sounds[n].numpy())
        for n in range(count)
    ]
    events: list[Any] = [SecondDecoded("clip", n, second) for n, second in enumerate(seconds)]
    events.append(VideoDecoded("clip", VideoSummary(count, float(count), hears, sees, ())))
    pool: Any = type("Pool", (), {"decode": lambda _, __: iter(events)})()
    (result,) = extract_videos([], extractor, pool=pool, batch_seconds=3)
    assert isinstance(result, VideoFeatures)
    assert (result.visual is not None, result.audio is not None) == (sees, hears)
    if frames is not None:
        assert result.visual is not None
        close(result.visual, slow_visual(extractor, frames))
    if sounds is not None:
        assert result.audio is not None
        close(result.audio, extractor.audio(sounds).numpy())


def close(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare vectors, whose size depends on the extractor."""
    np.testing.assert_allclose(found / np.abs(expected).max(), expected / np.abs(expected).max(), atol=1e-5)


def slow_visual(extractor: Extractor, frames: Tensor) -> np.ndarray:
    """Compute the vectors of a video second by second."""
    picture = extractor.inputs.picture
    assert picture is not None
    if picture.window_seconds == 1:
        return torch.cat([extractor.visual(frame[None]) for frame in frames]).numpy()
    rows = torch.cat([extractor.visual(frame[None]) for frame in frames]).flatten(0, 1)
    margin, per_second = round((picture.window_seconds - 1) / 2 * picture.frames_per_second), picture.frames_per_second
    windows = [
        rows[max(0, second * per_second - margin) : (second + 1) * per_second + margin] for second in range(len(frames))
    ]
    return torch.cat([extractor.visual_of_windows(window[None]) for window in windows]).numpy()


def test_the_options_of_settings_have_the_name_of_their_extractor() -> None:
    """The registry and the settings list the same extractors."""
    from pipeline.settings.extraction import EXTRACTOR_OPTIONS  # noqa: PLC0415 - the layer above

    assert set(EXTRACTOR_OPTIONS) == set(EXTRACTORS)
    for name, options in EXTRACTOR_OPTIONS.items():
        assert options().name == name  # type: ignore[call-arg]
