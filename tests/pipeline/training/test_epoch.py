"""pipeline/training/epoch.py: classes are drawn evenly, a negative is of another class, and periods fill epochs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.settings.training import TrainingSettings
from pipeline.training.epoch import PairSampler, TrainingStage, steps_per_epoch, validations_per_epoch


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=30).filter(lambda labels: len(set(labels)) > 1),
    st.integers(0, 2**32),
)
def test_pairs_come_from_the_given_indices_and_never_share_a_class(labels: list[int], seed: int) -> None:
    """For classes of any size, only the given videos are drawn, and the two videos of a pair differ in class."""
    all_labels = torch.tensor([9, *labels, 9])  # the indices leave out the first and the last video
    indices = torch.arange(1, len(labels) + 1)

    positive, negative = PairSampler(all_labels, indices).draw(64, torch.Generator().manual_seed(seed))

    assert positive.shape == negative.shape == (64,)
    assert set(positive.tolist()) | set(negative.tolist()) <= set(indices.tolist())
    assert (all_labels[positive] != all_labels[negative]).all()


def test_classes_are_drawn_evenly_and_videos_evenly_within_a_class() -> None:
    """A class with 1 video is drawn as often as a class with 50, as positive and as negative."""
    labels = torch.tensor([0] + [1] * 50 + [4] * 5)
    draws = 60_000

    pairs = PairSampler(labels, torch.arange(56)).draw(draws, torch.Generator().manual_seed(0))

    for indices in pairs:
        of_class = torch.bincount(labels[indices], minlength=5) / draws
        torch.testing.assert_close(of_class, torch.tensor([1 / 3, 1 / 3, 0, 0, 1 / 3]), atol=0.01, rtol=0)
        of_video = torch.bincount(indices, minlength=56) / draws
        torch.testing.assert_close(of_video[51:], torch.full((5,), 1 / 15), atol=0.005, rtol=0)
        torch.testing.assert_close(of_video[1:51], torch.full((50,), 1 / 150), atol=0.002, rtol=0)


def test_every_pair_of_classes_is_equally_likely() -> None:
    """The class of the negative is drawn evenly from all other classes."""
    labels = torch.arange(4)
    positive, negative = PairSampler(labels, labels).draw(60_000, torch.Generator().manual_seed(1))

    share = torch.bincount(4 * positive + negative, minlength=16).reshape(4, 4) / 60_000

    torch.testing.assert_close(share, (1 - torch.eye(4)) / 12, atol=0.005, rtol=0)


def test_generators_in_equal_states_draw_equal_pairs() -> None:
    """A resumed training needs the same pairs as before."""
    sampler = PairSampler(torch.tensor([0, 1, 0, 2]), torch.arange(4))
    generator = torch.Generator().manual_seed(3)
    sampler.draw(8, generator)
    state = generator.get_state()

    first = sampler.draw(8, generator)
    generator.set_state(state)
    second = sampler.draw(8, generator)

    assert all(torch.equal(left, right) for left, right in zip(first, second, strict=True))


def stage_of(steps: int, per_epoch: int) -> TrainingStage:
    """Make a stage whose other inputs are not used."""
    unused: Any = None
    return TrainingStage(
        name="stage1",
        folder=Path(),
        periods=3 * per_epoch,
        validations_per_epoch=per_epoch,
        train=torch.arange(4),
        features=unused,
        standardiser=unused,
        class_vectors=unused,
        settings=TrainingSettings(steps_per_epoch=steps),
        device=torch.device("cpu"),
        fingerprint="",
    )


@given(steps=st.integers(1, 700), data=st.data())
def test_periods_fill_every_epoch(steps: int, data: st.DataObject) -> None:
    """The periods of an epoch have all its steps and differ by at most one step; each has at least one."""
    per_epoch = data.draw(st.integers(1, steps))
    stage = stage_of(steps, per_epoch)

    sizes = [stage.steps_of(period) for period in range(1, stage.periods + 1)]

    assert sizes[:per_epoch] == sizes[per_epoch : 2 * per_epoch]
    assert sum(sizes[:per_epoch]) == steps
    assert 1 <= min(sizes) <= max(sizes) <= min(sizes) + 1
    done = 0
    for period, size in enumerate(sizes, start=1):
        done += size
        assert stage.epoch_at(period) == pytest.approx(period / per_epoch)
        epoch, step = stage.epoch_and_step(period, size)
        assert (epoch - 1) * steps + step == done
        assert 1 <= step <= steps


def test_the_end_of_an_epoch_is_a_whole_number() -> None:
    """It is shown as 2, not as 2.0."""
    stage = stage_of(10, 5)

    assert [str(stage.epoch_at(period)) for period in (4, 5, 10)] == ["0.8", "1", "2"]


@pytest.mark.parametrize(
    ("settings", "videos", "steps", "validations"),
    [
        (TrainingSettings(), 40, 20, 1),  # at least 20 steps
        (TrainingSettings(), 256 * 250, 250, 2),  # one pass; a validation per 100 steps
        (TrainingSettings(steps_per_epoch=500), 40, 500, 5),
        (TrainingSettings(steps_per_epoch=500, validations_per_epoch=2), 40, 500, 2),
        (TrainingSettings(steps_per_epoch=2, validations_per_epoch=5), 40, 2, 2),  # a step before each
    ],
)
def test_long_epochs_are_validated_several_times(
    settings: TrainingSettings, videos: int, steps: int, validations: int
) -> None:
    """The settings or the number of steps decide."""
    assert steps_per_epoch(settings, videos) == steps
    assert validations_per_epoch(settings, videos) == validations
