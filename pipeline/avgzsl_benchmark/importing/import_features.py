"""Make a workspace from an official feature folder: features, a dataset with splits, and class vectors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from extractors.files.safe_pickle import PickleRefusedError, load_npy
from extractors.text.spec import TextSpec
from pipeline.avgzsl_benchmark.importing.official_folder import OfficialFolder, find_official, find_vectors
from pipeline.avgzsl_benchmark.importing.paired_vectors import find_paired_vectors, joined_vectors
from pipeline.avgzsl_benchmark.importing.store import ImportedStore, import_store
from pipeline.avgzsl_benchmark.layouts.pickles import write_pickled_npy
from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint, replacing, storage_errors
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.class_embeddings.embed import encode_phrases, read_spec, record_spec
from pipeline.datasets.dataset import Dataset, Video, dataset_of, dataset_record
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.phrases import Phrases, phrases_of_name, phrases_text
from pipeline.datasets.splits.recordings import shared_recordings
from pipeline.datasets.splits.splits import Splits, check_splits

_STAGE_VERSION = 1


@dataclass(frozen=True)
class ImportReport:
    """The result of an import."""

    layout: str
    benchmark: str | None  # ucf, activitynet or vggsound; None for another dataset
    features: Path
    videos: int
    seconds: int  # of all features; an averaged vector counts as one
    classes: int  # with videos
    listed_classes: int  # with or without videos
    visual_width: int
    audio_width: int
    without_visual: int  # videos
    without_audio: int
    split_counts: Mapping[str, int]  # split -> videos
    did_nothing: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the document of `import --json`."""
        document = asdict(self) | {"features": str(self.features)}
        return {"parts" if name == "split_counts" else name: value for name, value in document.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any], features: Path) -> "ImportReport":
        """Read the document of an earlier import that need not be repeated."""
        values = {"split_counts" if name == "parts" else name: value for name, value in document.items()}
        return cls(**{**values, "features": features, "did_nothing": True})


def import_official(
    source: Path,
    layout: str,
    workspace: Workspace,
    *,
    reporter: Reporter,
    method: str | None = None,
    splits: Path | None = None,
    text: str | None = None,
) -> ImportReport:
    """Make a workspace of an official feature folder.

    Args:
        source: a dataset's folder, its `features/`, or the folder of a method.
        layout: avca or tcaf.
        workspace: the workspace to write; features that it has of the same files already are kept.
        reporter: receives the progress, and warnings about features that do not quite fit.
        method: the name of a folder below `features/`; None for the usual one.
        splits: the folder class-split; None to look next to the features.
        text: a file of class vectors, or the name of a text encoder; None for the folder's own vectors.

    Raises:
        UsageError: a missing piece, widths or features that disagree, contradictory splits, a class without a vector,
            or a pickle that loads more than plain data.
        StorageError: a full disk, or a file that cannot be read.
    """
    folder = find_official(source, layout, method=method, splits=splits)
    folder.check_exported_files(features=False)
    phrases = _phrases(folder)
    given = folder.classes.phrases or {name: phrases_of_name(name) for name in folder.features.files}
    pair = None if text else find_paired_vectors(folder.features.folder)
    joined = joined_vectors(*pair, list(given.values())) if pair else {}
    spec = None if joined else _spec_of(folder, text)
    if spec is not None:
        encode_phrases(spec, list(given.values()))  # a class without a vector is found before the features are read
    with workspace.locked("import"):
        made_from = fingerprint({"stage": _STAGE_VERSION, "folder": folder.fingerprint()})
        report = _imported_before(workspace, made_from, folder)
        if report is None:
            folder.check_exported_files(features=True)
            path = workspace.feature_folder(made_from) / "features.h5"
            imported = import_store(folder, path, reporter)
            imported.warn(reporter)
            dataset = _keep(folder, imported, phrases, workspace, reporter)
            report = _report(folder, imported, dataset, path)
            _record(workspace, report, imported.content, made_from, dataset)
        _back_up_extractor(workspace)
        if spec is None:
            target = workspace.text_folder / "clip_and_clap.npy"
            write_pickled_npy(target, joined)
            record_spec(workspace, read_spec(str(target)))
        else:
            _import_vectors(spec, folder, workspace, own=text is None)
    return report


def _spec_of(folder: OfficialFolder, text: str | None) -> TextSpec:
    """Parse the text encoder that the user named, or find the folder's own vectors."""
    found = text or find_vectors(folder.source, folder.features.folder, folder.class_split, folder.classes.benchmark)
    return read_spec(str(found))


def _phrases(folder: OfficialFolder) -> dict[str, Phrases]:
    """Return the phrases of all classes; for an export of avzsl, the phrases before the export."""
    if folder.notes is None:
        return dict(folder.classes.phrases)
    classes, phrases_of = folder.notes.classes, folder.notes.phrases
    return {
        classes.get(name, name): phrases_of.get(phrases_text(phrases), phrases)
        for name, phrases in folder.classes.phrases.items()
    }


