"""pipeline/scoring/score_videos.py: scoring in chunks gives the same as all videos at once, with less memory."""

import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from daan.network import Daan
from daan.scoring import class_distances
from pipeline.base.errors import PipelineError
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.features.feature_set import FeatureSet, Standardiser, load_features
from pipeline.scoring.nearest_classes import NearestClasses
from pipeline.scoring.score_videos import DistanceChunk, evenly_chosen, score_distances, score_videos

SCORES = ("audio", "visual", "sum")

CPU = torch.device("cpu")


def chunk(rows: np.ndarray, theta_w: torch.Tensor) -> DistanceChunk:
    """Make random distances that depend only on the video, not on its chunk; some videos lack a modality."""
    drawn = [torch.randn(2, theta_w.shape[1], generator=torch.Generator().manual_seed(int(row))) for row in rows]
    thetas = torch.stack(drawn)
    indices = torch.from_numpy(rows)
    has_audio, has_visual = indices % 3 != 0, indices % 4 != 0
    return DistanceChunk(
        rows, class_distances(thetas[:, 0], thetas[:, 1], theta_w, has_audio=has_audio, has_visual=has_visual)
    )


@pytest.mark.parametrize("sizes", [[9], [4, 4, 1], [1] * 9])
def test_chunks_in_any_order_give_the_same_as_all_videos_at_once(sizes: list[int]) -> None:
    """This holds for the nearest classes of every video and for the distances of the sampled ones."""
    theta_w, seen = torch.randn(6, 4), np.array([True, False, True, True, False, True])
    expected = chunk(np.arange(9), theta_w).distances
    sample = np.array([0, 3, 8])
    chunks = np.split(np.random.default_rng(0).permutation(9), np.cumsum(sizes)[:-1])

    scored = score_distances((chunk(rows, theta_w) for rows in chunks), 9, seen, scores=SCORES, sample=sample)

    for score in SCORES:
        nearest = NearestClasses.from_distances(expected[score].numpy(), seen)
        np.testing.assert_array_equal(scored.nearest[score].nearest_seen, nearest.nearest_seen)
        np.testing.assert_array_equal(scored.nearest[score].nearest_unseen, nearest.nearest_unseen)
        np.testing.assert_allclose(scored.nearest[score].switching_betas, nearest.switching_betas, atol=1e-5)
        np.testing.assert_allclose(scored.sample_distances[score], expected[score].numpy()[sample], atol=1e-5)


def test_without_videos_the_result_is_empty() -> None:
    """An empty split is not an error."""
    scored = score_distances([], 0, np.array([True, False, True]), scores=SCORES)
    assert [len(scored.nearest[score].switching_betas) for score in SCORES] == [0, 0, 0]
    assert scored.sample_distances["sum"].shape == (0, 3)


def test_memory_does_not_grow_with_the_number_of_chunks() -> None:
    """As many distance tensors exist during the last chunk as during the third one."""
    videos, classes, alive = 7, 11, []
    theta_w = torch.randn(classes, 4)

    def counted_chunks() -> Iterator[DistanceChunk]:
        for number in range(20):
            yield chunk(np.arange(number * videos, (number + 1) * videos), theta_w)
            if number in {2, 18}:
                alive.append(
                    sum(type(one) is torch.Tensor and one.shape == (videos, classes) for one in gc.get_objects())
                )

    score_distances(counted_chunks(), 20 * videos, np.arange(classes) < 6, scores=SCORES)

    assert 0 < alive[0] == alive[1] < 2 * len(SCORES)


@pytest.mark.parametrize(("n_videos", "at_most"), [(0, 5), (1, 5), (5, 5), (7, 5), (1000, 7)])
def test_a_sample_is_evenly_spread(n_videos: int, at_most: int) -> None:
    """A small number of videos is chosen whole; otherwise the steps between the videos differ by at most 1."""
    chosen = evenly_chosen(n_videos, at_most)
    assert len(chosen) == min(n_videos, at_most)
    assert all(0 <= index < n_videos for index in chosen)
    steps = np.diff([*chosen, n_videos]) if len(chosen) else np.ones(1)
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1


@pytest.fixture
def features(extracted: Callable[..., Workspace]) -> FeatureSet:
    """Load the features of 40 short videos of 8 classes; one video is silent."""
    workspace = extracted(silent=("red_ball/0.mp4",))
    return load_features(workspace.current_features(), load_dataset(workspace.dataset_folder).classes)


def network() -> Daan:
    """Make a small network with its initial weights."""
    return Daan(DaanConfig(audio_width=16, visual_width=16, text_width=8, hidden_width=32, output_width=16, heads=2))


def test_distances_do_not_depend_on_the_other_videos_of_the_batch(features: FeatureSet) -> None:
    """A video has the same distances alone and in a batch with longer videos."""
    daan, vectors, seen = network(), torch.randn(8, 8), np.arange(8) < 6
    standardiser = features.statistics(torch.arange(40))

    def distances(indices: list[int]) -> dict[str, np.ndarray]:
        kept = np.arange(len(indices))
        scored = score_videos(
            daan, features, torch.tensor(indices), vectors, seen, standardiser, CPU, sample=kept
        ).sample_distances
        return dict(scored)

    together = distances(list(range(10)))
    for index in range(10):
        for score, alone in distances([index]).items():
            np.testing.assert_allclose(alone[0], together[score][index], atol=1e-4)


def test_the_network_keeps_its_mode(features: FeatureSet) -> None:
    """Validation between epochs does not change the mode of training."""
    daan = network()
    for training in (True, False):
        daan.train(training)
        score_videos(
            daan, features, torch.arange(4), torch.randn(8, 8), np.arange(8) < 6, Standardiser.identity(16, 16), CPU
        )
        assert daan.training is training


def test_a_diverged_network_is_refused_at_its_first_wrong_video(features: FeatureSet) -> None:
    """The message says what to change; no metric becomes NaN."""
    daan = network()
    with torch.no_grad():
        for parameter in daan.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(PipelineError, match=r"gives '.*\.mp4' an embedding that is not finite.*learning_rate"):
        score_videos(
            daan, features, torch.arange(40), torch.randn(8, 8), np.arange(8) < 6, Standardiser.identity(16, 16), CPU
        )
