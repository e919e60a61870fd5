"""What names a text encoder: `minilm`, `KIND:PLACE` such as `glove:vectors.txt`, or the path of a file of vectors."""

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from extractors.errors import TextSpecError

MINILM, CLIP, ANY_FILE = "minilm", "clip", "file"
_OF_FILES = ("fasttext", "word2vec", "glove", ANY_FILE)
# What each kind wants behind its colon, for messages and help.
PLACES = {**dict.fromkeys(_OF_FILES, "FILE"), CLIP: "FOLDER, or the name of a model on the hub"}
_HUB_NAME = "openai/clip-vit-large-patch14"


@dataclass(frozen=True)
class TextSpec:
    """A text encoder by its kind, and the place of what it is made of. `parse_text_spec` makes it of a user's text."""

    kind: str  # minilm, a key of PLACES; `file`: the format is told by the content
    place: str = ""  # a file; of clip: a folder, or the name of a model on the hub

    def __str__(self) -> str:
        if not self.place or (self.kind == ANY_FILE and ":" not in self.place):
            return self.place or self.kind
        return f"{self.kind}:{self.place}"

    @property
    def path(self) -> Path | None:
        """Of the file or folder; None: it is not made of one."""
        if self.kind == CLIP and not is_folder_of_clip(self.place):
            return None
        return Path(self.place).expanduser() if self.place else None

    def anchored(self, folder: Path) -> "TextSpec":
        """The same with an absolute path; a relative one counts from `folder`."""
        path = Path(self.place) if self.kind == CLIP and (folder / self.place).is_dir() else self.path
        return self if path is None else replace(self, place=str(_absolute(folder / path)))

    def relative_to(self, folder: Path) -> "TextSpec":
        """The spec with a path relative to `folder` if it is inside it, else with an absolute path."""
        anchored, root = self.anchored(Path()), _absolute(folder)
        inside = anchored.path is not None and anchored.path.is_relative_to(root)
        return replace(anchored, place=str(Path(anchored.place).relative_to(root))) if inside else anchored

    def to_text(self, folder: Path) -> str:
        """Write the spec as a file in `folder` keeps it: with a relative path inside it, so that it may be moved."""
        kept = self.relative_to(folder)
        return f"{kept.kind}:{kept.place}" if kept.place else kept.kind

    @classmethod
    def from_text(cls, text: str, folder: Path) -> "TextSpec":
        """Read what `to_text` wrote, with an absolute path. What it names need not exist any more."""
        return _split(text).anchored(folder)

    def check(self) -> None:
        """Refuse a file or folder that does not exist.

        Raises:
            TextSpecError: it is neither the name of a text encoder nor a path that exists.
        """
        _check_place(self, str(self))


def _absolute(path: Path) -> Path:
    """Without `..`, but with the links that lead there."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps `..`


def is_folder_of_clip(place: str) -> bool:
    """Whether a CLIP model is meant by its folder: one that exists, or what cannot be a name on the hub."""
    path = Path(place).expanduser()
    return path.is_dir() or path.is_absolute() or place.startswith(("./", "../")) or place.count("/") > 1


def parse_text_spec(spec: str) -> TextSpec:
    """The encoder that a user means; a name goes before a file of that name.

    Raises:
        TextSpecError: neither a name nor a path that exists.
    """
    chosen = _split(spec)
    kind, _, place = spec.partition(":")
    if kind in PLACES and not place.strip() and not Path(spec).exists():
        example = _HUB_NAME if kind == CLIP else "vectors.bin"
        raise TextSpecError(f"{spec!r} does not say what to read: give {kind}:{PLACES[kind]}, such as {kind}:{example}")
    _check_place(chosen, spec)
    return chosen


def _split(spec: str) -> TextSpec:
    kind, _, place = spec.partition(":")
    if spec == MINILM:
        return TextSpec(MINILM)
    return TextSpec(kind, place) if kind in PLACES and place.strip() else TextSpec(ANY_FILE, spec)


def _check_place(chosen: TextSpec, spec: str) -> None:
    path = chosen.path
    if path is None:
        return
    if chosen.kind == CLIP:
        if not path.is_dir():
            raise TextSpecError(f"{spec!r}: there is no folder {path}: give {CLIP}:{PLACES[CLIP]}, such as {_HUB_NAME}")
        return
    if path.is_dir():
        raise TextSpecError(f"{spec} is a folder: give the file of vectors in it, or {CLIP}:{path} where it holds CLIP")
    if not path.is_file() and chosen.place != spec:
        raise TextSpecError(f"{spec!r}: there is no file {path}: give the path of the file of vectors")
    if not path.is_file():
        close = difflib.get_close_matches(spec, (MINILM, *PLACES), n=1)
        remedy = f"did you mean {close[0]}?" if close else f"give the path of a file of vectors, or {CLIP}:MODEL"
        raise TextSpecError(
            f"{spec!r} is neither a text encoder ({', '.join(names())}) nor a file that exists: {remedy}"
        )


def names() -> list[str]:
    """The kinds of text encoders."""
    return sorted((MINILM, *PLACES))