def _keep(
    folder: OfficialFolder,
    imported: ImportedStore,
    phrases: Mapping[str, Phrases],
    workspace: Workspace,
    reporter: Reporter,
) -> Dataset:
    """Write manifest.csv (its video files do not exist), classes.csv and splits.yaml."""
    videos = tuple(
        Video(
            key=one.video,
            location=str(workspace.root.absolute() / "videos" / one.video),
            class_name=one.class_name,
            start_seconds=one.start_seconds,
            end_seconds=one.end_seconds,
        )
        for one in imported.videos
    )
    dataset = dataset_of(folder.source.resolve(), videos, phrases)
    splits = Splits(
        **{split: tuple(keys) for split, keys in imported.videos_by_split.items()}, origin={"imported": folder.layout}
    )
    check_splits(splits, dataset, str(folder.features.folder))
    shared = shared_recordings(splits, dataset.videos)
    if shared:
        reporter.warn(f"{folder.features.folder}: {shared}")
    target = DatasetFolder(workspace.dataset_folder, origin=str(dataset.source))
    target.make_room(reporter)
    target.write(dataset, splits, reporter, record={"splits": True})
    return dataset


def _report(folder: OfficialFolder, imported: ImportedStore, dataset: Dataset, path: Path) -> ImportReport:
    return ImportReport(
        layout=folder.layout,
        benchmark=folder.classes.benchmark,
        features=path,
        videos=len(imported.videos),
        seconds=sum(video.seconds for video in imported.videos),
        classes=len(dataset.classes),
        listed_classes=len(dataset.classes) + len(dataset.without_videos),
        visual_width=imported.widths["visual"],
        audio_width=imported.widths["audio"],
        without_visual=sum(not video.has_visual for video in imported.videos),
        without_audio=sum(not video.has_audio for video in imported.videos),
        split_counts={split: len(keys) for split, keys in imported.videos_by_split.items()},
    )


def _record(workspace: Workspace, report: ImportReport, content: str, made_from: str, dataset: Dataset) -> None:
    summary = {
        "videos": report.videos,
        "extracted": report.videos,
        "failed": 0,
        "extractor": f"imported from the {report.layout} layout",
        "imported": made_from,
        "dataset": str(dataset.source),
        "report": report.to_json(),
    }
    output = str(report.features.relative_to(workspace.root))
    workspace.record(Stage.FEATURES, StageRecord(fingerprint=content, output=output, summary=summary))


def _imported_before(workspace: Workspace, made_from: str, folder: OfficialFolder) -> ImportReport | None:
    """Return the report of an earlier import of the same files; None if there is none or the dataset changed since."""
    record = workspace.stages().get(Stage.FEATURES)
    if record is None or record.summary.get("imported") != made_from or not (workspace.root / record.output).exists():
        return None
    kept = workspace.dataset_folder
    if not (kept / "manifest.csv").is_file() or dataset_record(kept).get("source") != str(folder.source.resolve()):
        return None
    return ImportReport.from_json(record.summary["report"], workspace.root / record.output)


def _back_up_extractor(workspace: Workspace) -> None:
    """Rename the record of an extractor that was used here, because it did not make the imported features.

    Its own features stay, so the extraction can continue later.
    """
    file = workspace.extractor_file
    if file.exists():
        with storage_errors(file):
            file.replace(file.with_name("extractor-before-import.json"))


def _import_vectors(spec: TextSpec, folder: OfficialFolder, workspace: Workspace, *, own: bool) -> None:
    """Copy a file of class vectors into the workspace and record it as the text encoder for training.

    Args:
        spec: the file, or the name of a text encoder.
        folder: the official folder; its notes may contain the phrases for a name in the file.
        workspace: the workspace that receives the file.
        own: whether the file belongs to the folder.
    """
    path = spec.path
    if path is None or path.suffix != ".npy" or not path.is_file():
        record_spec(workspace, spec)
        return
    target = workspace.text_folder / path.name
    renamed = folder.notes.phrases if folder.notes else {}
    if renamed:
        vectors_of_phrases = folder.notes.phrase_vectors if own and folder.notes else {}
        write_pickled_npy(target, _by_phrase(_named(path), renamed, vectors_of_phrases))
    elif path.resolve() != target.resolve():
        with replacing(target) as temporary, storage_errors(path):
            temporary.write_bytes(path.read_bytes())
    record_spec(workspace, read_spec(str(target)))


def _by_phrase(
    named: Mapping[str, Any], renamed: Mapping[str, Phrases], of_phrases: Mapping[str, Any]
) -> dict[str, Any]:
    """Map phrases to vectors (W,): a phrase has its own vector if the notes contain it, else that of its class."""
    vectors = {name: vector for name, vector in named.items() if name not in renamed}
    for name in named.keys() & renamed.keys():
        for phrase in renamed[name]:
            vectors[phrase] = of_phrases.get(phrase, named[name])
    return vectors


def _named(path: Path) -> dict[str, Any]:
    """Read names and vectors of a .npy file."""
    try:
        stored = load_npy(path)
    except PickleRefusedError as error:
        raise UsageError(f"{path} is refused: {error}") from error
    if not isinstance(stored, dict):
        raise UsageError(f"{path} does not contain a dict of class names and vectors")
    return stored
