"""Judge each clip of the unseen classes: is the nearest of these classes its own?"""

import torch

from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.datasets.splits.splits import parse_splits
from pipeline.features.feature_set import load_features
from pipeline.scoring.score_videos import score_videos
from pipeline.training.run_files import SPLITS
from pipeline.training.trained_model import load_model, run_file


def judged_clips(workspace: Workspace, run: str, device: torch.device) -> dict[str, bool]:
    """Assign the test videos of unseen classes to these classes, as ZSL does.

    Args:
        workspace: a workspace with a finished run.
        run: name of the run.
        device: device of the network.

    Returns:
        Name of the video -> whether its nearest class is its own.

    Raises:
        PipelineError: damaged files, or no features.
    """
    folder = workspace.model_folder(run)
    model = load_model(folder, device)
    features = load_features(workspace.current_features(), load_dataset(workspace.dataset_folder).classes)
    keys = [key for key in parse_splits(run_file(folder, SPLITS)).test_unseen if key in features.keys]
    videos = features.indices(keys)
    unseen = torch.unique(features.labels[videos])
    scored = score_videos(
        model.network,
        features,
        videos,
        torch.from_numpy(model.class_vectors)[unseen],
        torch.zeros(len(unseen), dtype=torch.bool).numpy(),
        model.standardiser,
        device,
    )
    own = torch.searchsorted(unseen, features.labels[videos]).numpy()
    nearest = scored.nearest[model.score].nearest_unseen
    return dict(zip(keys, (nearest == own).tolist(), strict=True))
