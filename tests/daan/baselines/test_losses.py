"""daan/baselines/losses.py and the special rules of the methods, each against a slow and obvious oracle."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from daan.baselines import losses
from daan.baselines.bilinear import Ale, BilinearConfig, Devise, Sje

B, C, WIDTH = 5, 4, 6


def randn(*shape: int, seed: int = 0) -> Tensor:
    """Draw numbers in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(row: list[float]) -> list[float]:
    """Compute a softmax number by number."""
    raised = [math.exp(x) for x in row]
    return [x / sum(raised) for x in raised]


def cosine(x: list[float], y: list[float]) -> float:
    """Compute a cosine number by number."""
    return sum(a * b for a, b in zip(x, y, strict=True)) / (math.hypot(*x) * math.hypot(*y))


def kl(target: list[float], found: list[float]) -> float:
    """Compute the Kullback-Leibler divergence of `found` from `target`."""
    return sum(q * math.log(q / p) for q, p in zip(target, found, strict=True))


def test_the_triplet_is_the_mean_hinge_of_two_distances() -> None:
    """With margin 1, and torch's 1e-6 added to each difference."""
    anchor, near, far = randn(B, WIDTH), randn(B, WIDTH, seed=1), randn(B, WIDTH, seed=2)
    expected = [
        max(0.0, math.dist((a + 1e-6).tolist(), n.tolist()) - math.dist((a + 1e-6).tolist(), f.tolist()) + 1)
        for a, n, f in zip(anchor, near, far, strict=True)
    ]
    assert float(losses.triplet(anchor, near, far)) == pytest.approx(sum(expected) / B)


def test_the_class_family_has_three_terms() -> None:
    """A cross entropy of dot products, two mean squared errors to the target, and one between the embeddings."""
    theta_o, theta_w, table = randn(B, WIDTH), randn(B, WIDTH, seed=1), randn(C, WIDTH, seed=2)
    rho_o, rho_w, target = (randn(B, 3, seed=seed) for seed in (3, 4, 5))
    labels = torch.tensor([0, 3, 1, 1, 2])
    found = losses.class_family(theta_o, theta_w, table, labels, decoded_video=rho_o, decoded_text=rho_w, target=target)
    dots = [[float(o @ c) for c in table] for o in theta_o]
    entropy = -sum(math.log(softmax(row)[y]) for row, y in zip(dots, labels.tolist(), strict=True)) / B

    def error(x: Tensor, y: Tensor) -> float:
        return sum((a - b) ** 2 for a, b in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)) / x.numel()

    assert float(found["cross_entropy"]) == pytest.approx(entropy)
    assert float(found["reconstruction"]) == pytest.approx(error(rho_o, target) + error(rho_w, target))
    assert float(found["regularisation"]) == pytest.approx(error(theta_o, theta_w))


def test_the_kl_of_coordinates_measures_from_the_text() -> None:
    """KL(softmax(theta_w) || softmax(theta_o)), not the other way round."""
    theta_o, theta_w = randn(B, WIDTH), 2 * randn(B, WIDTH, seed=1)
    expected = [kl(softmax(w), softmax(o)) for o, w in zip(theta_o.tolist(), theta_w.tolist(), strict=True)]
    assert float(losses.kl_of_coordinates(theta_o, theta_w)) == pytest.approx(sum(expected) / B)
    assert float(losses.kl_of_coordinates(theta_w, theta_o)) != pytest.approx(sum(expected) / B)


def test_the_kl_of_classes_compares_likenesses_of_classes() -> None:
    """The target is how alike the class embeddings are, as cosines divided by 0.1."""
    theta_o, table, vectors = randn(B, WIDTH), randn(C, WIDTH, seed=1), 3 * randn(C, 3, seed=2)
    labels = torch.tensor([0, 3, 1, 1, 2])
    expected = 0.0
    for o, y in zip(theta_o.tolist(), labels.tolist(), strict=True):
        target = softmax([cosine(vectors[y].tolist(), w) / 0.1 for w in vectors.tolist()])
        expected += kl(target, softmax([sum(a * b for a, b in zip(o, c, strict=True)) for c in table.tolist()])) / B
    assert float(losses.kl_of_classes(theta_o, table, labels, vectors)) == pytest.approx(expected)


def test_the_cosine_losses_are_means_of_one_minus_cosine() -> None:
    """One compares each video with its class, the other one the videos of a class with each other."""
    theta_o, theta_w = randn(B, WIDTH), randn(B, WIDTH, seed=1)
    to_label = [1 - cosine(o, w) for o, w in zip(theta_o.tolist(), theta_w.tolist(), strict=True)]
    assert float(losses.cosine_to_label(theta_o, theta_w)) == pytest.approx(sum(to_label) / B)
    rows, labels = theta_o.tolist(), [0, 1, 0, 1, 0]
    within = [1 - cosine(rows[i], rows[j]) for i in range(B) for j in range(i) if labels[i] == labels[j]]
    found = losses.cosine_within_class(theta_o, torch.tensor(labels))
    assert float(found) == pytest.approx(sum(within) / len(within))
    assert float(losses.cosine_within_class(theta_o, torch.arange(B))) == 0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_the_rankings_follow_their_definitions(seed: int) -> None:
    """DeViSE adds the hinges, ALE weighs them by the harmonic mean of ranks, SJE takes the largest one."""
    similarity = randn(B, C, seed=seed)
    labels = torch.randint(C, (B,), generator=torch.Generator().manual_seed(seed))
    each = losses.hinges(similarity, labels)
    config = BilinearConfig(audio_width=1, visual_width=1, text_width=1)
    for row, y in enumerate(labels.tolist()):
        hinge = [max(0.0, 0.1 + float(similarity[row, c] - similarity[row, y])) if c != y else 0.0 for c in range(C)]
        assert each[row].tolist() == pytest.approx(hinge)
        rank = sum(h > 0 for h in hinge)
        weight = sum(1 / k for k in range(1, rank + 1)) / rank if rank else 0.0
        assert float(Devise(config)._ranking(each)[row]) == pytest.approx(sum(hinge))
        assert float(Ale(config)._ranking(each)[row]) == pytest.approx(weight * sum(hinge))
        assert float(Sje(config)._ranking(each)[row]) == pytest.approx(max(hinge))


def test_the_gate_follows_the_surer_modality() -> None:
    """It is 1 where audio is less sure by more than 0.1 nats, 0 where visual is, and else 0.5."""
    logits = randn(3, C)
    expected = [-sum(p * math.log(p) for p in softmax(row)) for row in logits.tolist()]
    assert losses.entropy(logits).tolist() == pytest.approx(expected)
    audio, visual = torch.tensor([1.0, 1.0, 1.0, 1.05]), torch.tensor([0.8, 1.2, 1.05, 1.0])
    assert losses.gate_target(audio, visual).tolist() == [1, 0, 0.5, 0.5]


def test_a_cross_entropy_of_probabilities_differs_from_that_of_logits() -> None:
    """This is the fault of APN's published code that `faithful` repeats."""
    logits = 10 * randn(B, C)
    labels = logits.argmax(1)
    assert F.cross_entropy(logits.softmax(1), labels) > 5 * F.cross_entropy(logits, labels)
