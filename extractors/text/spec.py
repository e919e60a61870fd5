"""Parse the name of a text encoder: `minilm`, `KIND:LOCATION` such as `glove:vectors.txt`, or a file of vectors.

The location of `clip-clap` is two models with a plus between them: `clip-clap:CLIP+CLAP`.
"""

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from extractors.errors import TextSpecError

MINILM, CLIP, CLAP, PE_AV, CLIP_CLAP, ANY_FILE = "minilm", "clip", "clap", "pe-av", "clip-clap", "file"
_MODEL_KINDS = (CLIP, CLAP, PE_AV, CLIP_CLAP)  # folders, or names of models on the hub
_FILE_KINDS = ("fasttext", "word2vec", "glove", ANY_FILE)
# What follows the colon after each kind, for messages and help.
LOCATIONS = {
    **dict.fromkeys(_FILE_KINDS, "FILE"),
    **dict.fromkeys(_MODEL_KINDS, "FOLDER, or the name of a model on the hub"),
    CLIP_CLAP: "CLIP+CLAP, each a FOLDER or the name of a model on the hub",
}
_HUB_NAMES = {
    CLIP: "openai/clip-vit-large-patch14",
    CLAP: "laion/clap-htsat-unfused",
    PE_AV: "facebook/pe-av-small-16-frame",
    CLIP_CLAP: "openai/clip-vit-base-patch32+laion/clap-htsat-unfused",
}


@dataclass(frozen=True)
class TextSpec:
    """The kind of a text encoder and the file, folder or model it is loaded from. Made by `parse_text_spec`.

    Attributes:
        kind: minilm or a key of LOCATIONS; `file` if the format is found out from the content.
        location: a file; for models, a folder or the name of a model on the hub; empty for minilm.
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
        if self.kind == CLIP_CLAP or (self.kind in _MODEL_KINDS and not is_folder_of_model(self.location)):
            return None
        return Path(self.location).expanduser() if self.location else None

    @property
    def locations(self) -> tuple[str, ...]:
        """The folders or names of the models: two for clip-clap, else one."""
        return _split_pair(self.location) if self.kind == CLIP_CLAP else (self.location,)

    def absolute(self, folder: Path) -> "TextSpec":
        """Make the path absolute; a relative path starts at `folder`."""
        if self.kind == CLIP_CLAP:
            parts = [TextSpec(CLIP, location).absolute(folder).location for location in self.locations]
            return replace(self, location="+".join(parts))
        is_model = self.kind in _MODEL_KINDS and (folder / self.location).is_dir()
        path = Path(self.location) if is_model else self.path
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


def _split_pair(location: str) -> tuple[str, ...]:
    """Split `CLIP+CLAP`; a plus in a folder's name does not count if both sides of another one make sense."""
    pairs: list[tuple[str, ...]] = [
        (location[:at], location[at + 1 :]) for at, letter in enumerate(location) if letter == "+"
    ]
    pairs = [pair for pair in pairs if all(pair)]
    sensible = [pair for pair in pairs if all(not is_folder_of_model(one) or Path(one).is_dir() for one in pair)]
    return (sensible or pairs or [(location,)])[0]


def is_folder_of_model(location: str) -> bool:
    """Return whether `location` is a folder of a model: it exists, or cannot be a model's name on the hub."""
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
        example = _HUB_NAMES.get(kind, "vectors.bin")
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
    if chosen.kind == CLIP_CLAP:
        _check_pair(chosen, spec)
        return
    path = chosen.path
    if path is None:
        return
    if chosen.kind in _MODEL_KINDS:
        if not path.is_dir():
            example = _HUB_NAMES[chosen.kind]
            raise TextSpecError(
                f"{spec!r}: there is no folder {path}: give {chosen.kind}:{LOCATIONS[chosen.kind]}, such as {example}"
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


def _check_pair(chosen: TextSpec, spec: str) -> None:
    if len(chosen.locations) != 2:
        raise TextSpecError(
            f"{spec!r} names one model: give {CLIP_CLAP}:{LOCATIONS[CLIP_CLAP]}, such as {_HUB_NAMES[CLIP_CLAP]}"
        )
    for kind, location in zip((CLIP, CLAP), chosen.locations, strict=True):
        _check_path(TextSpec(kind, location), spec)


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
