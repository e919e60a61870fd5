"""What the official layouts cannot carry, in a file beside an export: public code overlooks it, our import reads it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic
from numpy.typing import NDArray

from pipeline.base.errors import UsageError
from pipeline.base.files import checked_document, read_text, write_json
from pipeline.features.store import Attributes

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
    phrases: Mapping[str, str] = field(default_factory=dict)  # words of a class -> its phrases, where those are others
    # Phrase -> (W,), of classes with several: the layouts hold the mean.
    phrase_vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
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


def _checked_vector(text: str) -> str:
    """Refuse text that is not the base64 of 4-byte numbers."""
    if len(base64.b64decode(text, validate=True)) % 4:
        raise ValueError("not a vector of 4-byte numbers")
    return text


@dataclass(frozen=True, kw_only=True)
class _SavedNotes:
    """`ExportNotes` as JSON holds them: vectors are base64."""

    layout: str
    dtype: str
    attributes: dict[str, str | int | float | bool]
    videos: dict[str, str]
    classes: dict[str, str]
    phrases: dict[str, str]
    absent: dict[str, tuple[str, ...]]
    segments: dict[str, tuple[float | None, float | None]]
    duration_seconds: dict[str, float]
    warnings: dict[str, str]
    phrase_vectors: dict[str, Annotated[str, pydantic.AfterValidator(_checked_vector)]] = field(default_factory=dict)


def write_notes(notes: ExportNotes, folder: Path) -> None:
    """Write the notes into a dataset's folder."""
    vectors = {phrase: _packed(vector) for phrase, vector in notes.phrase_vectors.items()}
    write_json(folder / NOTES_FILE, {"format": _FORMAT, **asdict(notes), "phrase_vectors": vectors})


def _packed(vector: NDArray[np.float32]) -> str:
    """Base64 of a vector's bytes, little-endian: no bit is lost, and a line is enough."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _unpacked(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)


def read_notes(folder: Path) -> ExportNotes | None:
    """The notes in a dataset's folder; None: it is no export of avzsl.

    Raises:
        UsageError: damaged, or written by a newer avzsl.
        StorageError: it cannot be read.
    """
    path = folder / NOTES_FILE
    if not path.is_file():
        return None
    document = _document(path)
    if not isinstance(document, dict) or document.pop("format", None) != _FORMAT:
        raise UsageError(f"{path} is damaged or of another version of avzsl: export the features again")

    def damage(fault: str) -> UsageError:
        return UsageError(f"{path} is damaged ({fault}): export the features again")

    saved = checked_document(document, _SavedNotes, damage)
    vectors = {phrase: _unpacked(text) for phrase, text in saved.phrase_vectors.items()}
    return ExportNotes(**{**vars(saved), "phrase_vectors": vectors})


def _document(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    text = read_text(path, errors="surrogateescape")  # names of files need not be UTF-8
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged (not JSON): export the features again") from error
