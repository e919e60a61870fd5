"""One step of training: it takes pairs, updates the weights and returns the losses."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from daan.batch import VideoBatch, hide_modalities
from daan.losses import Losses, daan_losses
from daan.modulation.csgm import (
    add_modulated_gradients,
    branch_norms,
    divide_gradients,
    updates_scaled,
)
from daan.modulation.csgm_rates import Rates, have_both_modalities
from daan.modulation.noise import PairSquares, add_noise
from daan.modulation.pair_gradients import recorded
from daan.network import Daan, Embeddings

Precision = Literal["float32", "bfloat16"]


class BranchNorms(NamedTuple):
    """Euclidean norms (2, 2) by modality (audio, visual) and branch (attention, bypass); NaN for a missing branch."""

    gradient: Tensor  # norms of the gradients for the optimiser, before noise and clipping
    parameter: Tensor  # norms of the parameters before the step


@dataclass(frozen=True)
class Step:
    """The results of a training step, on the network's device and without a graph."""

    losses: Losses  # losses of the batch
    norms: BranchNorms  # norms of the encoders' branches
    rates: Rates | None  # rates of CSGM by pair; None if nothing is modulated


def training_step(
    network: Daan,
    optimizer: torch.optim.Optimizer,
    videos: VideoBatch,
    text: Tensor,
    *,
    generator: torch.Generator | None = None,
    clip_norm: float = 0.0,
    precision: Precision = "float32",
    micro_batches: int = 1,
) -> Step:
    """Do one forward pass over 2B videos, one backward pass, and one step of the optimiser.

    Positives and negatives pass the network together, so that batch statistics cover both. With CSGM the gradients of
    QDMA's branches are modulated. Noise is added once, to the whole gradient, and clipping comes last.

    Args:
        network: the network, in training mode.
        optimizer: the optimiser of the network's parameters.
        videos: 2B videos: B positives, then B negatives, which are of other classes.
        text: (2B, W) class embeddings of these videos.
        generator: source of modality dropout; None for torch's own. Dropout layers always draw from torch's own.
        clip_norm: largest norm of the whole gradient; 0 for no limit.
        precision: precision of the network's products; bfloat16 uses autocast, and weights and losses stay float32.
        micro_batches: number of micro-batches of the batch; their gradients are added. More of them need less memory,
            but batch statistics and CSGM's rates are then computed per micro-batch.

    Returns:
        The losses, norms and rates.

    Raises:
        ValueError: numbers of videos or micro-batches, or widths, that do not fit.
    """
    pairs, odd = divmod(len(videos), 2)
    if odd or pairs == 0:
        raise ValueError(f"{len(videos)} videos: give one or more positives, and then as many negatives")
    if not 1 <= micro_batches <= pairs:
        raise ValueError(f"{micro_batches} micro-batches of {pairs} pairs: give each micro-batch at least one pair")
    optimizer.zero_grad(set_to_none=True)
    config = network.config
    squares = PairSquares(wanted=config.modulates and config.noise > 0 and config.noise_scale == "sgd")
    parameter_norms = branch_norms(network, gradients=False)
    found: list[tuple[Losses, Rates | None]] = []
    for rows in _rows_of_micro_batches(pairs, micro_batches, videos.audio.device):
        weight = len(rows) / len(videos)
        batch = (videos, text) if micro_batches == 1 else (videos[rows], text[rows])
        found.append(
            _add_gradients(
                network, *batch, parameter_norms, squares, weight=weight, generator=generator, precision=precision
            )
        )
    rates = _joined([each for _, each in found])
    mean_rates = rates.modulation.mean(0) if rates is not None and config.csgm_apply == "update" else None
    if mean_rates is not None:
        divide_gradients(network, squares, mean_rates)
    norms = BranchNorms(branch_norms(network, gradients=True), parameter_norms)
    if rates is not None:
        add_noise(network, squares, pairs)
    if clip_norm > 0:
        nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    with nullcontext() if mean_rates is None else updates_scaled(network, mean_rates):
        optimizer.step()
    return Step(_summed([losses for losses, _ in found]), norms, rates)


def _rows_of_micro_batches(pairs: int, micro_batches: int, device: torch.device) -> list[Tensor]:
    """List the row indices of each micro-batch, positives first; their sizes are nearly equal."""
    edges = [pairs * number // micro_batches for number in range(1, micro_batches)]
    positives = torch.arange(pairs, device=device).tensor_split(edges)
    return [torch.cat((rows, rows + pairs)) for rows in positives]


def _add_gradients(
    network: Daan,
    videos: VideoBatch,
    text: Tensor,
    parameter_norms: Tensor,
    squares: PairSquares,
    *,
    weight: float,
    generator: torch.Generator | None,
    precision: Precision,
) -> tuple[Losses, Rates | None]:
    """Add the gradients of `weight` times the loss of these videos; return the weighted losses and the rates."""
    pairs, config = len(videos) // 2, network.config
    videos = hide_modalities(videos, config.modality_dropout, generator)
    layers = [layer for _, _, layer in network.branch_layers]
    half = precision == "bfloat16"
    autocast = torch.autocast(videos.audio.device.type, torch.bfloat16) if half else nullcontext()
    with recorded(layers if config.modulates else []) as activations, autocast:
        embeddings: Embeddings = network(videos, text, pairs)
    positive, negative = embeddings.float().split(pairs)
    losses = daan_losses(positive, negative, text[:pairs], margin=config.margin).scaled(weight)
    if not config.modulates:
        losses.total.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        return losses.detach(), None
    has_both = have_both_modalities(videos)
    rates = add_modulated_gradients(
        network, losses.total, activations, positive, negative, has_both, parameter_norms, squares
    )
    return losses.detach(), rates


def _summed(losses: list[Losses]) -> Losses:
    total = losses[0]
    for each in losses[1:]:
        total = total + each
    return total


def _joined(rates: list[Rates | None]) -> Rates | None:
    """Concatenate the rates of the micro-batches along the pairs."""
    known = [each for each in rates if each is not None]
    return Rates(*(torch.cat(values) for values in zip(*known, strict=True))) if known else None
