"""Export a workspace's features, splits and class vectors in a layout on which the published code can train."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extractors.files.checksums import sha256_of_file
from pipeline.avgzsl_benchmark.exporting.class_split import videos_of_stages, write_class_split
from pipeline.avgzsl_benchmark.exporting.names import class_names, class_wording, video_names
from pipeline.avgzsl_benchmark.exporting.store import ExportedStore, notes_of
from pipeline.avgzsl_benchmark.exporting.target_folder import exported_from, move_into_place, writing_beside
from pipeline.avgzsl_benchmark.exporting.vectors import vectors_of
from pipeline.avgzsl_benchmark.layouts import avca, tcaf
from pipeline.avgzsl_benchmark.layouts.notes import write_notes
from pipeline.avgzsl_benchmark.layouts.pickles import write_pickled_npy
from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint, make_folder
from pipeline.base.progress import Reporter
from pipeline.base.wording import counted, not_a_file
from pipeline.base.workspace import Stage, Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.datasets.official.protocol import (
    BENCHMARKS,
    FOLDER_OF_MODALITY,
    RETRAINING,
    SPLIT_OF_STAGE,
    STAGES,
    benchmark_named,
)
from pipeline.datasets.phrases import Phrases, phrases_text
from pipeline.datasets.splits.hold_out import hold_out
from pipeline.datasets.splits.recordings import recordings_of
from pipeline.datasets.splits.splits import Splits, read_splits
from pipeline.features.feature_set import load_features
from pipeline.features.store import open_store

_VECTOR_WIDTH = 300  # the width that the networks of the published code expect
_LAYOUTS = {"avca": avca, "tcaf": tcaf}


@dataclass(frozen=True)
class ExportReport:
    """The result of an export."""

    layout: str
    folder: Path
    benchmark: str
    videos: int
    classes: int  # with videos
    listed_classes: int  # with or without videos
    files: int  # of features
    width: int
    stages: Mapping[str, int]  # protocol stage -> videos
    renamed_videos: int
    renamed_classes: Mapping[str, str]
    did_nothing: bool  # whether the folder was this export already

    def to_json(self) -> dict[str, Any]:
        """Return the document of `export --json`."""
        return asdict(self) | {"folder": str(self.folder)}


def export_features(
    workspace: Workspace,
    layout: str,
    target: Path,
    *,
    reporter: Reporter,
    benchmark: str | None = None,
    text: str | None = None,
) -> ExportReport:
    """Write a dataset's folder for the published code, completely or not at all.

    Args:
        workspace: the workspace with the dataset and the features.
        layout: avca (one vector per video) or tcaf (one vector per second).
        target: the folder to write, which does not exist, is empty, or is this export already.
        reporter: receives the progress, and warnings about data that the published code cannot use.
        benchmark: the benchmark that the published code will treat the folder as; None for the imported one, else ucf.
        text: the text encoder; None for the workspace's own.

    Raises:
        UsageError: a folder that is not empty, an unknown benchmark, or a class without a vector.
        MissingStageError: no dataset or no features.
        StorageError: a full disk, or a folder that cannot be written.
    """
    if target.is_symlink() and not target.exists():
        raise UsageError(f"{not_a_file(target)} Give a new folder")
    is_taken = target.exists() and (not target.is_dir() or any(target.iterdir()))
    before = exported_from(target) if is_taken else ""
    if is_taken and not before:
        raise UsageError(f"{target} is not empty and is not overwritten: give a new folder")
    path = target.absolute()  # the path `.` has no name
    with workspace.locked("export", reads_only=True), writing_beside(path) as partial:
        export = _gather(workspace, layout, benchmark, text, reporter)
        if before not in {"", export.made_from}:
            raise UsageError(f"{target} is an export of other data and is not overwritten: give a new folder")
        if not is_taken:
            _write(export, partial, reporter)
            move_into_place(partial, path)
    return _report(export, target, did_nothing=is_taken)


@dataclass(frozen=True)
class _Export:
    """The data to write. Names of videos and classes are those of the workspace."""

    layout: str
    benchmark: str
    store: ExportedStore
    stages: Mapping[str, Sequence[str]]
    videos: Mapping[str, str]  # video -> exported name
    classes: Mapping[str, str]  # class -> exported name
    wordings: Mapping[str, str]  # class -> exported wording
    phrases: Mapping[str, Phrases]  # class -> its phrases in the workspace
    vectors: Mapping[str, NDArray[np.float32]]  # exported wording -> (W,)
    phrase_vectors: Mapping[str, NDArray[np.float32]]  # phrase of a class with several phrases -> (W,)

    @cached_property
    def made_from(self) -> str:
        """The fingerprint of all that is exported."""
        vectors = {**self.vectors, **self.phrase_vectors}
        return fingerprint(
            {
                "layout": self.layout,
                "benchmark": self.benchmark,
                "features": {name: str(value) for name, value in self.store.features.attributes.items()},
                "stages": {stage: list(keys) for stage, keys in self.stages.items()},
                "names": [dict(self.videos), dict(self.classes), dict(self.wordings)],
                "phrases": {name: list(several) for name, several in self.phrases.items()},
                "vectors": {name: zlib.crc32(vector.tobytes()) for name, vector in vectors.items()},
            }
        )


def _gather(workspace: Workspace, layout: str, benchmark: str | None, text: str | None, reporter: Reporter) -> _Export:
    dataset = load_dataset(workspace.dataset_folder)
    chosen = benchmark_named(benchmark or _imported_benchmark(workspace) or "ucf")
    features = load_features(workspace.current_features(), dataset.classes)
    with open_store(workspace.current_features()) as opened:
        store = ExportedStore(features, opened.videos())
    splits_file = workspace.dataset_folder / "splits.yaml"
    if splits_file.is_file():
        splits = read_splits(splits_file, dataset).restricted_to(features.keys)
    else:
        splits = hold_out(store.videos_of_classes(), recording_of=recordings_of(dataset.videos))
        reporter.warn("the dataset has no splits: classes are held out at random, as avzsl train does with seed 0")
    without_split = len(features.keys) - sum(len(keys) for keys in splits.by_name.values())
    if without_split:
        reporter.warn(f"{counted(without_split, 'video')} not in any split: not exported")
    phrases = dict(sorted({**dataset.without_videos, **dataset.phrases}.items()))
    wording_of = class_wording(phrases.values())
    vectors = vectors_of(workspace, phrases.values(), text)
    single = [(phrase,) for given in phrases.values() if len(given) > 1 for phrase in given]
    of_phrases = vectors_of(workspace, single, text) if single else {}
    phrase_vectors = {phrase: vector for (phrase,), vector in of_phrases.items()}
    _warn_of_limits(splits, store, next(iter(vectors.values())), reporter)
    return _Export(
        layout=layout,
        benchmark=chosen,
        store=store,
        stages=videos_of_stages(splits),
        videos=video_names(features.keys),
        classes=class_names(phrases),
        wordings={name: wording_of[several] for name, several in phrases.items()},
        phrases=phrases,
        vectors={wording_of[several]: vector for several, vector in vectors.items()},
        phrase_vectors=phrase_vectors,
    )


def _imported_benchmark(workspace: Workspace) -> str | None:
    record = workspace.stages().get(Stage.FEATURES)
    found = record.summary.get("report", {}).get("benchmark") if record else None
    return str(found) if found else None


def _warn_of_limits(splits: Splits, store: ExportedStore, vector: NDArray[np.float32], reporter: Reporter) -> None:
    """Warn about data that the published code cannot use."""
    if len(vector) != _VECTOR_WIDTH:
        reporter.warn(
            f"the class vectors are {len(vector)} wide, but the published code expects {_VECTOR_WIDTH}: "
            "choose other vectors with --text FILE"
        )
    empty = [stage for stage, split in SPLIT_OF_STAGE.items() if not splits.by_name[split]]
    if empty:
        reporter.warn(
            f"the published code needs videos in every protocol stage, but these have none: {', '.join(empty)}"
        )
    alone = [name for name, count in Counter(map(store.class_of, splits.train)).items() if count == 1]
    if alone:
        reporter.warn(
            f"the published code runs forever if a class has only one training video: {', '.join(sorted(alone))}"
        )


def _write(export: _Export, folder: Path, reporter: Reporter) -> None:
    """Write all files."""
    method, benchmark = _LAYOUTS[export.layout].METHOD, BENCHMARKS[export.benchmark]
    named = {
        stage: [(export.videos[key], export.classes[export.store.class_of(key)]) for key in keys]
        for stage, keys in export.stages.items()
    }
    wordings = {export.classes[name]: wording for name, wording in export.wordings.items()}
    write_class_split(folder / "class-split", benchmark, wordings, named)
    write_pickled_npy(folder / "features" / method / "text" / benchmark.vectors, dict(export.vectors))
    _write_features(export, folder / "features" / method, reporter)
    notes = notes_of(
        export.store, export.layout, export.videos, export.classes, _renamed_wordings(export), export.phrase_vectors
    )
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in written}
    write_notes(replace(notes, made_from=export.made_from, files=files), folder)


def _write_features(export: _Export, folder: Path, reporter: Reporter) -> None:
    """Write one file per class, modality and protocol stage."""
    # The published code reads the folders of both modalities in parallel, unsorted, and expects the same order in both.
    layout = _LAYOUTS[export.layout]
    with reporter.track("writing stages", len(STAGES)) as tracker:
        for stage in STAGES:
            of_classes: dict[str, list[str]] = {}
            for key in export.stages[stage]:
                of_classes.setdefault(export.store.class_of(key), []).append(key)
            for modality, name in FOLDER_OF_MODALITY.items():
                make_folder(folder / name / stage)
                for class_name, keys in sorted(of_classes.items()):
                    path = folder / name / stage / f"{export.classes[class_name]}{layout.ENDING}"
                    rows = [export.store.rows(key, modality) for key in keys]
                    layout.write_class_file(path, [export.videos[key] for key in keys], rows)
            tracker.advance()


def _renamed_wordings(export: _Export) -> dict[str, Phrases]:
    """Map exported wordings to the phrases in the workspace, if they differ."""
    wordings = {wording: export.phrases[name] for name, wording in export.wordings.items()}
    return {wording: phrases for wording, phrases in wordings.items() if wording != phrases_text(phrases)}


def _report(export: _Export, target: Path, *, did_nothing: bool) -> ExportReport:
    classes_of = [{export.store.class_of(key) for key in keys} for keys in export.stages.values()]
    return ExportReport(
        layout=export.layout,
        folder=target,
        benchmark=export.benchmark,
        videos=sum(len(keys) for stage, keys in export.stages.items() if stage != RETRAINING),
        classes=len({export.store.class_of(key) for keys in export.stages.values() for key in keys}),
        listed_classes=len(export.classes),
        files=len(FOLDER_OF_MODALITY) * sum(map(len, classes_of)),
        width=export.store.features.visual.shape[1],
        stages={stage: len(keys) for stage, keys in export.stages.items()},
        renamed_videos=sum(name != key for key, name in export.videos.items()),
        renamed_classes={name: changed for name, changed in export.classes.items() if name != changed},
        did_nothing=did_nothing,
    )
