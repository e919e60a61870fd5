"""pipeline/training/epoch.py: classes are drawn evenly, and a negative is always of another class."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.training.epoch import PairSampler


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
