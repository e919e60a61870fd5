"""daan/baselines/anchored.py: the mixture of trained and frozen distances."""

import pytest
import torch

from daan.baselines.anchored import Anchored
from daan.baselines.avca import Avca, AvcaConfig
from daan.baselines.zero_shot import ZeroShot, ZeroShotConfig
from daan.batch import VideoBatch

WIDTHS = {"audio_width": 3, "visual_width": 2, "text_width": 5}
FROZEN = ZeroShotConfig(**WIDTHS, audio_scale=3.0, visual_scale=4.0)


def make() -> tuple[Avca, VideoBatch, torch.Tensor]:
    """Make a trained method, videos with and without each modality, and class embeddings."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    masks = torch.tensor([[True, True], [True, False], [False, False]]), torch.tensor([[True, False]] * 3)
    audio, visual, text = (torch.randn(*shape, generator=generator) for shape in ((3, 2, 3), (3, 2, 2), (4, 5)))
    config = AvcaConfig(**WIDTHS, encoder_width=8, hidden_width=6, projection_width=8, output_width=4)
    return Avca(config).eval(), VideoBatch(audio, visual, *masks), text


def distances(method: Avca | Anchored | ZeroShot, videos: VideoBatch, text: torch.Tensor) -> dict[str, torch.Tensor]:
    """Compute the distances by each score."""
    return method.distances(method.embed_videos(videos), method.embed_classes(text))


def test_each_score_is_mixed_with_the_frozen_distance_of_its_modality() -> None:
    """Only the score that predicts (AVCA's is `visual`) and `sum` get the one that the frozen encoders predict by."""
    trained, videos, text = make()
    mixed = Anchored(trained, FROZEN)
    factors = {score: 0.5 + number for number, score in enumerate(trained.scores)}
    mixed.set_factors(factors)
    own, frozen = distances(trained, videos, text), distances(ZeroShot(FROZEN), videos, text)
    found = distances(mixed, videos, text)
    assert list(found) == list(trained.scores)
    for score, factor in factors.items():
        other = "audio" if score == "audio" else "probability"
        torch.testing.assert_close(found[score], own[score] + factor * frozen[other])


def test_a_factor_of_0_changes_nothing() -> None:
    """The mixture is then the trained method, bit for bit."""
    trained, videos, text = make()
    own, found = distances(trained, videos, text), distances(Anchored(trained, FROZEN), videos, text)
    assert all(torch.equal(found[score], own[score]) for score in trained.scores)


def test_the_frozen_encoders_get_features_as_they_were() -> None:
    """The trained method gets standardised ones."""
    trained, videos, text = make()
    statistics = {
        "audio_mean": torch.tensor([1.0, -2.0, 0.5]),
        "audio_deviation": torch.tensor([2.0, 0.5, 3.0]),
        "visual_mean": torch.tensor([0.3, -0.7]),
        "visual_deviation": torch.tensor([1.5, 4.0]),
    }
    mixed = Anchored(trained, FROZEN)
    mixed.undo_standardising(**statistics)
    mixed.set_factors(dict.fromkeys(trained.scores, 1.0))
    standardised = VideoBatch(
        (videos.audio - statistics["audio_mean"]) / statistics["audio_deviation"],
        (videos.visual - statistics["visual_mean"]) / statistics["visual_deviation"],
        videos.audio_mask,
        videos.visual_mask,
    )
    own, frozen = distances(trained, standardised, text), distances(ZeroShot(FROZEN), videos, text)
    found = distances(mixed, standardised, text)["audio"].detach()
    assert found.numpy() == pytest.approx((own["audio"] + frozen["audio"]).detach().numpy(), abs=1e-5)
