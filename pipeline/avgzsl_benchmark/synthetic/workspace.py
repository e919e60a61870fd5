"""Write generated data as a workspace that looks like one after an extraction, for `avzsl train` and `evaluate`."""

from pathlib import Path

import numpy as np

from pipeline.avgzsl_benchmark.synthetic.generate import SyntheticBenchmark
from pipeline.base.files import replacing
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.datasets.dataset import Dataset, Video, save_dataset
from pipeline.datasets.phrases import phrases_text
from pipeline.datasets.splits.splits import write_splits
from pipeline.features.index import SourceFile, StoredVideo
from pipeline.features.store import FeatureRows, write_part


def write_benchmark(benchmark: SyntheticBenchmark, workspace: Workspace) -> Path:
    """Write dataset, splits, features and class vectors into a workspace.

    Args:
        benchmark: generated data with audio and visual features of the same width.
        workspace: an empty workspace; the caller must hold its lock if other processes may write there.

    Returns:
        The file of class vectors, which training needs as `text.encoder`.

    Raises:
        ValueError: audio and visual features of different widths.
        StorageError: a full disk, or a folder that cannot be written.
    """
    features = benchmark.features
    content, width = str(features.attributes["content"]), features.visual.shape[1]
    if features.audio.shape[1] != width:
        raise ValueError(f"audio is {features.audio.shape[1]} wide and visual {width}: a features.h5 has one width")
    videos = tuple(
        Video(key=key, location=str(workspace.root.absolute() / "videos" / key), class_name=features.classes[label])
        for key, label in zip(features.keys, features.labels.tolist(), strict=True)
    )
    listed = {name: phrases for name, (phrases, _) in benchmark.others.items()}
    dataset = Dataset(workspace.root / "videos", videos, benchmark.phrases, without_videos=listed)
    save_dataset(dataset, workspace.dataset_folder)
    write_splits(benchmark.splits, workspace.dataset_folder / "splits.yaml")
    path = workspace.feature_folder(content) / "features.h5"
    write_part(
        path,
        _stored(benchmark),
        [],
        widths=(width, width),
        dtype=features.attributes["dtype"],
        attributes=features.attributes,
    )
    summary = {"extractor": features.attributes["extractor"], "videos": len(features.keys)}
    record = StageRecord(fingerprint=content, output=str(path.relative_to(workspace.root)), summary=summary)
    workspace.record(Stage.FEATURES, record)
    return _write_class_vectors(benchmark, workspace.text_folder / "generated_vectors.npy")


def _stored(benchmark: SyntheticBenchmark) -> list[tuple[StoredVideo, FeatureRows]]:
    """Return the index rows with views of the features."""
    features = benchmark.features
    visual, audio, content = features.visual.numpy(), features.audio.numpy(), features.attributes["content"]
    stored = []
    for index, key in enumerate(features.keys):
        start, seconds = int(features.offsets[index]), int(features.seconds[index])
        has_audio, has_visual = bool(features.has_audio[index]), bool(features.has_visual[index])
        video = StoredVideo(
            video=key,
            source=SourceFile(content_hash=f"{content}/{key}", size_bytes=0, modified_ns=0),
            seconds=seconds,
            has_audio=has_audio,
            has_visual=has_visual,
            duration_seconds=float(seconds),
            class_name=features.classes[int(features.labels[index])],
        )
        rows = slice(start, start + seconds)
        stored.append((video, FeatureRows(visual[rows] if has_visual else None, audio[rows] if has_audio else None)))
    return stored


def _write_class_vectors(benchmark: SyntheticBenchmark, path: Path) -> Path:
    """Write a dict phrase -> (W,) as .npy, the form of the benchmark's vectors."""
    own = zip(map(phrases_text, benchmark.phrases.values()), benchmark.class_vectors, strict=True)
    others = ((phrases_text(phrases), vector) for phrases, vector in benchmark.others.values())
    vectors = {**dict(others), **dict(own)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.array(vectors, dtype=object), allow_pickle=True)
    return path
