"""pipeline/training/anchoring.py: how strongly frozen distances count."""

import numpy as np
import pytest
import torch

from daan.baselines.bilinear import Ale, BilinearConfig
from daan.baselines.zero_shot import ZeroShotConfig
from pipeline.features.feature_set import FeatureSet
from pipeline.training.anchoring import ANCHOR_WEIGHTS, choose_anchor
from pipeline.training.validation import Validator

CLASSES, VIDEOS, WIDTH = 8, 160, 16
WIDTHS = {"audio_width": WIDTH, "visual_width": WIDTH, "text_width": WIDTH}


def features(vectors: torch.Tensor, *, are_paired: bool) -> FeatureSet:
    """Make videos near the vectors of their classes, or anywhere."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(VIDEOS) % CLASSES
    noise = torch.randn(2, VIDEOS, WIDTH, generator=generator)
    audio, visual = noise + 2 * vectors[labels] if are_paired else noise
    present = torch.ones(VIDEOS, dtype=torch.bool)
    return FeatureSet(
        keys=tuple(map(str, range(VIDEOS))),
        classes=tuple(map(str, range(CLASSES))),
        labels=labels,
        visual=visual,
        audio=audio,
        offsets=torch.arange(VIDEOS),
        seconds=torch.ones(VIDEOS, dtype=torch.int64),
        has_audio=present,
        has_visual=present,
        attributes={},
    )


@pytest.mark.parametrize("are_paired", [True, False])
def test_the_weight_is_the_one_with_the_best_validation(are_paired: bool) -> None:
    """It is large if the encoders know the classes and the network does not; it never makes validation worse."""
    vectors = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(0))
    videos = features(vectors, are_paired=are_paired)
    torch.manual_seed(2)
    network = Ale(BilinearConfig(**WIDTHS))
    standardiser = videos.statistics(torch.arange(VIDEOS))
    validator = Validator(
        videos,
        torch.arange(VIDEOS),
        vectors,
        standardiser,
        seen=torch.arange(CLASSES) < CLASSES // 2,
        allowed=torch.ones(CLASSES, dtype=torch.bool),
        score=network.score,
        least_videos=20,
        device=torch.device("cpu"),
    )
    anchor, found = choose_anchor(network, ZeroShotConfig(**WIDTHS), standardiser, validator)
    alone = validator(network)
    assert anchor.weight in ANCHOR_WEIGHTS
    assert found.validation_metric >= alone.validation_metric
    if are_paired:
        assert anchor.weight > 0
        assert found.metrics.HM > alone.metrics.HM + 20
    again = validator(anchor.applied(network, standardiser))
    assert again.metrics == found.metrics
    spread = {score: float(np.std(validator.distances(network)[score], axis=1).mean()) for score in network.scores}
    assert set(anchor.factors) == set(spread)
    assert (anchor.weight == 0) == (not any(anchor.factors.values()))
