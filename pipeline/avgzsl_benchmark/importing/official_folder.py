"""An official feature folder as a whole: features, classes, splits and class vectors, wherever each of them lies."""

from dataclasses import dataclass
from pathlib import Path

from extractors.files.checksums import sha256_of_file
from pipeline.avgzsl_benchmark.importing.feature_files import FeatureFiles, find_features
from pipeline.avgzsl_benchmark.layouts.notes import ExportNotes, read_notes
from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint, storage_errors
from pipeline.datasets.official.class_lists import OfficialClasses, find_class_split, read_classes
from pipeline.datasets.official.protocol import BENCHMARKS

MAIN_SPLIT, CLS_SPLIT = "main_split", "cls_split"


@dataclass(frozen=True)
class OfficialFolder:
    """What was found.

    Attributes:
        source: the folder that the user gave.
        layout: avca or tcaf.
        features: the files.
        classes: as class-split lists them.
        class_split: that folder; None: there is none.
        split: main_split or cls_split.
        notes: what avzsl wrote beside its own export; None: the folder is another's.
    """

    source: Path
    layout: str
    features: FeatureFiles
    classes: OfficialClasses
    class_split: Path | None
    split: str
    notes: ExportNotes | None

    def fingerprint(self) -> str:
        """A hash that changes with the features, the lists of classes, and avzsl's notes."""
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
        method: which of several folders below `features/`; None: the usual one.
        splits: class-split, or a split in it, where that lies elsewhere; None: it is beside the features.

    Raises:
        UsageError: a piece is not there, or contradicts itself.
    """
    features = find_features(source, layout, method)
    class_split = find_class_split(source, features.folder, splits)
    # Features of classification networks have splits of their own, without classes that those were trained on.
    split = CLS_SPLIT if features.folder.name.startswith("cls") else MAIN_SPLIT
    if splits is not None and class_split is not None and splits.resolve().parent == class_split.resolve():
        split = splits.name
    notes = read_notes(features.folder.parent.parent)
    return OfficialFolder(
        source=source,
        layout=layout,
        features=features,
        classes=read_classes(class_split, split),
        class_split=class_split,
        split=split,
        notes=notes if notes and notes.layout == layout else None,
    )


def find_vectors(source: Path, feature_folder: Path, class_split: Path | None, benchmark: str | None) -> Path:
    """The file of class vectors, where it is usual.

    Raises:
        UsageError: none, or several and nothing says whose they are.
    """
    places = [feature_folder / "text"]
    roots = [source, *feature_folder.parents[:3], *(class_split.parents[:2] if class_split else ())]
    places += [root / name for root in roots for name in ("text", "w2v_features")]
    pattern = BENCHMARKS[benchmark].vectors if benchmark else "word_embeddings_*.npy"
    for place in places:
        found = sorted(place.glob(pattern)) if place.is_dir() else []
        if len(found) > 1:
            raise UsageError(f"{place} holds several files of class vectors: choose with --text FILE")
        if found:
            return found[0]
    raise UsageError(
        f"{source} holds no class vectors (features/<method>/text/{pattern}): "
        "say where they are with --text FILE, or embed the names anew with --text minilm"
    )
