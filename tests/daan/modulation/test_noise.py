"""Tests of daan/modulation/noise.py: the deviation of the noise against loops, and which entries get none (eq. 8)."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.losses import daan_losses
from daan.method import TrainingBatch
from daan.modulation.noise import PairSquares, add_noise
from daan.modulation.pair_gradients import matrices_of
from daan.network import Daan
from daan.training_step import Step, training_step


def network(**options: Any) -> Daan:
    """Make a network without dropout for features 24 wide, wide enough to measure deviations."""
    dropouts = {"input_dropout": 0.0, "encoder_dropout": 0.0, "projection_dropout": 0.0, "decoder_dropout": 0.0}
    widths = {"audio_width": 24, "visual_width": 24, "text_width": 5, "hidden_width": 64, "output_width": 8}
    return Daan(DaanConfig(**{**widths, "heads": 2, **dropouts, **options}))


def batch(pairs: int, seconds: int) -> tuple[VideoBatch, Tensor]:
    """Make 2B videos of the same length and their class embeddings."""
    mask = torch.ones(2 * pairs, seconds, dtype=torch.bool)
    audio, visual = (torch.randn(2 * pairs, seconds, 24) for _ in range(2))
    return VideoBatch(audio, visual, mask, mask), torch.randn(2 * pairs, 5)


def pairs_of(videos: VideoBatch, text: Tensor) -> TrainingBatch:
    """Make a batch of the videos and class embeddings of B positives and B negatives."""
    return TrainingBatch(videos, text, torch.zeros(len(videos) // 2, dtype=torch.long), text[:1])


def step(daan: Daan, data: tuple[VideoBatch, Tensor], **options: Any) -> Step:
    """Do a step whose optimiser does not change the weights, so that the gradients can be checked."""
    return training_step(daan, torch.optim.SGD(daan.parameters(), lr=0.0), pairs_of(*data), **options)


def matrices(daan: Daan) -> dict[str, list[Tensor]]:
    """Return the parameters of every matrix that can get noise, by a name."""
    layers = dict(daan.named_modules())
    known = {layer for branches in daan.branches for branch in branches for layer in branch}
    return {
        f"{name}.{index}": parameters
        for name, layer in layers.items()
        if layer in known
        for index, parameters in enumerate(matrices_of(layer))
    }


def noise_of(daan: Daan, quiet: Daan) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the gradient without noise and the noise of every matrix with a gradient, flattened."""
    found = {}
    for (name, noisy), clean in zip(matrices(daan).items(), matrices(quiet).values(), strict=True):
        pairs = [(a.grad.flatten(), b.grad.flatten()) for a, b in zip(noisy, clean, strict=True) if b.grad is not None]
        if pairs:
            after, before = (torch.cat(each) for each in zip(*pairs, strict=True))
            found[name] = (before, after - before)
    return found


@pytest.mark.parametrize("seconds", [1, 4])
def test_every_matrix_has_the_deviation_of_its_own_gradient(seconds: int) -> None:
    """W_Q, W_K, W_V, the refinement and each convolution differ; only entries with a gradient count."""
    quiet, noisy = network(noise=0.0), network(noise=0.5)
    noisy.load_state_dict(quiet.state_dict())
    data = batch(6, seconds)

    quiet_norms, noisy_norms = step(quiet, data).norms, step(noisy, data).norms

    assert torch.equal(quiet_norms.gradient, noisy_norms.gradient)
    found = noise_of(noisy, quiet)
    assert ("audio_encoder.attention.query.0" in found) == (seconds > 1)
    for name, (gradient, noise) in found.items():
        used = gradient != 0
        expected = 0.5 * gradient[used].std(correction=0)
        tolerance = 5 / (2 * float(used.sum())) ** 0.5  # five standard errors of a standard deviation
        assert float(noise[used].std(correction=0)) == pytest.approx(float(expected), rel=tolerance), name
    outside = "audio_projection.0"
    assert torch.equal(noisy.get_submodule(outside).weight.grad, quiet.get_submodule(outside).weight.grad)


def test_entries_without_gradient_get_no_noise() -> None:
    """A column of the input that is always zero has a gradient of exactly zero, and taps before the clip have none."""
    daan, (videos, text) = network(noise=1.0), batch(6, 2)
    videos.audio[..., 3] = 0

    step(daan, (videos, text))

    value = daan.audio_encoder.attention.value.weight.grad
    assert not value[:, 3].any()
    assert value[:, 4].all()
    assert daan.audio_encoder.bypass.entry.taps[2].grad is None


