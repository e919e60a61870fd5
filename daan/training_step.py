"""One step of training: pairs in, weights changed, losses out."""

import itertools
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from daan.batch import VideoBatch, hide_modalities, joined
from daan.losses import Losses, daan_losses
from daan.modulation.csgm import PartNorms, add_modulated_gradients, add_noise, part_norms
from daan.modulation.csgm_rates import Rates, comparable_pairs
from daan.modulation.pair_gradients import recorded
from daan.network import Daan, Embeddings

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Step:
    """What a step found, on the network's device and without a graph."""

    losses: Losses  # of the batch
    norms: PartNorms  # of the encoders' parts
    rates: Rates | None  # of CSGM, by pair; None where nothing is modulated


def training_step(
    network: Daan,
    optimizer: torch.optim.Optimizer,
    positive: VideoBatch,
    negative: VideoBatch,
    text_positive: Tensor,
    text_negative: Tensor,
    *,
    generator: torch.Generator | None = None,
    clip_norm: float = 0.0,
    precision: Precision = "float32",
    pieces: int = 1,
) -> Step:
    """One forward pass over the 2B videos, one backward pass, one step of the optimiser.

    Positives and negatives go through together, so that batch statistics see both. With CSGM the gradients of QDMA's
    parts are modulated; noise is added once, when the whole gradient is there, and clipping comes last.

    Args:
        network: in training mode.
        optimizer: of the network's parameters.
        positive: B videos.
        negative: B videos of other classes, one for each positive.
        text_positive: (B, W) class embeddings of the positives.
        text_negative: (B, W) class embeddings of the negatives.
        generator: source of modality dropout; None: torch's own. Dropout layers draw from torch's own in any case.
        clip_norm: largest norm of the whole gradient; 0: any.
        precision: of the network's products; bfloat16 by autocast, weights and losses stay float32.
        pieces: the batch goes through in so many pieces whose gradients add up, which takes less memory. Batch
            statistics and CSGM's rates are then those of a piece.

    Returns:
        Losses, norms and rates.

    Raises:
        ValueError: numbers or widths that do not fit.
    """
    pairs = len(positive)
    if len(negative) != pairs or pairs == 0:
        raise ValueError(f"{pairs} positive and {len(negative)} negative videos: give each positive one negative")
    if not 1 <= pieces <= pairs:
        raise ValueError(f"{pieces} pieces of {pairs} pairs: give each piece one pair at least")
    optimizer.zero_grad(set_to_none=True)
    found: list[tuple[Losses, Rates | None]] = []
    for piece in _slices(pairs, pieces):
        batch = (positive[piece], negative[piece], text_positive[piece], text_negative[piece])
        share = (piece.stop - piece.start) / pairs
        found.append(_add_gradients(network, *batch, share=share, generator=generator, precision=precision))
    norms = part_norms(network)
    if network.config.modulates:
        add_noise(network)
    if clip_norm > 0:
        nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    optimizer.step()
    return Step(_summed([losses for losses, _ in found]), norms, _joined([rates for _, rates in found]))


def _slices(pairs: int, pieces: int) -> list[slice]:
    """Nearly equal parts of 0 to pairs."""
    edges = [pairs * piece // pieces for piece in range(pieces + 1)]
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


def _add_gradients(
    network: Daan,
    positive: VideoBatch,
    negative: VideoBatch,
    text_positive: Tensor,
    text_negative: Tensor,
    *,
    share: float,
    generator: torch.Generator | None,
    precision: Precision,
) -> tuple[Losses, Rates | None]:
    """Add the gradients of `share` times these pairs' loss; their losses, times the share, and rates."""
    pairs, config = len(positive), network.config
    videos = hide_modalities(joined(positive, negative), config.modality_dropout, generator)
    layers = [layer for parts in network.parts for part in parts for layer in part] if config.modulates else []
    half = precision == "bfloat16"
    autocast = torch.autocast(videos.audio.device.type, torch.bfloat16) if half else nullcontext()
    with recorded(layers) as passages, autocast:
        embeddings: Embeddings = network(videos, torch.cat((text_positive, text_negative)))
    of_positive, of_negative = embeddings.float().split(pairs)
    losses = daan_losses(of_positive, of_negative, text_positive, margin=config.margin).scaled(share)
    if not config.modulates:
        losses.total.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        return losses.detach(), None
    comparable = comparable_pairs(videos[:pairs], videos[pairs:])
    rates = add_modulated_gradients(network, losses.total, passages, of_positive, of_negative, comparable)
    return losses.detach(), rates


def _summed(losses: list[Losses]) -> Losses:
    total = losses[0]
    for each in losses[1:]:
        total = total + each
    return total


def _joined(rates: list[Rates | None]) -> Rates | None:
    """The pieces' rates, pair after pair."""
    known = [each for each in rates if each is not None]
    return Rates(*(torch.cat(values) for values in zip(*known, strict=True))) if known else None
