"""What all tests share: visible skips, no network, random state that no test leaks into the next."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from pipeline.dataset import Dataset, Video, save_dataset
from pipeline.feature_store import FeatureRows, SourceFile, StoredVideo, content_fingerprint, write_part
from pipeline.workspace import StageRecord, Workspace

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
os.environ.setdefault("AVZSL_OFFLINE", "1")
# No test fails because the machine was busy with something else.
hypothesis.settings.register_profile("avzsl", deadline=None)
hypothesis.settings.load_profile("avzsl")
torch.set_num_threads(1)  # small tensors gain nothing from more, and suffer where the cores are busy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, saying why; FAIL_WITHOUT_GPU=1 turns the GPU's skips into failures."""
    for item in items:
        if item.get_closest_marker("needs_shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="no ../shared beside the checkout: real clips and official splits"))
        if (
            item.get_closest_marker("needs_gpu")
            and not torch.cuda.is_available()
            and not os.environ.get("FAIL_WITHOUT_GPU")
        ):
            item.add_marker(pytest.mark.skip(reason="torch sees no CUDA device"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and official splits."""
    return SHARED


@pytest.fixture(autouse=True)
def _same_random_state() -> Iterator[None]:
    """Every test begins with the same random numbers and leaves the generators as it found them."""
    states = torch.random.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 - the global state
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state
    random.seed(0)
    yield
    torch.random.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002 - the global state
    random.setstate(states[2])


@pytest.fixture
def extracted(tmp_path: Path) -> Callable[..., Workspace]:
    """Makes a workspace as an extraction leaves it: class-dependent random features, no video decoded."""

    def make(*, classes: int = 8, videos: int = 5, width: int = 16, silent: Sequence[str] = ()) -> Workspace:
        return _workspace_with_features(tmp_path / "workspace", classes, videos, width, silent)

    return make


def _workspace_with_features(root: Path, classes: int, videos: int, width: int, silent: Sequence[str]) -> Workspace:
    colours, things = ("red", "green", "blue", "black"), ("ball", "dog", "drum", "car")
    names = [f"{colour}_{thing}" for colour in colours for thing in things][:classes]
    generator = np.random.default_rng(0)
    entries: list[tuple[StoredVideo, FeatureRows]] = []
    dataset: list[Video] = []
    for name in names:
        centres = generator.normal(size=(2, width))
        for number in range(videos):
            key, seconds = f"{name}/{number}.mp4", int(generator.integers(1, 5))
            rows = centres[:, None] + 0.3 * generator.normal(size=(2, seconds, width))
            has_audio = key not in silent
            stored = StoredVideo(
                video=key,
                source=SourceFile(f"hash of {key}", 1, 1),
                class_name=name,
                seconds=seconds,
                has_audio=has_audio,
                has_visual=True,
                duration_seconds=float(seconds),
            )
            entries.append(
                (stored, FeatureRows(rows[0].astype(np.float32), rows[1].astype(np.float32) if has_audio else None))
            )
            dataset.append(Video(key=key, location=str(root / "videos" / key), class_name=name))
    workspace = Workspace(root)
    folder = workspace.feature_folder("synthetic")
    attributes = {
        "extractor": "synthetic",
        "feature_width": width,
        "dtype": "float32",
        "decoder": "pyav",
        "weights": "untrained",
    }
    content = content_fingerprint([video for video, _ in entries], "synthetic")
    write_part(
        folder / "features.h5", entries, [], width=width, dtype="float32", attributes={**attributes, "content": content}
    )
    phrases = {name: name.replace("_", " ") for name in names}
    save_dataset(Dataset(source=root / "videos", videos=tuple(dataset), phrases=phrases), workspace.dataset_folder)
    workspace.record("features", StageRecord(fingerprint=content, output="features/synthetic/features.h5"))
    return workspace
