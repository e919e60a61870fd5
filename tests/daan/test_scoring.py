"""Tests of daan/scoring.py against distances that are computed one by one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daan.scoring import class_distances


@settings(deadline=None, max_examples=25)
@given(
    present=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=5),
    classes=st.integers(0, 40),
    width=st.integers(1, 6),
)
def test_distances_are_euclidean_and_a_single_modality_counts_twice(
    present: list[tuple[bool, bool]], classes: int, width: int
) -> None:
    """`sum` is the sum of both distances, or twice the distance of the only modality."""
    theta_a, theta_v = (torch.randn(len(present), width, dtype=torch.float64) for _ in range(2))
    theta_w = torch.randn(classes, width, dtype=torch.float64)
    has = torch.tensor(present, dtype=torch.bool).view(-1, 2)

    scores = class_distances(theta_a, theta_v, theta_w, has_audio=has[:, 0], has_visual=has[:, 1])

    for video, (has_audio, has_visual) in enumerate(present):
        for label in range(classes):
            audio = math.dist(theta_a[video].tolist(), theta_w[label].tolist())
            visual = math.dist(theta_v[video].tolist(), theta_w[label].tolist())
            total = audio + visual if has_audio == has_visual else 2 * audio if has_audio else 2 * visual
            expected = {"audio": audio, "visual": visual, "sum": total}
            assert {name: values[video, label].item() for name, values in scores.items()} == pytest.approx(expected)
    assert {values.shape for values in scores.values()} == {(len(present), classes)}


def test_a_video_has_the_same_score_alone_and_in_a_batch() -> None:
    """The number of videos does not change how distances are computed."""
    theta, theta_w, has = torch.randn(200, 64), torch.randn(300, 64), torch.ones(200, dtype=torch.bool)

    together = class_distances(theta, theta, theta_w, has_audio=has, has_visual=has)["sum"]
    alone = class_distances(theta[:1], theta[:1], theta_w, has_audio=has[:1], has_visual=has[:1])["sum"]

    torch.testing.assert_close(alone, together[:1], rtol=1e-6, atol=1e-5)
