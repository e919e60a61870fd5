"""Write and read avzsl.json, which stores next to an export what the official layouts cannot.

The published code ignores this file; `avzsl import` reads it.
"""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from pipeline.base.errors import UsageError
from pipeline.base.files import checked_document, read_json, write_json
from pipeline.datasets.phrases import Phrases, parse_phrases, phrases_text
from pipeline.features.attributes import Attributes

NOTES_FILE = "avzsl.json"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ExportNotes:
    """The facts about an export that its layout cannot store. Names are the exported ones unless noted otherwise."""

    layout: str  # avca or tcaf
    dtype: str  # of the store
    attributes: Attributes  # of the store: they name the extractor
    videos: Mapping[str, str] = field(default_factory=dict)  # name -> its name in the store, if they differ
    classes: Mapping[str, str] = field(default_factory=dict)  # name -> its name in the store, if they differ
    phrases: Mapping[str, Phrases] = field(default_factory=dict)  # wording of a class -> its phrases, if they differ
    # Phrase -> (W,), for classes with several phrases: the layouts store only the mean of their vectors.
    phrase_vectors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    # Modality -> videos without it, whose exported features are zeros.
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    segments: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)  # start and end in seconds
    duration_seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)  # from decoding
    made_from: str = ""  # fingerprint of all that was exported; an export with it is whole
    files: Mapping[str, str] = field(default_factory=dict)  # file of the export -> its sha256

    @cached_property
    def _absent_names(self) -> dict[str, frozenset[str]]:
        return {modality: frozenset(names) for modality, names in self.absent.items()}

    def absent_names(self, modality: str) -> frozenset[str]:
        """Return the videos that lack a modality (visual or audio)."""
        return self._absent_names.get(modality, frozenset())


def _checked_vector(text: str) -> str:
    """Refuse text that is not the base64 of 4-byte finite numbers."""
    content = base64.b64decode(text, validate=True)
    if len(content) % 4 or not np.isfinite(np.frombuffer(content, "<f4")).all():
        raise ValueError("not a vector of finite 4-byte numbers")
    return text


def _checked_text(text: str) -> str:
    """Refuse what no file can store: half of a character, or a zero byte."""
    text.encode()  # raises a ValueError for half of a character
    if "\0" in text:
        raise ValueError("a text with a zero byte")
    return text


_Text = Annotated[str, pydantic.AfterValidator(_checked_text)]
_Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
_Seconds = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class _SavedNotes:
    """`ExportNotes` as they are written to JSON, with vectors in base64."""

    layout: Literal["avca", "tcaf"]
    dtype: Literal["float16", "float32"]
    attributes: dict[_Text, _Text | int | _Number | bool]
    videos: dict[_Text, _Text]
    classes: dict[_Text, _Text]
    phrases: dict[_Text, _Text]
    absent: dict[Literal["visual", "audio"], tuple[_Text, ...]]
    segments: dict[_Text, tuple[_Seconds | None, _Seconds | None]]
    duration_seconds: dict[_Text, _Seconds]
    warnings: dict[_Text, _Text]
    made_from: _Text = ""
    files: dict[_Text, _Text] = field(default_factory=dict)
    phrase_vectors: dict[_Text, Annotated[str, pydantic.AfterValidator(_checked_vector)]] = field(default_factory=dict)


def write_notes(notes: ExportNotes, folder: Path) -> None:
    """Write the notes into a dataset's folder."""
    vectors = {phrase: _packed(vector) for phrase, vector in notes.phrase_vectors.items()}
    phrases = {wording: phrases_text(of_class) for wording, of_class in notes.phrases.items()}
    document = {"format": _FORMAT, **asdict(notes), "phrases": phrases, "phrase_vectors": vectors}
    write_json(folder / NOTES_FILE, document)


def _packed(vector: NDArray[np.float32]) -> str:
    """Encode a vector's little-endian bytes as base64: exact, and short enough for one line."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _unpacked(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)


def read_notes(folder: Path) -> ExportNotes | None:
    """Read the notes in a dataset's folder; None if the folder is not an export of avzsl.

    Raises:
        UsageError: notes that are damaged or were written by another version of avzsl.
        StorageError: a file that cannot be read.
    """
    path = folder / NOTES_FILE
    if not path.is_file():
        return None

    def damage(fault: str) -> UsageError:
        return UsageError(f"{path} is damaged ({fault}): export the features again")

    document = read_json(path, damage)
    if not isinstance(document, dict) or document.pop("format", None) != _FORMAT:
        raise UsageError(f"{path} is damaged or was written by another version of avzsl: export the features again")
    saved = checked_document(document, _SavedNotes, damage)
    vectors = {phrase: _unpacked(text) for phrase, text in saved.phrase_vectors.items()}
    phrases = {wording: parse_phrases(text) for wording, text in saved.phrases.items()}
    return ExportNotes(**{**vars(saved), "phrases": phrases, "phrase_vectors": vectors})
