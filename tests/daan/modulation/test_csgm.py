"""Tests of daan/modulation/csgm.py: whole steps against a loop over the pairs with autograd (daan/README.md)."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.losses import daan_losses
from daan.method import TrainingBatch
from daan.modulation.csgm_rates import have_both_modalities, modulation_rates
from daan.network import Daan
from daan.training_step import Step, training_step

UNUSED_IS_ZERO = {"allow_unused": True, "materialize_grads": True}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
Batch = tuple[VideoBatch, Tensor]  # 2B videos, positives first, and their class embeddings


def network(dtype: torch.dtype = torch.float32, **options: Any) -> Daan:
    """Make a small network in training mode, without dropout, for features 6 wide and class embeddings 5 wide."""
    dropouts = {"input_dropout": 0.0, "encoder_dropout": 0.0, "projection_dropout": 0.0, "decoder_dropout": 0.0}
    small = {"hidden_width": 16, "heads": 2, "output_width": 8, "noise": 0.0, **dropouts}
    return Daan(DaanConfig(audio_width=6, visual_width=6, text_width=5, **{**small, **options})).to(dtype)


def batch(pairs: int, seconds: int, dtype: torch.dtype = torch.float32, *, absent: bool = False) -> Batch:
    """Make pairs of different lengths with shorter negatives; with `absent`, two of each lack one modality."""
    number = torch.arange(2 * pairs)
    longest = torch.where(number < pairs, seconds, max(1, seconds - 1))
    mask = torch.arange(seconds) < (torch.rand(2 * pairs) * longest).long()[:, None] + 1
    silent, blind = ([1, pairs], [2, pairs + 4]) if absent else ([], [])
    audio_mask = mask & ~torch.isin(number, torch.tensor(silent, dtype=torch.long))[:, None]
    visual_mask = mask & ~torch.isin(number, torch.tensor(blind, dtype=torch.long))[:, None]
    features = [torch.randn(2 * pairs, seconds, 6, dtype=dtype) for _ in range(2)]
    return VideoBatch(features[0], features[1], audio_mask, visual_mask), torch.randn(2 * pairs, 5, dtype=dtype)


def pairs_of(videos: VideoBatch, text: Tensor) -> TrainingBatch:
    """Make a batch of the videos and class embeddings of B positives and B negatives."""
    return TrainingBatch(videos, text, torch.zeros(len(videos) // 2, dtype=torch.long), text[:1])


def step(daan: Daan, pairs: Batch, **options: Any) -> Step:
    """Do a step whose optimiser does not change the weights, so that the gradients can be checked."""
    return training_step(daan, torch.optim.SGD(daan.parameters(), lr=0.0), pairs_of(*pairs), **options)


def gradients(daan: Daan) -> dict[str, Tensor]:
    """Return the gradients by name of the parameter."""
    return {name: parameter.grad for name, parameter in daan.named_parameters() if parameter.grad is not None}


def loop_gradients(daan: Daan, pairs: Batch) -> dict[str, Tensor]:
    """Compute eq. 5 to 8 without noise.

    Autograd computes each pair gradient, with the grad_output of all other pairs set to zero.
    """
    videos, text = pairs
    count = len(videos) // 2
    branch_of = {
        layer: (m, p)
        for m, branches in enumerate(daan.branches)
        for p, layers in enumerate(branches)
        for layer in layers
    }
    outputs: dict[torch.nn.Module, Tensor] = {}
    for layer in branch_of:
        layer.register_forward_hook(lambda module, _inputs, output: outputs.update({module: output}))
    embedded = daan(videos, text, len(videos) // 2)
    loss = sum(daan_losses(*embedded.split(count), text[:count], margin=daan.config.margin).values())
    plain = dict(
        zip(
            daan.parameters(),
            torch.autograd.grad(loss, list(daan.parameters()), retain_graph=True, **UNUSED_IS_ZERO),
            strict=True,
        )
    )
    squares, weights_squares = torch.zeros(count, 2, 2, dtype=text.dtype), torch.zeros(2, 2, dtype=text.dtype)
    pair_gradients: dict[torch.nn.Parameter, list[Tensor]] = {}
    for layer, (m, p) in branch_of.items():
        weights_squares[m, p] += sum(parameter.detach().square().sum() for parameter in layer.parameters())
        if layer not in outputs:  # queries and keys are not computed for one second
            continue
        output, parameters = outputs[layer], list(layer.parameters())
        grad_output = torch.autograd.grad(loss, output, retain_graph=True)[0]
        for parameter in parameters:
            pair_gradients[parameter] = []
        for pair in range(count):
            kept = torch.zeros_like(grad_output)
            kept[[pair, count + pair]] = grad_output[[pair, count + pair]]
            for parameter, pair_gradient in zip(
                parameters,
                torch.autograd.grad(output, parameters, kept, retain_graph=True, **UNUSED_IS_ZERO),
                strict=True,
            ):
                squares[pair, m, p] += pair_gradient.square().sum()
                pair_gradients[parameter].append(pair_gradient)
        for parameter in parameters:  # pair gradients add up to the batch's gradient, also with batch normalisation
            torch.testing.assert_close(sum(pair_gradients[parameter]), plain[parameter], rtol=1e-3, atol=1e-5)
    gradient_ratio = squares / weights_squares if daan.config.csgm == "full" else None
    has_both = have_both_modalities(videos)
    rates = modulation_rates(*embedded.split(count), gradient_ratio, has_both, daan.config).modulation
    for layer, (m, p) in branch_of.items():
        for parameter in (each for each in layer.parameters() if each in pair_gradients):
            plain[parameter] = sum(rates[pair, m, p] * each for pair, each in enumerate(pair_gradients[parameter]))
    return {name: plain[parameter] for name, parameter in daan.named_parameters()}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("csgm", ["convergence", "full"])
@pytest.mark.parametrize(
    ("pairs", "seconds", "absent"),
    [(5, 4, False), (4, 1, False), (1, 3, False), (1, 1, False), (6, 4, True), (1, 3, True)],
)
def test_a_step_gives_the_gradients_of_a_loop_over_pairs(
    pairs: int, seconds: int, absent: bool, csgm: str, dtype: torch.dtype
) -> None:
    """Every gradient of the network agrees for different lengths, one second, one pair and absent modalities."""
    daan = network(dtype, csgm=csgm, gamma=0.2)
    data = batch(pairs, seconds, dtype, absent=absent)
    expected = loop_gradients(copy.deepcopy(daan), data)

    step(daan, data)

    found = gradients(daan)
    for name, gradient in expected.items():
        if name not in found:  # an optimiser leaves these parameters as they are
            assert not gradient.any(), name
            continue
        scale = float(gradient.abs().max())
        torch.testing.assert_close(
            found[name], gradient, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale, msg=name
        )


@pytest.mark.parametrize("gap", [1, "exponential"])
def test_modulation_is_exact_for_other_dilations_depths_and_kernels(gap: int | str) -> None:
    """The gradients equal those of the loop for another temporal bypass."""
    daan = network(torch.float64, tcn_gap=gap, tcn_layers=3, tcn_kernel=2)
    data = batch(3, 6, torch.float64)
    expected = loop_gradients(copy.deepcopy(daan), data)

    step(daan, data)

    found = gradients(daan)
    for name, gradient in expected.items():
        torch.testing.assert_close(found.get(name, torch.zeros_like(gradient)), gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seconds", [1, 5])
@pytest.mark.parametrize("csgm", ["convergence", "full"])
def test_rates_of_one_without_noise_give_plain_training(csgm: str, seconds: int) -> None:
    """An omega of 0 makes every N and M 1; losses and weights after Adam are then equal up to rounding.

    Whether the bits are equal depends on the processor: autograd and CSGM sum a convolution's gradient in an order that
    the processor's library chooses.
    """
    plain = network(torch.float64, csgm="off", encoder_dropout=0.3)
    modulated = network(torch.float64, csgm=csgm, omega=0.0, gamma=1.0, encoder_dropout=0.3)
    modulated.load_state_dict(plain.state_dict())
    data = batch(6, seconds, torch.float64, absent=True)
    results = []
    for daan in (plain, modulated):
        torch.manual_seed(3)
        optimizer = torch.optim.Adam(daan.parameters(), lr=1e-2)
        results.append([training_step(daan, optimizer, pairs_of(*data)).loss for _ in range(3)])

    torch.testing.assert_close(torch.stack(results[1]), torch.stack(results[0]), rtol=1e-10, atol=0)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(modulated.state_dict()[name], value, rtol=1e-7, atol=1e-7, msg=name)


def test_only_weights_of_the_layers_of_qdma_are_modulated() -> None:
    """All other parameters, also the affine weights of normalisation, have the gradient of plain training."""
    daan = network(gamma=0.0)
    plain = network(csgm="off")
    plain.load_state_dict(daan.state_dict())
    data = batch(6, 4)
    step(daan, data)
    step(plain, data)

    inside = ("attention.query", "attention.key", "attention.value", "refinement", "bypass.entry", "bypass.dilated")
    for name, gradient in gradients(plain).items():
        is_inside = any(layer in name for layer in inside)
        assert torch.equal(gradients(daan)[name], gradient) != is_inside, name


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_applied_to_the_update_the_mean_rate_scales_the_optimisers_step(optimiser: str, absent: bool) -> None:
    """The optimiser gets sum_i (M_i / mean M) g_i, and its step of a branch is multiplied by the mean M of the branch.

    Plain SGD then does the same as with the modulated gradient; Adam does not.
    """
    daan, data = network(torch.float64, csgm_apply="update", gamma=0.2), batch(5, 3, torch.float64, absent=absent)
    before, modulated = copy.deepcopy(daan), loop_gradients(copy.deepcopy(daan), data)
    rates = step(copy.deepcopy(daan), data).rates["M"].view(-1, 2, 2).mean(0)
    make = torch.optim.SGD if optimiser == "sgd" else torch.optim.Adam

    training_step(daan, make(daan.parameters(), lr=1e-2), pairs_of(*data))

    branch_of = {
        id(parameter): (m, p)
        for m, branches in enumerate(daan.branches)
        for p, layers in enumerate(branches)
        for layer in layers
        for parameter in layer.parameters()
    }
    for (name, found), (_, old) in zip(daan.named_parameters(), before.named_parameters(), strict=True):
        rate = float(rates[branch_of[id(found)]]) if id(found) in branch_of else 1.0
        gradient = modulated[name] / rate
        # The first step of Adam is lr * g / (|g| + eps).
        change = gradient if optimiser == "sgd" else gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(found, old - 1e-2 * rate * change, rtol=1e-7, atol=1e-9, msg=name)
        if optimiser == "sgd":
            torch.testing.assert_close(found, old - 1e-2 * modulated[name], rtol=1e-7, atol=1e-9, msg=name)


@pytest.mark.parametrize(("momentum", "decay", "equal"), [(0.0, 0.0, True), (0.9, 0.0, False), (0.0, 0.1, False)])
def test_both_ways_to_apply_rates_are_equal_under_plain_sgd_only(momentum: float, decay: float, equal: bool) -> None:
    """Over several steps, momentum and weight decay make them differ: they are not proportional to the batch's M."""
    start, data = network(torch.float64, gamma=0.2), batch(5, 3, torch.float64)
    weights = []
    for apply in ("gradient", "update"):
        daan = network(torch.float64, gamma=0.2, csgm_apply=apply)
        daan.load_state_dict(start.state_dict())
        optimizer = torch.optim.SGD(daan.parameters(), lr=1e-2, momentum=momentum, weight_decay=decay)
        for _ in range(4):
            training_step(daan, optimizer, pairs_of(*data))
        weights.append(torch.cat([each.detach().flatten() for each in daan.audio_encoder.parameters()]))

    assert torch.allclose(*weights, rtol=1e-9, atol=1e-12) == equal


