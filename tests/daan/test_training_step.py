"""Tests of daan/training_step.py: one step, and many steps on classes that can be learned."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.losses import daan_losses
from daan.method import TrainingBatch
from daan.network import Daan
from daan.training_step import training_step


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread: small matrices are slower on several, and much slower if other programs run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(**options: Any) -> Daan:
    """Make a small network for features 6 wide and class embeddings 5 wide."""
    return Daan(
        DaanConfig(
            **{"audio_width": 6, "visual_width": 6, "text_width": 5, "hidden_width": 16, "heads": 2, **options},
            output_width=8,
        )
    )


def videos(count: int, seconds: int) -> VideoBatch:
    """Make videos of different lengths; of several videos one is silent."""
    mask = torch.arange(seconds) <= torch.arange(count)[:, None] % seconds
    audio_mask = mask & (torch.arange(count) != 1)[:, None]
    return VideoBatch(torch.randn(count, seconds, 6), torch.randn(count, seconds, 6), audio_mask, mask)


def pairs_of(videos: VideoBatch, text: Tensor) -> TrainingBatch:
    """Make a batch of the videos and class embeddings of B positives and B negatives."""
    return TrainingBatch(videos, text, torch.zeros(len(videos) // 2, dtype=torch.long), text[:1])


def step(daan: Daan, pairs: int = 4) -> Tensor:
    """Do a step on the same random pairs each time and return the total loss."""
    optimizer = torch.optim.Adam(daan.parameters(), lr=1e-2)
    state = torch.get_rng_state()
    torch.manual_seed(11)
    batch, text = videos(2 * pairs, 3), torch.randn(2 * pairs, 5)
    torch.set_rng_state(state)
    return training_step(daan, optimizer, pairs_of(batch, text)).loss


def test_a_step_equals_forward_backward_and_update() -> None:
    """Losses and weights have the same bits as the three separate calls, also if old gradients exist."""
    daan = network(csgm="off")
    expected = copy.deepcopy(daan)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (daan, expected)]
    batch, text = videos(8, 5), torch.randn(8, 5)
    for parameter in daan.parameters():
        parameter.grad = torch.ones_like(parameter)

    torch.manual_seed(2)
    loss = training_step(daan, optimizers[0], pairs_of(batch, text)).loss
    torch.manual_seed(2)
    embedded = expected(batch, text, 4)
    total = sum(daan_losses(*embedded.split(4), text[:4], margin=1.0).values())
    total.backward()
    optimizers[1].step()

    assert loss.item() == total.item()
    assert not loss.requires_grad
    for name, value in expected.state_dict().items():
        assert torch.equal(daan.state_dict()[name], value), name


def test_random_states_decide_a_step() -> None:
    """With dropout and modality dropout, equal seeds give equal weights and another seed gives other weights."""
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        daan = network(modality_dropout=0.5)
        torch.manual_seed(seed)
        step(daan)
        results.append(torch.cat([parameter.detach().flatten() for parameter in daan.parameters()]))

    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("qdma", ["on", "off"])
def test_one_pair_of_one_second_can_be_trained_on(qdma: str) -> None:
    """Batch statistics of two values are enough, and all values stay finite."""
    daan = network(qdma=qdma)
    batch, text = videos(2, 1), torch.randn(2, 5)

    loss = training_step(daan, torch.optim.Adam(daan.parameters()), pairs_of(batch, text)).loss

    assert torch.isfinite(loss)
    assert all(torch.isfinite(value).all() for value in daan.state_dict().values())


def test_videos_that_do_not_form_pairs_raise() -> None:
    """Each positive needs a negative, and at least one pair is needed."""
    with pytest.raises(ValueError, match="5 videos, 5 class embeddings, 2 labels: give one text per video"):
        pairs_of(videos(5, 1), torch.zeros(5, 5))
    with pytest.raises(ValueError, match="0 videos: give one or more positives"):
        pairs_of(videos(0, 1), torch.zeros(0, 5))
    with pytest.raises(ValueError, match="4 videos, 3 class embeddings, 2 labels"):
        pairs_of(videos(4, 1), torch.zeros(3, 5))


def learnable(classes: int, per_class: int) -> tuple[VideoBatch, Tensor, Tensor]:
    """Make N videos, their labels and the class embeddings.

    The mean of a class is a random linear map of its random class embedding.
    """
    text = torch.randn(classes, 8)
    labels = torch.arange(classes).repeat_interleave(per_class)
    mask = torch.arange(4) < torch.randint(1, 5, (len(labels), 1))
    means = [text @ torch.randn(8, 128) / 8**0.5 for _ in range(2)]
    audio, visual = (mean[labels, None] + 0.5 * torch.randn(len(labels), 4, 128) for mean in means)
    return VideoBatch(audio, visual, mask, mask), labels, text


@pytest.mark.parametrize("qdma", ["on", "off"])
def test_unseen_classes_are_recognised(qdma: str) -> None:
    """After two hundred steps on 20 classes, every score recognises over half the clips of 5 others (chance 20 %)."""
    seen, per_class, pairs = 20, 8, 32
    batch, labels, text = learnable(seen + 5, per_class)
    daan = Daan(DaanConfig(audio_width=128, visual_width=128, text_width=8, hidden_width=64, qdma=qdma))
    optimizer = torch.optim.Adam(daan.parameters(), lr=1e-3)
    for _ in range(200):
        classes = torch.randint(seen, (pairs,))
        others = (classes + torch.randint(1, seen, (pairs,))) % seen
        labels_of_pairs = torch.cat((classes, others))
        rows = labels_of_pairs * per_class + torch.randint(per_class, (2 * pairs,))
        training_step(daan, optimizer, pairs_of(batch[rows], text[labels_of_pairs]))

    unseen = batch[torch.nonzero(labels >= seen).flatten()]
    with torch.inference_mode():
        scores = daan.eval().distances(daan.embed_videos(unseen), daan.embed_classes(text[seen:]))

    correct = {
        name: (values.argmin(1) + seen == labels[labels >= seen]).float().mean() for name, values in scores.items()
    }
    assert all(accuracy > 0.5 for accuracy in correct.values()), correct
