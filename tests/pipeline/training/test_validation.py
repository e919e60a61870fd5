"""pipeline/training/validation.py: what validation finds, from all distances and from chunks, and how fast."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from daan.network import Daan
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.features.feature_set import FeatureSet, Standardiser, load_features
from pipeline.scoring.calibration import PUBLISHED_GRIDS, HarmonicMeans, best_temperature
from pipeline.scoring.metrics import gzsl_metrics
from pipeline.scoring.nearest_classes import NearestClasses
from pipeline.scoring.score_videos import SCORES, EmbeddedVideos, evenly_chosen, score_embeddings, score_videos
from pipeline.training.validation import Validation, Validator

CPU = torch.device("cpu")


class Generated:
    """Videos around their classes in the space of the network, chunk by chunk."""

    def __init__(self, videos: int, classes: int = 300, width: int = 300) -> None:
        generator = torch.Generator().manual_seed(0)
        self.theta_w = torch.randn(classes, width, generator=generator)
        self.labels = torch.randint(classes, (videos,), generator=generator)
        self.seen = np.arange(classes) < 2 * classes // 3
        noise = torch.randn(2, videos, width, generator=generator)
        # Nearer to seen classes, as trained embeddings are, so that there is something to calibrate.
        centres = self.theta_w[self.labels] * torch.where(torch.from_numpy(self.seen)[self.labels], 1.0, 0.4)[:, None]
        self.theta_a, self.theta_v = 2 * noise + centres

    def chunks(self) -> Iterator[EmbeddedVideos]:
        """A few hundred at a time."""
        there = torch.ones(len(self.labels), dtype=torch.bool)
        for rows in torch.split(torch.arange(len(self.labels)), 256):
            yield EmbeddedVideos(rows.numpy(), self.theta_a[rows], self.theta_v[rows], there[rows], there[rows])

    def validated(self, sample: int) -> Validation:
        """Calibrated on all videos, the temperature on a sample."""
        chosen = evenly_chosen(len(self.labels), sample)
        scored = score_embeddings(self.chunks(), len(self.labels), self.theta_w, self.seen, sample=chosen)
        return Validation.of_scored(scored, self.labels.numpy(), score="sum", fit_temperature=True)


def test_15000_videos_of_300_classes_take_under_two_seconds() -> None:
    """All three metrics with exact beta, both grids and temperature, from the embeddings on."""
    generated = Generated(15_000)
    begin = time.process_time()
    validation = generated.validated(2000)
    assert time.process_time() - begin < 2
    assert 10 < validation.metrics.HM < 100


def test_the_temperature_of_a_sample_is_nearly_that_of_all_videos() -> None:
    """An evenly chosen eighth gives it to a tenth of itself, and betas do not depend on the sample at all."""
    generated = Generated(4000, classes=20, width=8)
    sampled, whole = generated.validated(500), generated.validated(4000)
    for score in SCORES:
        assert sampled.temperatures[score] == pytest.approx(whole.temperatures[score], rel=0.1)
    assert (sampled.betas, sampled.grid_betas, sampled.metrics) == (whole.betas, whole.grid_betas, whole.metrics)


def test_every_score_has_its_exact_beta_and_each_grids_choice() -> None:
    """As found from all distances at once."""
    generated = Generated(400, classes=12, width=6)
    labels = generated.labels.numpy()
    scored = score_embeddings(generated.chunks(), 400, generated.theta_w, generated.seen, sample=np.arange(400))
    validation = Validation.of_scored(scored, labels, score="audio", fit_temperature=True)

    for name, distances in scored.sample_distances.items():
        means = HarmonicMeans.over_betas(NearestClasses.from_distances(distances, generated.seen), labels)
        assert validation.betas[name] == means.best_beta()
        for grid in PUBLISHED_GRIDS:
            assert validation.grid_betas[grid.name][name] == means.best_of(grid.betas)
        calibrated = distances + np.where(generated.seen, validation.betas[name], 0.0)
        assert validation.temperatures[name] == best_temperature(calibrated, labels)
    audio = NearestClasses.from_distances(scored.sample_distances["audio"], generated.seen)
    assert validation.metrics == gzsl_metrics(audio, labels, validation.betas["audio"])


def test_a_validation_survives_as_numbers_and_texts() -> None:
    """In a checkpoint of today, and in one that was written before the grids were remembered."""
    validation = Generated(50, classes=4, width=3).validated(50)
    plain = validation.to_plain()
    assert Validation.from_plain(plain) == validation
    older = {name: value for name, value in plain.items() if name != "grid_betas"}
    assert Validation.from_plain(older).grid_betas == {}


@pytest.fixture
def features(extracted: Callable[..., Workspace]) -> FeatureSet:
    """Forty short videos of eight classes."""
    workspace = extracted()
    return load_features(workspace.current_features(), load_dataset(workspace.dataset_folder).classes)


def validated(features: FeatureSet, least_videos: int) -> tuple[Validator, Validation, Validation]:
    """A validator on 30 videos, what it finds, and what it should find among the six allowed classes."""
    torch.manual_seed(0)
    network = Daan(DaanConfig(audio_width=16, visual_width=16, text_width=8, hidden_width=32, output_width=16, heads=2))
    vectors, standardiser = torch.randn(8, 8), Standardiser.identity(16, 16)
    allowed = torch.tensor([True, False, True, True, True, True, False, True])
    places = torch.nonzero(allowed[features.labels]).flatten()
    seen = allowed & (torch.arange(8) < 5)
    validator = Validator(
        features,
        places,
        vectors,
        standardiser,
        seen=seen,
        allowed=allowed,
        score="sum",
        least_videos=least_videos,
        device=CPU,
    )
    labels = [[0, 2, 3, 4, 5, 7].index(label) for label in features.labels[places].tolist()]
    scored = score_videos(
        network, features, places, vectors[allowed], seen[allowed].numpy(), standardiser, CPU, sample=np.arange(30)
    )
    return validator, validator(network), Validation.of_scored(scored, labels, score="sum", fit_temperature=True)


def test_validation_chooses_among_its_own_classes_only(features: FeatureSet) -> None:
    """Classes of the test are unknown to it."""
    validator, found, expected = validated(features, least_videos=30)
    assert validator.chooses
    assert found == expected


def test_too_few_videos_fit_no_temperature(features: FeatureSet) -> None:
    """Betas and figures are found all the same; probabilities stay those of temperature 1."""
    validator, found, expected = validated(features, least_videos=31)
    assert not validator.chooses
    assert (found.betas, found.metrics, found.grid_betas) == (expected.betas, expected.metrics, expected.grid_betas)
    assert set(found.temperatures.values()) == {1.0}
