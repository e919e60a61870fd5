"""What the official layouts cannot carry, in a file beside an export: public code overlooks it, our import reads it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.feature_store import Attributes
from pipeline.files import read_json, write_json

NOTES_FILE = "avzsl.json"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ExportNotes:
    """Names are those in the exported files, wherever nothing else is said."""

    layout: str  # avca or tcaf
    dtype: str  # of the store
    attributes: Attributes  # of the store: which extractor made it
    videos: Mapping[str, str] = field(default_factory=dict)  # name -> the store's, where that is another
    classes: Mapping[str, str] = field(default_factory=dict)  # likewise
    phrases: Mapping[str, str] = field(default_factory=dict)  # likewise
    absent: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # modality -> videos that are zeros for want of it
    segments: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)  # start, end in seconds
    duration_seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)  # of decoding

    @cached_property
    def _absent_names(self) -> dict[str, frozenset[str]]:
        return {modality: frozenset(names) for modality, names in self.absent.items()}

    def absent_names(self, modality: str) -> frozenset[str]:
        """The videos without visual or audio."""
        return self._absent_names.get(modality, frozenset())


def write_notes(notes: ExportNotes, folder: Path) -> None:
    """Write the notes into a dataset's folder."""
    write_json(folder / NOTES_FILE, {"format": _FORMAT, **asdict(notes)})


def read_notes(folder: Path) -> ExportNotes | None:
    """The notes in a dataset's folder; None: it is no export of avzsl.

    Raises:
        StorageError: damaged, or written by a newer avzsl.
    """
    path = folder / NOTES_FILE
    if not path.is_file():
        return None
    document = read_json(path)
    if not isinstance(document, dict) or document.pop("format", None) != _FORMAT:
        raise StorageError(f"{path} is damaged or of another version of avzsl: export the features again")
    try:
        absent = {modality: tuple(names) for modality, names in document.pop("absent").items()}
        segments = {name: (start, end) for name, (start, end) in document.pop("segments").items()}
        return ExportNotes(absent=absent, segments=segments, **document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} is damaged: export the features again") from error
