"""extractors/selavi/extractor.py: preprocessing, options, identity, untrained features, checkpoints."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from extractors.base import ResolvedWeights
from extractors.errors import WeightsError
from extractors.selavi.extractor import SelaviExtractor, describe, load_selavi
from extractors.selavi.filterbank import LogFilterbank
from extractors.selavi.options import SelaviOptions
from extractors.selavi.weights import resolve_weights

CPU = torch.device("cpu")
WIDTH = 4


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread, because features computed by several threads differ in the last digit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def untrained() -> ResolvedWeights:
    """Random weights need no file."""
    return resolve_weights("untrained", cache_dir=Path("unused"))


@pytest.fixture(scope="module")
def extractor(untrained: ResolvedWeights) -> SelaviExtractor:
    """A narrow extractor."""
    return load_selavi(SelaviOptions(weights="untrained", width=WIDTH), untrained, device=CPU)


def frames(count: int, seed: int = 0) -> Tensor:
    """Make seconds of coarse noise that get brighter: (count, 30, 3, 112, 112)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 30, 3, 7, 7, generator=generator).repeat_interleave(16, 3).repeat_interleave(16, 4)
    return coarse * torch.linspace(0.1, 1, count).reshape(count, 1, 1, 1, 1)


def sounds(count: int, rate_hz: int, seed: int = 0) -> Tensor:
    """Make seconds of noise that get louder: (count, rate_hz)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, rate_hz, generator=generator) - 0.5
    return (noise * torch.logspace(1, 4.5, count).unsqueeze(1)).to(torch.int16)


def test_features_are_eight_times_the_width(extractor: SelaviExtractor) -> None:
    """Both modalities give (N, D) float32 without gradients."""
    visual, audio = extractor.visual(frames(2)), extractor.audio(sounds(3, extractor.audio_rate_hz))
    assert (visual.shape, audio.shape) == ((2, 8 * WIDTH), (3, 8 * WIDTH))
    assert (extractor.visual_width, extractor.audio_width) == (8 * WIDTH, 8 * WIDTH)
    assert visual.dtype == audio.dtype == torch.float32
    assert not visual.requires_grad


def test_a_second_does_not_depend_on_the_others_in_its_batch(extractor: SelaviExtractor) -> None:
    """Seconds give the same features one by one and in a batch."""
    pictures, noise = frames(3), sounds(3, extractor.audio_rate_hz)
    for run, given in ((extractor.visual, pictures), (extractor.audio, noise)):
        alone = torch.cat([run(second) for second in given.split(1)])
        torch.testing.assert_close(run(given), alone, rtol=1e-5, atol=1e-5)


def test_the_picture_is_normalised_as_the_authors_did(extractor: SelaviExtractor) -> None:
    """Pictures are shifted by 0.45 and divided by 0.225, and time comes after the colours."""
    given = frames(1)
    seen = extractor.visual_input(given)
    assert seen.shape == (1, 3, 30, 112, 112)
    assert seen[0, 2, 29, 5, 7].item() == pytest.approx((given[0, 29, 2, 5, 7].item() - 0.45) / 0.225, abs=1e-5)


def test_only_recipe_avca_normalises_the_sound(untrained: ResolvedWeights, extractor: SelaviExtractor) -> None:
    """The avca recipe uses 44.1 kHz and z-normalises; the selavi recipe uses 24 kHz without normalisation."""
    assert extractor.audio_rate_hz == 44_100
    noise = sounds(2, 44_100)
    expected = (LogFilterbank(44_100)(noise) - 1.93) / 17.89
    torch.testing.assert_close(extractor.audio_input(noise), expected.unsqueeze(1))

    options = SelaviOptions(recipe="selavi", weights="untrained", width=WIDTH)
    authors = load_selavi(options, untrained, device=CPU)
    assert authors.audio_rate_hz == 24_000
    torch.testing.assert_close(
        authors.audio_input(sounds(2, 24_000)), LogFilterbank(24_000)(sounds(2, 24_000)).unsqueeze(1)
    )


def test_untrained_features_stay_in_bounds_and_follow_the_input(extractor: SelaviExtractor) -> None:
    """Black, white, noise, silence and full scale give features of ordinary size that differ."""
    pictures = torch.cat([torch.zeros(1, 30, 3, 112, 112), torch.ones(1, 30, 3, 112, 112), frames(2)])
    noise = torch.cat([torch.zeros(1, 44_100, dtype=torch.int16), sounds(3, 44_100)])
    for features in (extractor.visual(pictures), extractor.audio(noise)):
        assert features.abs().max() < 20
        assert torch.pdist(features).min() > 0.1


def test_loading_does_not_use_the_global_generator(untrained: ResolvedWeights) -> None:
    """Loading draws from its own generator, and the same seed gives the same features."""
    options = SelaviOptions(weights="untrained", width=1, seed=5)
    before = torch.get_rng_state()
    first = load_selavi(options, untrained, device=CPU)
    assert torch.equal(before, torch.get_rng_state())
    second = load_selavi(options, untrained, device=CPU)
    other = load_selavi(SelaviOptions(weights="untrained", width=1, seed=6), untrained, device=CPU)
    given = sounds(2, 44_100)
    assert torch.equal(first.audio(given), second.audio(given))
    assert not torch.equal(first.audio(given), other.audio(given))


def test_the_identity_contains_everything_that_can_change_a_feature(untrained: ResolvedWeights, tmp_path: Path) -> None:
    """Recipe, width, weights and seed change the identity; the seed only if it is used."""
    file = ResolvedWeights(name="vgg_sound", path=tmp_path / "selavi_vgg_sound.pth", sha256="ab", note="")
    same_name = ResolvedWeights(name="vgg_sound", path=file.path, sha256="cd", note="")
    identities = [
        describe(SelaviOptions(), untrained),
        describe(SelaviOptions(recipe="selavi"), untrained),
        describe(SelaviOptions(width=16), untrained),
        describe(SelaviOptions(seed=1), untrained),
        describe(SelaviOptions(), file),
        describe(SelaviOptions(), same_name),
    ]
    assert all(one != other for index, one in enumerate(identities) for other in identities[:index])
    assert describe(SelaviOptions(seed=1), file) == describe(SelaviOptions(), file)
    assert all(isinstance(value, str | int | float) for value in identities[0].values())
    assert identities[4]["weights_sha256"] == "ab"


def test_the_extractor_has_the_identity_of_describe(untrained: ResolvedWeights, extractor: SelaviExtractor) -> None:
    """The identity stored with features equals that of `describe`, which builds no network."""
    assert extractor.identity == describe(SelaviOptions(weights="untrained", width=WIDTH), untrained)


def test_trained_weights_of_another_width_fail(tmp_path: Path) -> None:
    """Trained weights only exist in width 64; the message says what to do."""
    weights = ResolvedWeights(name="ave", path=tmp_path / "selavi_ave.pth", sha256="", note="")
    with pytest.raises(WeightsError, match=r"ave weights have width 64, but width 16 was requested.*untrained"):
        load_selavi(SelaviOptions(width=16), weights, device=CPU)


@pytest.mark.parametrize(("option", "message"), [({"width": 0}, "width is 0"), ({"seed": -1}, "seed is -1")])
def test_impossible_options_fail(option: dict[str, int], message: str) -> None:
    """The options are refused before anything is built."""
    with pytest.raises(ValueError, match=message):
        SelaviOptions(**option)  # type: ignore[arg-type]  # parametrised by name
