"""A workspace's features, splits and class vectors in a layout of public code, which trains on them unchanged."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.exporting.class_split import videos_of_stages, write_class_split
from pipeline.avgzsl_benchmark.exporting.names import class_names, class_words, video_names
from pipeline.avgzsl_benchmark.exporting.store import ExportedStore, notes_of
from pipeline.avgzsl_benchmark.exporting.vectors import vectors_of
from pipeline.avgzsl_benchmark.layouts import avca, tcaf
from pipeline.avgzsl_benchmark.layouts.notes import write_notes
from pipeline.avgzsl_benchmark.layouts.pickles import write_pickled_npy
from pipeline.base.errors import UsageError
from pipeline.base.files import make_folder, storage_errors
from pipeline.base.progress import Reporter
from pipeline.base.wording import counted, did_you_mean
from pipeline.base.workspace import Stage, Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.datasets.hold_out import hold_out
from pipeline.datasets.official.protocol import BENCHMARKS, FOLDER_OF_MODALITY, RETRAINING, SPLIT_OF_STAGE, STAGES
from pipeline.datasets.phrases import Phrases, phrases_text
from pipeline.datasets.splits import Splits, read_splits
from pipeline.features.feature_set import load_features
from pipeline.features.store import open_store

_VECTOR_WIDTH = 300  # what the networks of public code are built for
_LAYOUTS = {"avca": avca, "tcaf": tcaf}


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote."""

    layout: str
    folder: Path
    benchmark: str
    videos: int
    classes: int  # with videos
    listed_classes: int  # with and without
    files: int  # of features
    width: int
    stages: Mapping[str, int]  # stage -> videos
    renamed_videos: int
    renamed_classes: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The document of `export --json`."""
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
    """Write a dataset's folder for public code, whole or not at all.

    Args:
        workspace: holds dataset and features.
        layout: avca (a vector a video) or tcaf (one a second).
        target: the folder, which does not exist or is empty.
        reporter: sees the progress, and hears what public code could not live with.
        benchmark: as which public code shall take it; None: as it was imported, else ucf.
        text: the text encoder; None: the workspace's own.

    Raises:
        UsageError: the folder holds something, an unknown benchmark, a class without a vector.
        MissingStageError: there is no dataset, or there are no features.
        StorageError: the disk is full or the folder cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not empty: nothing is written over; give a new folder")
    with workspace.locked("export"):
        export = _gather(workspace, layout, benchmark, text, reporter)
        place = target.absolute()  # `.` has no name of its own
        beside = make_folder(place.parent)
        with (
            storage_errors(place),
            tempfile.TemporaryDirectory(prefix=f".{place.name}.", suffix=".partial", dir=beside) as around,
        ):
            partial = make_folder(Path(around) / "whole")
            files = _write(export, partial, reporter)
            _move(partial, place)
    return _report(export, target, files)


def _move(folder: Path, target: Path) -> None:
    """Give a folder its name; an empty one of that name stays what it is, for it may be where the user works."""
    if not target.exists():
        folder.rename(target)
        return
    for entry in sorted(folder.iterdir()):
        entry.rename(target / entry.name)


@dataclass(frozen=True)
class _Export:
    """Everything that is written. Names of videos and classes are those of the workspace."""

    layout: str
    benchmark: str
    store: ExportedStore
    stages: Mapping[str, Sequence[str]]
    videos: Mapping[str, str]  # -> exported name
    classes: Mapping[str, str]  # likewise
    words: Mapping[str, str]  # class -> exported words
    phrases: Mapping[str, Phrases]  # class -> its phrases here
    vectors: Mapping[str, NDArray[np.float32]]  # exported words -> (W,)
    phrase_vectors: Mapping[str, NDArray[np.float32]]  # phrase of a class with several -> (W,)


