"""Parse the name of a text encoder: `minilm`, `KIND:LOCATION` such as `glove:vectors.txt`, or a file of vectors."""

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from extractors.errors import TextSpecError

MINILM, CLIP, ANY_FILE = "minilm", "clip", "file"
_FILE_KINDS = ("fasttext", "word2vec", "glove", ANY_FILE)
# What follows the colon after each kind, for messages and help.
LOCATIONS = {**dict.fromkeys(_FILE_KINDS, "FILE"), CLIP: "FOLDER, or the name of a model on the hub"}
_HUB_NAME = "openai/clip-vit-large-patch14"


@dataclass(frozen=True)
class TextSpec:
    """The kind of a text encoder and the file, folder or model it is loaded from. Made by `parse_text_spec`.

    Attributes:
        kind: minilm or a key of LOCATIONS; `file` if the format is found out from the content.
        location: a file; for clip, a folder or the name of a model on the hub; empty for minilm.
    """

    kind: str
    location: str = ""

    def __str__(self) -> str:
        if not self.location or (self.kind == ANY_FILE and ":" not in self.location):
            return self.location or self.kind
        return f"{self.kind}:{self.location}"

    @property
    def path(self) -> Path | None:
        """The path of the file or folder; None if the encoder is not loaded from one."""
        if self.kind == CLIP and not is_folder_of_clip(self.location):
            return None
        return Path(self.location).expanduser() if self.location else None

    def absolute(self, folder: Path) -> "TextSpec":
        """Make the path absolute; a relative path starts at `folder`."""
        path = Path(self.location) if self.kind == CLIP and (folder / self.location).is_dir() else self.path
        return self if path is None else replace(self, location=str(_absolute(folder / path)))

    def relative_to(self, folder: Path) -> "TextSpec":
        """Make the path relative to `folder` if it is inside it, and otherwise absolute."""
        spec, root = self.absolute(Path()), _absolute(folder)
        inside = spec.path is not None and spec.path.is_relative_to(root)
        return replace(spec, location=str(Path(spec.location).relative_to(root))) if inside else spec

    def to_text(self, folder: Path) -> str:
        """Write the spec for a file in `folder`: a path inside it is relative, so that the folder may be moved."""
        stored = self.relative_to(folder)
        return f"{stored.kind}:{stored.location}" if stored.location else stored.kind

    @classmethod
    def from_text(cls, text: str, folder: Path) -> "TextSpec":
        """Read a spec that `to_text` wrote, and make its path absolute. The path need not exist any more."""
        return _split(text).absolute(folder)

    def check(self) -> None:
        """Refuse a file or folder that does not exist.

        Raises:
            TextSpecError: a spec that is neither the name of a text encoder nor a path that exists.
        """
        _check_path(self, str(self))


def _absolute(path: Path) -> Path:
    """Make a path absolute and remove `..`, without resolving links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps `..`


def is_folder_of_clip(location: str) -> bool:
    """Return whether `location` is a folder of a CLIP model: it exists, or cannot be a model's name on the hub."""
    path = Path(location).expanduser()
    return path.is_dir() or path.is_absolute() or location.startswith(("./", "../")) or location.count("/") > 1


def parse_text_spec(spec: str) -> TextSpec:
    """Parse a user's text; the name of an encoder takes precedence over a file of the same name.

    Raises:
        TextSpecError: a text that is neither a name nor a path that exists.
    """
    chosen = _split(spec)
    kind, _, location = spec.partition(":")
    if kind in LOCATIONS and not location.strip() and not Path(spec).exists():
        example = _HUB_NAME if kind == CLIP else "vectors.bin"
        raise TextSpecError(
            f"{spec!r} does not say what to read: give {kind}:{LOCATIONS[kind]}, such as {kind}:{example}"
        )
    _check_path(chosen, spec)
    return chosen


def _split(spec: str) -> TextSpec:
    kind, _, location = spec.partition(":")
    kind = kind.lower() if kind.lower() in LOCATIONS else kind
    if spec == MINILM or (spec.lower() == MINILM and not Path(spec).exists()):
        return TextSpec(MINILM)
    return TextSpec(kind, location) if kind in LOCATIONS and location.strip() else TextSpec(ANY_FILE, spec)


def _check_path(chosen: TextSpec, spec: str) -> None:
    path = chosen.path
    if path is None:
        return
    if chosen.kind == CLIP:
        if not path.is_dir():
            raise TextSpecError(
                f"{spec!r}: there is no folder {path}: give {CLIP}:{LOCATIONS[CLIP]}, such as {_HUB_NAME}"
            )
        return
    if path.is_dir():
        raise TextSpecError(
            f"{spec} is a folder: give the file of vectors in it, or {CLIP}:{path} if it holds a CLIP model"
        )
    if path.exists() and not path.is_file():
        raise TextSpecError(f"{path} is not a regular file, but a pipe or a device: save its content as a file first")
    if path.is_symlink() and not path.exists():
        raise TextSpecError(f"{path} is a link to {path.readlink()}, which does not exist: give a file of vectors")
    if not path.is_file() and chosen.location != spec:
        raise TextSpecError(f"{spec!r}: there is no file {path}: give the path of the file of vectors")
    if not path.is_file():
        raise TextSpecError(_no_encoder(spec, path))


def _no_encoder(spec: str, path: Path) -> str:
    """Say that a text is neither a text encoder nor a file, and what to do."""
    if "://" in spec:
        return f"{spec} is an address, not a file: save what it leads to as a file first"
    if set("*?[") & set(str(path)):
        return f"{spec!r} does not exist: wildcards work without quotes, and only if a file matches them"
    close = difflib.get_close_matches(spec, (MINILM, *LOCATIONS), n=1)
    remedy = f"did you mean {close[0]}?" if close else f"give the path of a file of vectors, or {CLIP}:MODEL"
    return f"{spec!r} is neither a text encoder ({', '.join(names())}) nor a file that exists: {remedy}"


def names() -> list[str]:
    """Return the kinds of text encoders."""
    return sorted((MINILM, *LOCATIONS))
