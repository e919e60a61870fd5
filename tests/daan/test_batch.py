"""Tests of daan/batch.py: batches, selected videos and hidden modalities."""

import pytest
import torch

from daan.batch import VideoBatch, hide_modalities


def videos(count: int, seconds: int) -> VideoBatch:
    """Make videos with both modalities in all seconds."""
    mask = torch.ones(count, seconds, dtype=torch.bool)
    return VideoBatch(torch.randn(count, seconds, 2), torch.randn(count, seconds, 3), mask, mask.clone())


def test_indices_select_videos() -> None:
    """Features and masks follow the order of the indices."""
    batch = videos(4, 2)

    some = batch[torch.tensor([3, 1])]

    assert torch.equal(some.audio, torch.stack((batch.audio[3], batch.audio[1])))
    assert torch.equal(some.visual, torch.stack((batch.visual[3], batch.visual[1])))
    assert (len(some), some.audio_mask.shape, some.visual_mask.shape) == (2, (2, 2), (2, 2))


def test_hiding_removes_one_modality_with_the_given_probability() -> None:
    """About half of the hidden modalities are audio, no video loses both, and the generator decides."""
    batch = videos(4000, 2)

    hidden = hide_modalities(batch, 0.4, torch.Generator().manual_seed(1))

    lost_audio, lost_visual = ~hidden.audio_mask.any(1), ~hidden.visual_mask.any(1)
    assert not (lost_audio & lost_visual).any()
    assert lost_audio.float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert lost_visual.float().mean().item() == pytest.approx(0.2, abs=0.03)
    again = hide_modalities(batch, 0.4, torch.Generator().manual_seed(1))
    assert torch.equal(hidden.audio_mask, again.audio_mask)


def test_a_video_keeps_its_only_modality() -> None:
    """Hiding it would leave nothing of the video."""
    batch = videos(50, 2)
    silent = VideoBatch(batch.audio, batch.visual, torch.zeros_like(batch.audio_mask), batch.visual_mask)

    assert hide_modalities(silent, 0.99, None).visual_mask.all()


def test_probability_zero_draws_no_random_number() -> None:
    """At probability 0 the batch is the same object and the generator does not change."""
    generator = torch.Generator().manual_seed(1)
    state, batch = generator.get_state(), videos(2, 1)

    assert hide_modalities(batch, 0.0, generator) is batch
    assert torch.equal(state, generator.get_state())


@pytest.mark.parametrize(
    "change",
    [
        {"audio": torch.zeros(2, 3)},
        {"audio_mask": torch.ones(2, 4, dtype=torch.bool)},
        {"visual_mask": torch.ones(2, 3)},
    ],
)
def test_shapes_that_do_not_fit_raise(change: dict[str, torch.Tensor]) -> None:
    """The message shows the shapes and the rule."""
    mask = torch.ones(2, 3, dtype=torch.bool)
    fields = {"audio": torch.zeros(2, 3, 2), "visual": torch.zeros(2, 3, 2), "audio_mask": mask, "visual_mask": mask}

    with pytest.raises(ValueError, match=r"give \(B, T, D\) features and a \(B, T\) mask of bool"):
        VideoBatch(**{**fields, **change})


def test_different_numbers_of_videos_raise() -> None:
    """Audio and visual must have the same videos."""
    one, two = videos(1, 2), videos(2, 2)

    with pytest.raises(ValueError, match="audio has 1 videos and visual 2"):
        VideoBatch(one.audio, two.visual, one.audio_mask, two.visual_mask)