def test_constant_rates_cancel_under_adam_but_not_if_they_scale_the_update() -> None:
    """With every M at gamma, `gradient` gives plain training under Adam; `update` gives gamma times its steps."""
    plain, options = network(torch.float64, csgm="off"), {"csgm": "convergence", "convergence": "batch", "gamma": 3.0}
    daans = [network(torch.float64, csgm_apply=apply, **options) for apply in ("gradient", "update")]
    data, start = batch(6, 4, torch.float64), copy.deepcopy(plain.state_dict())
    for daan in (plain, *daans):
        daan.load_state_dict(start)
        rates = training_step(daan, torch.optim.Adam(daan.parameters(), lr=1e-3), pairs_of(*data)).rates
        assert not rates or bool((rates["M"] == 3).all())

    for name in ("audio_encoder.refinement.weight", "visual_encoder.bypass.entry.taps.0"):
        change, of_gradient, of_update = (each.state_dict()[name] - start[name] for each in (plain, *daans))
        torch.testing.assert_close(of_gradient, change, rtol=1e-3, atol=1e-7)
        torch.testing.assert_close(of_update, 3 * change, rtol=1e-3, atol=1e-7)


def test_norms_are_computed_per_branch() -> None:
    """Norms of gradients and parameters are given by modality and branch."""
    daan = network()

    norms = step(daan, batch(4, 3)).norms

    for m, encoder in enumerate((daan.audio_encoder, daan.visual_encoder)):
        attention = [*encoder.attention.parameters(), encoder.refinement.weight]
        branches = (attention, list(encoder.bypass.parameters()))
        for p, parameters in enumerate(branches):
            of_parameters = torch.cat([each.detach().flatten() for each in parameters]).norm()
            of_gradients = torch.cat([each.grad.flatten() for each in parameters if each.grad is not None]).norm()
            torch.testing.assert_close(norms.parameter.view(2, 2)[m, p], of_parameters)
            torch.testing.assert_close(norms.gradient.view(2, 2)[m, p], of_gradients)


