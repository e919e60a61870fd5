"""pipeline/training/validation.py: metrics and calibration from chunks equal those from all distances; speed."""

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from daan.network import Daan
from daan.scoring import class_distances
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.features.feature_set import FeatureSet, Standardiser, load_features
from pipeline.scoring.calibration import PUBLISHED_GRIDS, HarmonicMeans, lasting_beta, lasting_temperature
from pipeline.scoring.metrics import gzsl_metrics
from pipeline.scoring.nearest_classes import NearestClasses
from pipeline.scoring.score_videos import DistanceChunk, evenly_chosen, score_distances, score_videos
from pipeline.training.validation import Validation, Validator, _too_few

SCORES = ("audio", "visual", "sum")

CPU = torch.device("cpu")


class Generated:
    """Embeddings of videos around their classes, chunk by chunk."""

    def __init__(self, videos: int, classes: int = 300, width: int = 300) -> None:
        generator = torch.Generator().manual_seed(0)
        self.theta_w = torch.randn(classes, width, generator=generator)
        self.labels = torch.randint(classes, (videos,), generator=generator)
        self.seen = np.arange(classes) < 2 * classes // 3
        noise = torch.randn(2, videos, width, generator=generator)
        # Videos are nearer to seen classes, as after training, so that calibration has an effect.
        centres = self.theta_w[self.labels] * torch.where(torch.from_numpy(self.seen)[self.labels], 1.0, 0.4)[:, None]
        self.theta_a, self.theta_v = 2 * noise + centres

    def chunks(self) -> Iterator[DistanceChunk]:
        """Yield a few hundred videos at a time."""
        present = torch.ones(len(self.labels), dtype=torch.bool)
        for rows in torch.split(torch.arange(len(self.labels)), 256):
            yield DistanceChunk(
                rows.numpy(),
                class_distances(
                    self.theta_a[rows],
                    self.theta_v[rows],
                    self.theta_w,
                    has_audio=present[rows],
                    has_visual=present[rows],
                ),
            )

    def validated(self, sample: int) -> Validation:
        """Calibrate on all videos, and fit the temperature on a sample."""
        chosen = evenly_chosen(len(self.labels), sample)
        scored = score_distances(self.chunks(), len(self.labels), self.seen, scores=SCORES, sample=chosen)
        return Validation.of_scored(scored, self.labels.numpy(), score="sum", calibrate=True)


def test_15000_videos_of_300_classes_take_under_two_seconds() -> None:
    """This covers all three scores with exact beta, both grids and temperature, but not the embedding of the videos."""
    generated = Generated(15_000)
    begin = time.process_time()
    validation = generated.validated(2000)
    assert time.process_time() - begin < 2
    assert 10 < validation.metrics.HM < 100


def test_the_temperature_of_a_sample_is_close_to_that_of_all_videos() -> None:
    """An evenly chosen eighth gives it to within 10 %. Betas do not depend on the sample."""
    generated = Generated(4000, classes=20, width=8)
    sampled, whole = generated.validated(500), generated.validated(4000)
    for score in SCORES:
        assert sampled.temperatures[score] == pytest.approx(whole.temperatures[score], rel=0.1)
    assert (sampled.betas, sampled.grid_betas, sampled.metrics) == (whole.betas, whole.grid_betas, whole.metrics)


def test_every_score_has_its_lasting_beta_and_the_choice_of_each_grid() -> None:
    """They equal those computed from all distances at once."""
    generated = Generated(400, classes=12, width=6)
    labels = generated.labels.numpy()
    scored = score_distances(generated.chunks(), 400, generated.seen, scores=SCORES, sample=np.arange(400))
    validation = Validation.of_scored(scored, labels, score="audio", calibrate=True)

    for name, distances in scored.sample_distances.items():
        means = HarmonicMeans.over_betas(NearestClasses.from_distances(distances, generated.seen), labels)
        assert validation.betas[name] == lasting_beta([means])
        for grid in PUBLISHED_GRIDS:
            assert validation.grid_betas[grid.name][name] == means.best_of(grid.betas)
        calibrated = distances + np.where(generated.seen, validation.betas[name], 0.0)
        assert validation.temperatures[name] == lasting_temperature(calibrated, labels, videos=400)
    audio = NearestClasses.from_distances(scored.sample_distances["audio"], generated.seen)
    best = HarmonicMeans.over_betas(audio, labels).best_beta()
    assert validation.metrics == gzsl_metrics(audio, labels, best)  # the epoch is chosen at the exact optimum
    assert validation.held_out is not None
    np.testing.assert_array_equal(validation.held_out.distances, scored.sample_distances["audio"])
    np.testing.assert_array_equal(validation.held_out.labels, labels)


