"""Choose how strongly frozen distances count beside those of a trained network, on the validation videos.

Legend: M validation videos, C classes.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daan.baselines.anchored import Anchored
from daan.baselines.zero_shot import ZeroShotConfig
from daan.method import Method
from pipeline.features.feature_set import Standardiser
from pipeline.training.validation import Validation, Validator

# How much more the frozen distances differ between classes than the trained ones; 0 leaves the network as it is.
ANCHOR_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Anchor:
    """How frozen distances are mixed with trained ones.

    Attributes:
        config: the options of the frozen encoders.
        weight: one of `ANCHOR_WEIGHTS`.
        factors: score -> factor of the frozen distance.
    """

    config: ZeroShotConfig
    weight: float
    factors: Mapping[str, float]

    def applied(self, network: Method, standardiser: Standardiser) -> Anchored:
        """Mix the distances of a network, whose features are standardised, with the frozen ones."""
        anchored = Anchored(network, self.config).to(standardiser.audio_mean.device)
        anchored.set_factors(self.factors)
        anchored.undo_standardising(
            **{entry.name: getattr(standardiser, entry.name) for entry in dataclasses.fields(Standardiser)}
        )
        return anchored.eval()


def choose_anchor(
    network: Method, config: ZeroShotConfig, standardiser: Standardiser, validator: Validator
) -> tuple[Anchor, Validation]:
    """Choose the weight with the best validation metrics; of equally good ones the smallest.

    Args:
        network: the network of stage 1 at its best epoch.
        config: the options of the frozen encoders.
        standardiser: the standardiser of stage 1.
        validator: the validator of stage 1, with enough videos to choose by.

    Returns:
        The anchor, and the validation of the mixture.
    """

    def mixed(factors: Mapping[str, float]) -> Anchored:
        return Anchor(config, 0.0, factors).applied(network, standardiser)

    trained = validator.distances(mixed(dict.fromkeys(network.scores, 0.0)))
    both = validator.distances(mixed(dict.fromkeys(network.scores, 1.0)))
    ratios = {score: _spread(trained[score]) / _spread(both[score] - trained[score]) for score in network.scores}
    tried = []
    for weight in ANCHOR_WEIGHTS:
        factors = {score: weight * ratio for score, ratio in ratios.items()}
        tried.append((Anchor(config, weight, factors), validator(mixed(factors))))
    return max(tried, key=lambda pair: pair[1].validation_metric)  # the first of equally good ones


def _spread(distances: NDArray[np.float32]) -> float:
    """Measure how much the distances (M, C) of a video differ between classes: the mean of its deviations."""
    return float(distances.std(axis=1).mean()) or 1.0
