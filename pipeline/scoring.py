"""Distances of videos to classes by a trained network, in chunks so that memory stays flat."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daan.network import Daan
from daan.scoring import class_distances
from pipeline.feature_set import FeatureSet, Standardiser

SCORES = ("audio", "visual", "sum")
_VIDEOS_AT_ONCE = 256

Distances = Mapping[str, NDArray[np.float32]]  # score -> (N, C)


@torch.inference_mode()
def distances_to_classes(
    network: Daan,
    features: FeatureSet,
    places: Tensor,
    class_vectors: Tensor,
    standardiser: Standardiser,
    device: torch.device,
) -> Distances:
    """Distances of (N,) videos to C classes by each score.

    Args:
        network: left in the mode it was in.
        features: all videos.
        places: (N,) which of them.
        class_vectors: (C, W).
        standardiser: of the features, on `device`.
        device: where the network is.
    """
    was_training = network.training
    network.eval()
    classes = network.embed_classes(class_vectors.to(device))
    found: dict[str, list[NDArray[np.float32]]] = {score: [] for score in SCORES}
    # Videos of similar length go together, so that little is padded.
    order = torch.argsort(features.seconds[places], stable=True)
    for chunk in torch.split(order, _VIDEOS_AT_ONCE):
        batch = features.batch(places[chunk], standardiser, device)
        audio, visual = network.embed_videos(batch)
        by_score = class_distances(
            audio, visual, classes, has_audio=batch.audio_mask.any(1), has_visual=batch.visual_mask.any(1)
        )
        for score in SCORES:
            found[score].append(by_score[score].cpu().numpy())
    network.train(was_training)
    back = torch.argsort(order).numpy()
    empty = np.zeros((0, len(class_vectors)), np.float32)
    return {score: np.concatenate(rows)[back] if rows else empty for score, rows in found.items()}