def test_without_qdma_nothing_is_modulated() -> None:
    """The base of the ablation trains without modulation for every csgm setting; its encoders have one branch."""
    daan = network(qdma="off", csgm="full")

    result = step(daan, batch(4, 3))

    assert result.rates == {}
    assert torch.isfinite(result.norms.gradient[0::2]).all()
    assert torch.isnan(result.norms.gradient[1::2]).all()


@pytest.mark.parametrize("csgm", ["off", "full"])
def test_clipping_comes_after_the_noise(csgm: str) -> None:
    """The whole gradient, with noise, has the allowed norm and keeps its direction."""
    daan, clipped = network(csgm=csgm, noise=1.0), network(csgm=csgm, noise=1.0)
    clipped.load_state_dict(daan.state_dict())
    data = batch(4, 3)
    torch.manual_seed(1)
    step(daan, data)
    torch.manual_seed(1)
    step(clipped, data, clip_norm=0.1)

    free = torch.cat([gradient.flatten() for gradient in gradients(daan).values()])
    short = torch.cat([gradient.flatten() for gradient in gradients(clipped).values()])
    assert float(free.norm()) > 0.1
    torch.testing.assert_close(short, free * (0.1 / free.norm()), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("csgm", ["off", "full"])
def test_gradients_of_micro_batches_are_added(csgm: str) -> None:
    """A batch in two micro-batches gives the mean of two separate batches, weighted by their sizes."""
    whole, data = network(torch.float64, csgm=csgm), batch(5, 3, torch.float64)
    alone = copy.deepcopy(whole)
    result = step(whole, data, micro_batches=2)

    expected: dict[str, Tensor] = {}
    totals = []
    for part in (slice(0, 2), slice(2, 5)):
        rows = torch.arange(5)[part]
        rows = torch.cat((rows, rows + 5))
        result_of_piece = step(alone, (data[0][rows], data[1][rows]))
        weight = (part.stop - part.start) / 5
        totals.append(weight * result_of_piece.loss)
        for name, gradient in gradients(alone).items():
            expected[name] = expected.get(name, 0) + weight * gradient

    torch.testing.assert_close(result.loss, sum(totals))
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients(whole)[name], gradient, rtol=1e-9, atol=1e-12)
    assert result.rates.keys() == ({"M", "V_c", "V_o", "at_gamma"} if csgm == "full" else set())
    assert all(rates.shape == (5, 4) for rates in result.rates.values())


