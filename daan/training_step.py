"""One step of training: pairs in, weights changed, losses out."""

import torch
from torch import Tensor

from daan.losses import Losses, daan_losses
from daan.network import Daan, Embeddings
from daan.videos import VideoBatch, hide_modalities, joined


def training_step(
    network: Daan,
    optimizer: torch.optim.Optimizer,
    positive: VideoBatch,
    negative: VideoBatch,
    text_positive: Tensor,
    text_negative: Tensor,
    *,
    generator: torch.Generator | None = None,
) -> Losses:
    """One forward pass over the 2B videos, one backward pass, one step of the optimiser.

    Positives and negatives go through together, so that batch statistics see both.

    Args:
        network: in training mode.
        optimizer: of the network's parameters.
        positive: B videos.
        negative: B videos of other classes, one for each positive.
        text_positive: (B, W) class embeddings of the positives.
        text_negative: (B, W) class embeddings of the negatives.
        generator: source of modality dropout; None: torch's own. Dropout layers draw from torch's own in any case.

    Returns:
        The batch's losses, detached, on the network's device.

    Raises:
        ValueError: numbers or widths that do not fit.
    """
    pairs = len(positive)
    if len(negative) != pairs or pairs == 0:
        raise ValueError(f"{pairs} positive and {len(negative)} negative videos: give each positive one negative")
    videos = hide_modalities(joined(positive, negative), network.config.modality_dropout, generator)
    embeddings: Embeddings = network(videos, torch.cat((text_positive, text_negative)))
    of_positive, of_negative = embeddings.split(pairs)
    losses = daan_losses(of_positive, of_negative, text_positive, margin=network.config.margin)
    optimizer.zero_grad(set_to_none=True)
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    # CSGM's place (DAAN paper, eq. 5 to 8): it modulates the gradients of QDMA's parameters before they reach Adam.
    optimizer.step()
    return losses.detach()
