"""Evaluate the frozen encoders on the features of a trained run: what its training adds is the difference."""

import numpy as np
import torch
from torch import Tensor

from daan.baselines.zero_shot import ZeroShot, ZeroShotConfig, fits_text
from pipeline.datasets.splits.splits import Splits
from pipeline.features.attributes import logit_scales
from pipeline.features.feature_set import FeatureSet, Standardiser
from pipeline.scoring.metrics import Metrics, gzsl_metrics
from pipeline.scoring.nearest_classes import Flags, Indices
from pipeline.scoring.score_videos import score_videos
from pipeline.training.trained_model import Model
from pipeline.training.validation import Validator


def frozen_metrics(
    model: Model,
    features: FeatureSet,
    splits: Splits,
    *,
    indices: Tensor,
    labels: Indices,
    classes: Indices,
    device: torch.device,
) -> Metrics | None:
    """Compute the metrics of the method `zero-shot`, calibrated on the run's validation videos, without training.

    Args:
        model: the trained model.
        features: the features that it was trained on.
        splits: the splits of its run.
        indices: (N,) indices of the videos to score.
        labels: (N,) their classes, as indices into `classes`.
        classes: (C,) the classes to choose from, as indices into the model's.
        device: where to compute.

    Returns:
        The metrics; None if the features have no text encoder, if the class embeddings come from another one, or if the
        model is itself `zero-shot`.
    """
    network = _frozen_network(model, features)
    if network is None:
        return None
    network = network.to(device).eval()
    means, vectors = features.averaged(), torch.from_numpy(model.class_vectors)
    standardiser = Standardiser.identity(features.audio.shape[1], features.visual.shape[1]).to(device)
    seen: Flags = np.array([model.classes[index].seen for index in classes])
    beta = 0.0
    if model.held_out is not None:
        splits = splits.restricted_to(features.keys)
        trained = features.videos_of_classes(features.indices(splits.train))
        validated = features.indices((*splits.val_seen, *splits.val_unseen))
        validator = Validator(
            means,
            validated,
            vectors,
            standardiser,
            seen=trained > 0,
            allowed=trained + features.videos_of_classes(validated) > 0,
            score=network.score,
            least_videos=1,  # the model had enough
            device=device,
        )
        held_out = validator(network).held_out
        if held_out is not None:
            beta = held_out.calibration(int(seen.sum()), int((~seen).sum())).beta
    scored = score_videos(network, means, indices, vectors[classes], seen, standardiser, device)
    return gzsl_metrics(scored.nearest[network.score], labels, beta)


def _frozen_network(model: Model, features: FeatureSet) -> ZeroShot | None:
    attributes = features.attributes
    paired = str(attributes.get("paired_text", "")).partition(":")[0]
    if not paired or paired != model.text_encoder.get("encoder") or isinstance(model.network, ZeroShot):
        return None
    audio, visual, text = features.audio.shape[1], features.visual.shape[1], model.class_vectors.shape[1]
    if not fits_text(audio, visual, text):  # a text encoder of another model of the same kind
        return None
    return ZeroShot(ZeroShotConfig(audio_width=audio, visual_width=visual, text_width=text, **logit_scales(attributes)))
