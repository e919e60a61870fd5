"""Find the pieces of an official feature folder: features, classes, splits and class vectors."""

from dataclasses import dataclass
from pathlib import Path

from extractors.files.checksums import sha256_of_file
from pipeline.avgzsl_benchmark.importing.feature_files import FeatureFiles, find_features
from pipeline.avgzsl_benchmark.importing.paired_vectors import find_paired_vectors
from pipeline.avgzsl_benchmark.layouts.notes import NOTES_FILE, ExportNotes, read_notes
from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint, storage_errors
from pipeline.datasets.official.class_lists import OfficialClasses, find_class_split, read_classes
from pipeline.datasets.official.protocol import BENCHMARKS

MAIN_SPLIT, CLS_SPLIT = "main_split", "cls_split"


@dataclass(frozen=True)
class OfficialFolder:
    """The pieces of an official folder that were found.

    Attributes:
        source: the folder that the user gave.
        layout: avca or tcaf.
        features: the feature files.
        classes: the classes that class-split lists.
        class_split: the folder class-split; None if it does not exist.
        split: main_split or cls_split.
        notes: the notes that avzsl wrote next to its own export; None for a folder of other origin.
    """

    source: Path
    layout: str
    features: FeatureFiles
    classes: OfficialClasses
    class_split: Path | None
    split: str
    notes: ExportNotes | None

    def check_exported_files(self, *, features: bool) -> None:
        """Refuse files of an export of avzsl that are not as they were written.

        Args:
            features: whether to check the feature files, which takes long, or else the lists and the class vectors.

        Raises:
            UsageError: such a file; the message names the first.
            StorageError: a file that cannot be read.
        """
        root, of_features = _root_of(self.features.folder), set(self.features.paths)
        for name, wanted in ({} if self.notes is None else self.notes.files).items():
            path = root / name
            if (path in of_features) != features:
                continue
            with storage_errors(path):
                is_as_written = not path.is_file() or sha256_of_file(path) == wanted
            if not is_as_written:
                raise UsageError(
                    f"{path} is not as avzsl exported it (its checksum differs): export the features again, or delete "
                    f"{NOTES_FILE} of the export to import its files as they are"
                )

    def fingerprint(self) -> str:
        """Hash the features, the lists of classes and the notes of avzsl."""
        lists = sorted(self.class_split.glob("*.*")) if self.class_split else []
        lists += sorted(self.class_split.glob(f"{self.split}/*.txt")) if self.class_split else []
        with storage_errors(self.source):
            hashes = [[path.name, sha256_of_file(path)] for path in lists if path.is_file()]
        return fingerprint(
            {
                "layout": self.layout,
                "features": self.features.fingerprint(),
                "split": self.split,
                "lists": hashes,
                "notes": str(self.notes),
            }
        )


def find_official(
    source: Path, layout: str, *, method: str | None = None, splits: Path | None = None
) -> OfficialFolder:
    """Find the pieces of an official folder.

    Args:
        source: a dataset's folder, its `features/`, or the folder of a method.
        layout: avca or tcaf.
        method: the name of a folder below `features/`; None for the usual one.
        splits: the folder class-split, or a split in it; None to look next to the features.

    Raises:
        UsageError: a piece that is missing or contradicts itself.
    """
    features = find_features(source, layout, method)
    class_split = find_class_split(source, features.folder, splits)
    # Features of classification networks have their own split, without the classes that these were trained on.
    split = CLS_SPLIT if features.folder.name.startswith(("cls", "clip")) else MAIN_SPLIT
    if splits is not None and class_split is not None and splits.resolve().parent == class_split.resolve():
        split = splits.name
    notes = read_notes(_root_of(features.folder))
    return OfficialFolder(
        source=source,
        layout=layout,
        features=features,
        classes=read_classes(class_split, split, of_clip=find_paired_vectors(features.folder) is not None),
        class_split=class_split,
        split=split,
        notes=notes if notes and notes.layout == layout else None,
    )


def _root_of(feature_folder: Path) -> Path:
    """Return the folder of an export, in which features/<method> is."""
    return feature_folder.parent.parent


def find_vectors(source: Path, feature_folder: Path, class_split: Path | None, benchmark: str | None) -> Path:
    """Find the file of class vectors in the usual folders.

    Raises:
        UsageError: no file of class vectors, or several in one folder.
    """
    folders = [feature_folder / "text"]
    roots = [source, *feature_folder.parents[:3], *(class_split.parents[:2] if class_split else ())]
    folders += [root / name for root in roots for name in ("text", "w2v_features")]
    pattern = BENCHMARKS[benchmark].vectors if benchmark else "word_embeddings_*.npy"
    for folder in folders:
        found = sorted(folder.glob(pattern)) if folder.is_dir() else []
        if len(found) > 1:
            raise UsageError(f"{folder} has several files of class vectors: choose with --text FILE")
        if found:
            return found[0]
    raise UsageError(
        f"{source} has no class vectors (features/<method>/text/{pattern}): "
        "give their file with --text FILE, or embed the class names with --text minilm"
    )
