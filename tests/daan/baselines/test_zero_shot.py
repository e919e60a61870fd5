"""daan/baselines/zero_shot.py: the score `probability`, computed one video and one class at a time."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from daan.baselines.zero_shot import ZeroShot, ZeroShotConfig
from daan.batch import VideoBatch

WIDTHS = {"audio_width": 3, "visual_width": 2, "text_width": 5}


@given(
    has_audio=st.lists(st.booleans(), min_size=4, max_size=4),
    has_visual=st.lists(st.booleans(), min_size=4, max_size=4),
    scales=st.tuples(st.floats(0.5, 100), st.floats(0.5, 100)),
    seed=st.integers(0, 1000),
)
def test_the_probability_is_the_mean_over_what_a_video_has(
    has_audio: list[bool], has_visual: list[bool], scales: tuple[float, float], seed: int
) -> None:
    """-log of the mean of the softmax of each modality; a video with neither has both."""
    generator = torch.Generator().manual_seed(seed)
    method = ZeroShot(ZeroShotConfig(**WIDTHS, audio_scale=scales[0], visual_scale=scales[1]))
    audio, visual, text = (torch.randn(*shape, generator=generator) for shape in ((4, 1, 3), (4, 1, 2), (6, 5)))
    masks = (torch.tensor(has)[:, None] for has in (has_audio, has_visual))
    videos = method.embed_videos(VideoBatch(audio, visual, *masks))
    classes = method.embed_classes(text)
    found = method.distances(videos, classes)
    assert method.score == "probability"
    for n in range(4):
        chances = []
        neither = not (has_audio[n] or has_visual[n])
        for present, name, scale, of_text in (
            (has_audio[n], "audio", scales[0], classes[:, 2:]),
            (has_visual[n], "visual", scales[1], classes[:, :2]),
        ):
            if present or neither:
                cosines = [float(videos[name][n].double() @ row.double()) for row in of_text]
                largest = max(cosines)
                weights = [math.exp(scale * (cosine - largest)) for cosine in cosines]
                chances.append([weight / sum(weights) for weight in weights])
        for c in range(6):
            expected = sum(of_modality[c] for of_modality in chances) / len(chances)
            if expected > 1e-30:
                assert float(found["probability"][n, c]) == pytest.approx(-math.log(expected), abs=1e-3)


def test_without_scales_there_is_no_probability() -> None:
    """Cosines without the scale of their encoder are no logits."""
    assert "probability" not in ZeroShot(ZeroShotConfig(**WIDTHS)).scores