def test_more_pieces_than_pairs_are_refused() -> None:
    """Each micro-batch needs at least one pair."""
    with pytest.raises(ValueError, match="3 micro-batches of 2 pairs: give each micro-batch at least one pair"):
        step(network(), batch(2, 1), micro_batches=3)


@pytest.mark.parametrize("csgm", ["off", "full"])
def test_steps_in_bfloat16_are_close_to_steps_in_float32(csgm: str) -> None:
    """With autocast, weights, gradients and losses are float32, and gradients keep their direction."""
    exact = network(csgm=csgm, hidden_width=64)
    half = copy.deepcopy(exact)
    data = batch(8, 4)

    loss, exact_loss = step(half, data, precision="bfloat16").loss, step(exact, data).loss

    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact_loss, rtol=0.03, atol=0)
    for name, gradient in gradients(exact).items():
        assert gradients(half)[name].dtype == torch.float32
        if gradient.norm() > 1e-3:
            cosine = torch.cosine_similarity(gradients(half)[name].flatten(), gradient.flatten(), dim=0)
            assert cosine > 0.9, name


@pytest.mark.needs_gpu
@pytest.mark.parametrize("csgm", ["off", "full"])
def test_a_step_on_a_gpu_does_not_synchronise(csgm: str) -> None:
    """A step has no host synchronisation, and its gradients equal those of the CPU."""
    daan, data = network(csgm=csgm), batch(6, 4)
    expected = copy.deepcopy(daan)
    step(expected, data)
    daan.cuda()
    names = ("audio", "visual", "audio_mask", "visual_mask")
    on_gpu = VideoBatch(*(getattr(data[0], name).cuda() for name in names)), data[1].cuda()
    step(daan, on_gpu)
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(daan, on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for name, gradient in gradients(expected).items():
        torch.testing.assert_close(gradients(daan)[name].cpu(), gradient, rtol=1e-3, atol=1e-4)