def test_a_validation_is_restored_from_plain_values() -> None:
    """They pass through a file that holds plain values and tensors only."""
    validation = Generated(50, classes=4, width=3).validated(50)
    file = io.BytesIO()
    torch.save(validation.to_plain(), file)
    file.seek(0)

    restored = Validation.from_plain(torch.load(file, weights_only=True))

    assert restored == validation
    assert restored.held_out is not None
    assert validation.held_out is not None
    np.testing.assert_array_equal(restored.held_out.distances, validation.held_out.distances)
    uncalibrated = replace(validation, held_out=None)
    assert Validation.from_plain(uncalibrated.to_plain()).held_out is None


@pytest.fixture
def features(extracted: Callable[..., Workspace]) -> FeatureSet:
    """Forty short videos of eight classes."""
    workspace = extracted()
    return load_features(workspace.current_features(), load_dataset(workspace.dataset_folder).classes)


def validated(features: FeatureSet, least_videos: int) -> tuple[Validator, Validation, Validation]:
    """Make a validator on 30 videos, its result, and the expected result among the six allowed classes."""
    torch.manual_seed(0)
    network = Daan(DaanConfig(audio_width=16, visual_width=16, text_width=8, hidden_width=32, output_width=16, heads=2))
    vectors, standardiser = torch.randn(8, 8), Standardiser.identity(16, 16)
    allowed = torch.tensor([True, False, True, True, True, True, False, True])
    indices = torch.nonzero(allowed[features.labels]).flatten()
    seen = allowed & (torch.arange(8) < 5)
    validator = Validator(
        features,
        indices,
        vectors,
        standardiser,
        seen=seen,
        allowed=allowed,
        score="sum",
        least_videos=least_videos,
        device=CPU,
    )
    labels = [[0, 2, 3, 4, 5, 7].index(label) for label in features.labels[indices].tolist()]
    scored = score_videos(
        network, features, indices, vectors[allowed], seen[allowed].numpy(), standardiser, CPU, sample=np.arange(30)
    )
    return validator, validator(network), Validation.of_scored(scored, labels, score="sum", calibrate=True)


def test_validation_assigns_videos_to_allowed_classes_only(features: FeatureSet) -> None:
    """Classes of the test set are not used."""
    validator, actual, expected = validated(features, least_videos=30)
    assert validator.chooses
    assert actual == expected


def test_too_few_videos_choose_no_beta_and_no_temperature(features: FeatureSet) -> None:
    """Metrics are computed at a beta of 0, no grid chooses one, and no distances are kept."""
    validator, actual, expected = validated(features, least_videos=31)
    assert not validator.chooses
    assert actual.metrics.beta == 0
    assert actual.metrics.ZSL == expected.metrics.ZSL
    assert actual.grid_betas == {}
    assert set(actual.betas.values()) == {0.0}
    assert set(actual.temperatures.values()) == {1.0}
    assert actual.held_out is None


@pytest.mark.parametrize(
    ("trained", "unseen", "reason"),
    [
        (18, 1, "19 validation videos, fewer than training.least_validation_videos (20)"),
        (1, 19, "only 1 validation video of trained classes, fewer than a quarter"),
        (40, 4, "only 4 validation videos of unseen classes, fewer than a quarter"),
        (5, 15, ""),
        (20, 0, ""),  # the epoch is chosen by S, and there is no beta
    ],
)
def test_each_kind_of_classes_needs_a_quarter_of_the_least_videos(trained: int, unseen: int, reason: str) -> None:
    """One clip would make S 0 or 100, and so choose the epoch, beta and what is far."""
    assert _too_few(np.arange(trained + unseen) < trained, 20).startswith(reason)
    assert bool(_too_few(np.arange(trained + unseen) < trained, 20)) == bool(reason)