def _gather(workspace: Workspace, layout: str, benchmark: str | None, text: str | None, reporter: Reporter) -> _Export:
    dataset = load_dataset(workspace.dataset_folder)
    chosen = benchmark or _imported_benchmark(workspace) or "ucf"
    if chosen not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise UsageError(f"unknown benchmark {chosen!r}: choose one of {known}.{did_you_mean(chosen, BENCHMARKS)}")
    features = load_features(workspace.current_features(), dataset.classes)
    with open_store(workspace.current_features()) as opened:
        store = ExportedStore(features, opened.videos())
    given = workspace.dataset_folder / "splits.yaml"
    if given.is_file():
        splits = read_splits(given, dataset).restricted_to(features.keys)
    else:
        splits = hold_out(store.videos_of_classes())
        reporter.warn("the dataset has no splits: classes are held out at random, as a bare avzsl train does, seed 0")
    partless = len(features.keys) - sum(len(part) for part in splits.by_name.values())
    if partless:
        reporter.warn(f"{counted(partless, 'video')} in no part of the splits: not exported")
    phrases = dict(sorted({**dataset.without_videos, **dataset.phrases}.items()))
    exported = class_words(phrases.values())
    vectors = vectors_of(workspace, phrases.values(), text)
    single = [(phrase,) for given in phrases.values() if len(given) > 1 for phrase in given]
    of_phrases = vectors_of(workspace, single, text) if single else {}
    phrase_vectors = {phrase: vector for (phrase,), vector in of_phrases.items()}
    _warn_of_what_public_code_needs(splits, store, next(iter(vectors.values())), reporter)
    return _Export(
        layout=layout,
        benchmark=chosen,
        store=store,
        stages=videos_of_stages(splits),
        videos=video_names(features.keys),
        classes=class_names(phrases),
        words={name: exported[several] for name, several in phrases.items()},
        phrases=phrases,
        vectors={exported[several]: vector for several, vector in vectors.items()},
        phrase_vectors=phrase_vectors,
    )


def _imported_benchmark(workspace: Workspace) -> str | None:
    record = workspace.stages().get(Stage.FEATURES)
    found = record.summary.get("report", {}).get("benchmark") if record else None
    return str(found) if found else None


def _warn_of_what_public_code_needs(
    splits: Splits, store: ExportedStore, vector: NDArray[np.float32], reporter: Reporter
) -> None:
    if len(vector) != _VECTOR_WIDTH:
        reporter.warn(
            f"the class vectors are {len(vector)} wide, public code is built for {_VECTOR_WIDTH}: "
            "export others with --text FILE"
        )
    empty = [stage for stage, part in SPLIT_OF_STAGE.items() if not splits.by_name[part]]
    if empty:
        reporter.warn(f"public code needs videos in every stage, these have none: {', '.join(empty)}")
    alone = [name for name, count in Counter(map(store.class_of, splits.train)).items() if count == 1]
    if alone:
        reporter.warn(
            f"public code never ends where a class has a single video to train on: {', '.join(sorted(alone))}"
        )


def _write(export: _Export, folder: Path, reporter: Reporter) -> int:
    """Write everything; how many files of features there are."""
    method, benchmark = _LAYOUTS[export.layout].METHOD, BENCHMARKS[export.benchmark]
    named = {
        stage: [(export.videos[key], export.classes[export.store.class_of(key)]) for key in keys]
        for stage, keys in export.stages.items()
    }
    words = {export.classes[name]: text for name, text in export.words.items()}
    write_class_split(folder / "class-split", benchmark, words, named)
    write_pickled_npy(folder / "features" / method / "text" / benchmark.vectors, dict(export.vectors))
    files = _write_features(export, folder / "features" / method, reporter)
    notes = notes_of(
        export.store, export.layout, export.videos, export.classes, _renamed_words(export), export.phrase_vectors
    )
    write_notes(notes, folder)
    return files


def _write_features(export: _Export, folder: Path, reporter: Reporter) -> int:
    """A file a class, modality and stage; how many that makes."""
    # Public code reads the folders of both modalities side by side, unsorted, and expects the same order.
    files = 0
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
                    files += 1
            tracker.advance()
    return files


def _renamed_words(export: _Export) -> dict[str, str]:
    """Exported words -> the phrases here, where those are others."""
    texts = {name: phrases_text(phrases) for name, phrases in export.phrases.items()}
    return {words: texts[name] for name, words in export.words.items() if words != texts[name]}


def _report(export: _Export, target: Path, files: int) -> ExportReport:
    return ExportReport(
        layout=export.layout,
        folder=target,
        benchmark=export.benchmark,
        videos=sum(len(keys) for stage, keys in export.stages.items() if stage != RETRAINING),
        classes=len({export.store.class_of(key) for keys in export.stages.values() for key in keys}),
        listed_classes=len(export.classes),
        files=files,
        width=export.store.features.visual.shape[1],
        stages={stage: len(keys) for stage, keys in export.stages.items()},
        renamed_videos=sum(name != key for key, name in export.videos.items()),
        renamed_classes={name: changed for name, changed in export.classes.items() if name != changed},
    )