def slow_spread(daan: Daan, data: tuple[VideoBatch, Tensor]) -> dict[str, float]:
    """Compute the deviation of noise of the scale `sgd` from explicit pair gradients, matrix by matrix."""
    videos, text = data
    pairs = len(videos) // 2
    daan = copy.deepcopy(daan)
    outputs: dict[nn.Module, Tensor] = {}
    layers = dict(daan.named_modules())
    branch_of = {
        layer: (m, p)
        for m, branches in enumerate(daan.branches)
        for p, branch in enumerate(branches)
        for layer in branch
    }
    for layer in branch_of:
        layer.register_forward_hook(lambda module, _inputs, output: outputs.update({module: output}))
    embedded = daan(videos, text, len(videos) // 2)
    loss = sum(daan_losses(*embedded.split(pairs), text[:pairs], margin=daan.config.margin).values())
    rates = step(copy.deepcopy(daan), data).rates["M"].view(-1, 2, 2)
    spread = {}
    for name, layer in layers.items():
        if layer not in outputs:
            continue
        grad_output = torch.autograd.grad(loss, outputs[layer], retain_graph=True)[0]
        for index, parameters in enumerate(matrices_of(layer)):
            shares = []
            for pair in range(pairs):
                kept = torch.zeros_like(grad_output)
                kept[[pair, pairs + pair]] = grad_output[[pair, pairs + pair]]
                share = torch.autograd.grad(
                    outputs[layer], parameters, kept, retain_graph=True, allow_unused=True, materialize_grads=True
                )
                shares.append(rates[pair][branch_of[layer]] * torch.cat([each.flatten() for each in share]))
            shares = torch.stack(shares)
            used = shares.sum(0) != 0
            variance = shares.var(0, correction=1).sum() * pairs / used.sum()
            spread[f"{name}.{index}"] = float(variance.sqrt())
    return spread


def test_the_scale_of_sgd_is_the_spread_of_the_pair_gradients() -> None:
    """The variance is B times the variance of the modulated pair gradients, averaged over a matrix."""
    quiet, noisy = network(noise=0.0), network(noise=1.0, noise_scale="sgd")
    noisy.load_state_dict(quiet.state_dict())
    data = batch(8, 3)
    expected = slow_spread(quiet, data)

    step(quiet, data)
    step(noisy, data)

    for name, (gradient, noise) in noise_of(noisy, quiet).items():
        used = gradient != 0
        tolerance = 5 / (2 * float(used.sum())) ** 0.5
        assert float(noise[used].std(correction=0)) == pytest.approx(expected[name], rel=tolerance), name


def test_sums_of_squares_of_micro_batches_are_added() -> None:
    """A division of the gradients by a rate divides the squares by its square."""
    matrix, squares = torch.zeros(3), PairSquares(wanted=True)
    squares.add(matrix, torch.tensor(2.0))
    squares.add(matrix, torch.tensor(3.0))
    squares.scale(matrix, torch.tensor(4.0))
    squares.scale(torch.zeros(3), torch.tensor(9.0))

    assert float(squares.of(matrix)) == 20


def test_one_pair_has_no_spread() -> None:
    """With a single pair the noise of the scale `sgd` is zero, and it is finite."""
    quiet, noisy = network(noise=0.0), network(noise=1.0, noise_scale="sgd")
    noisy.load_state_dict(quiet.state_dict())
    data = batch(1, 3)
    step(quiet, data)
    step(noisy, data)

    for name, (gradient, noise) in noise_of(noisy, quiet).items():
        assert float(noise.abs().max()) <= 1e-3 * float(gradient.abs().max()), name


def test_without_noise_nothing_changes() -> None:
    """A setting of 0 draws no random number."""
    daan = network(noise=0.0)
    step(daan, batch(2, 2))
    before = [None if each.grad is None else each.grad.clone() for each in daan.parameters()]
    state = torch.get_rng_state()

    add_noise(daan, PairSquares(wanted=False), 2)

    assert torch.equal(torch.get_rng_state(), state)
    for parameter, gradient in zip(daan.parameters(), before, strict=True):
        assert gradient is None or torch.equal(parameter.grad, gradient)
