"""Fetch models from the Hugging Face hub once, at a fixed revision; every checksum is recorded and checked."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from extractors.base import OnProgress
from extractors.errors import WeightsError
from extractors.files.checksums import cached_sha256, sha256_of_file
from extractors.files.download import DownloadError, download, is_offline
from extractors.files.model_folder import CONFIG, PICKLE, TOKENIZER, WEIGHTS

_RECORD = "files.json"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# What is fetched besides the weights, if the model has it.
_SMALL_FILES = (
    CONFIG,
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)


@dataclass(frozen=True)
class Pin:
    """A model whose revision is fixed.

    Attributes:
        revision: commit on the hub.
        licence: licence of the weights.
        sha256: file -> its checksum, as far as it is known here. The hub's own checksums are compared in any case.
    """

    revision: str
    licence: str
    sha256: Mapping[str, str]


PINS: Mapping[str, Pin] = {
    "openai/clip-vit-base-patch32": Pin(
        "b33cedfd0df4e43b8238760678fcc89e1a0d38b3",
        "MIT",
        {WEIGHTS: "99d28a652e6ec46629ab7047a0ac82c69b1fe11e0ce672c43af65d3a9a3fc05d"},
    ),
    "laion/clap-htsat-unfused": Pin(
        "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
        "Apache-2.0",
        {PICKLE: "1cd3c601bc4afe0fa87be3de4c13dd2cfadd249fac1e29acf74a9b296c3219bb"},
    ),
    "facebook/pe-av-small-16-frame": Pin("9f888eea95c83622212bb742e91bf01d3b46fe96", "Apache-2.0", {}),
}


@dataclass(frozen=True)
class _File:
    """A file of a model. `sha256` is empty for small files, of which the hub only gives the hash of git."""

    name: str
    size_bytes: int
    sha256: str
    git_hash: str


@dataclass(frozen=True)
class HubModel:
    """A model in the cache.

    Attributes:
        folder: the folder of its files.
        note: one line if it was fetched just now; empty otherwise.
    """

    folder: Path
    note: str


def is_hub_name(text: str) -> bool:
    """Return whether a text can be the name of a model on the hub, such as openai/clip-vit-base-patch32."""
    return _NAME.fullmatch(text) is not None and not Path(text).expanduser().is_dir()


def cached_model(name: str, cache_dir: Path) -> Path | None:
    """Return the folder of a model that was fetched before; None if it was not. Nothing is written.

    Raises:
        WeightsError: a file has changed since then, or is gone.
    """
    folder = _folder_of(name, cache_dir)
    if not (folder / _RECORD).is_file():
        return None
    try:
        recorded: dict[str, str] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["sha256"]
        for file, sha256 in recorded.items():
            if cached_sha256(folder / file, cache_dir) != sha256:
                raise WeightsError(
                    f"{folder / file} has changed since it was fetched: delete {folder}, so that it is fetched again"
                )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"{folder} is damaged ({error}): delete it, so that {name} is fetched again") from error
    return folder


def fetch_model(name: str, cache_dir: Path, *, remedy: str, on_progress: OnProgress | None = None) -> HubModel:
    """Return the folder of a model on the hub; fetch it if it is not in the cache.

    With AVZSL_OFFLINE=1 in the environment, nothing is fetched. A download that was cut off goes on.

    Args:
        name: name of the model, such as openai/clip-vit-base-patch32.
        cache_dir: folder for models; created if it does not exist.
        remedy: what to do without the hub, for messages.
        on_progress: receives bytes fetched so far and bytes in total.

    Raises:
        WeightsError: a model that does not exist, has other formats, cannot be fetched, or whose checksum differs.
    """
    found = cached_model(name, cache_dir) or _in_cache_of_hub_library(name, cache_dir)
    if found is not None:
        return HubModel(found, "")
    if is_offline():
        raise WeightsError(f"{name} is not in the cache, and AVZSL_OFFLINE is set: {remedy}")
    folder = _folder_of(name, cache_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            found = cached_model(name, cache_dir)  # another process may have fetched it meanwhile
            if found is not None:
                return HubModel(found, "")
            revision, files = _files_of(name, remedy)
            checksums = _fetch_files(name, revision, files, folder, on_progress)
            record = {
                "name": name,
                "revision": revision,
                "sha256": checksums,
            }
            (folder / f"{_RECORD}.partial").write_text(json.dumps(record, indent=1), encoding="utf-8")
            (folder / f"{_RECORD}.partial").replace(folder / _RECORD)
    except DownloadError as error:
        raise WeightsError(f"cannot fetch {name} from the hub: {error}. Run the command again, or {remedy}") from error
    except OSError as error:
        raise WeightsError(f"cannot write {folder}: {error.strerror or error}") from error
    return HubModel(folder, f"fetched {name}, revision {revision[:12]}, to {folder}")


def _in_cache_of_hub_library(name: str, cache_dir: Path) -> Path | None:
    """Return the folder of a model that the hub's own library has fetched, here or for another program."""
    from huggingface_hub import errors, try_to_load_from_cache  # noqa: PLC0415 - takes half a second

    pin = PINS.get(name)
    for folder in (cache_dir, None):
        for weights in (WEIGHTS, *(pin.sha256 if pin else ())):
            try:
                paths = [
                    try_to_load_from_cache(name, file, cache_dir=folder, revision=pin.revision if pin else "main")
                    for file in (CONFIG, TOKENIZER, weights)
                ]
            except errors.HFValidationError:
                return None
            if all(isinstance(path, str) for path in paths) and _is_pinned(Path(str(paths[-1])), pin, cache_dir):
                return Path(str(paths[-1])).parent
    return None


def _is_pinned(weights: Path, pin: Pin | None, cache_dir: Path) -> bool:
    expected = pin.sha256.get(weights.name) if pin else None
    return expected is None or cached_sha256(weights, cache_dir) == expected


def _folder_of(name: str, cache_dir: Path) -> Path:
    return cache_dir / "hub" / name.replace("/", "--")


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _files_of(name: str, remedy: str) -> tuple[str, Sequence[_File]]:
    """Ask the hub for the revision and the files of a model: the small ones first, then the weights.

    Raises:
        WeightsError: a model that does not exist, or that has no weights in a format that is read.
        DownloadError: the hub cannot be reached.
    """
    from huggingface_hub import HfApi, errors  # noqa: PLC0415 - takes half a second

    pin = PINS.get(name)
    try:
        found = HfApi(endpoint=_endpoint()).model_info(
            name, revision=pin.revision if pin else None, files_metadata=True, timeout=10, token=False
        )
    except (errors.RepositoryNotFoundError, errors.HFValidationError, errors.RevisionNotFoundError) as error:
        raise WeightsError(f"{name!r} is not a model on the hub (or not a public one): {remedy}") from error
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        raise DownloadError(" ".join(str(error).split())[:120] or type(error).__name__) from error
    except Exception as error:  # the hub's library raises the errors of the library that it uses for the connection
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3")):
            raise
        raise DownloadError(f"the hub cannot be reached ({type(error).__name__})") from error
    files = {
        entry.rfilename: _File(
            entry.rfilename, entry.size or 0, entry.lfs.sha256 if entry.lfs else "", entry.blob_id or ""
        )
        for entry in found.siblings or ()
    }
    allowed = (WEIGHTS, PICKLE) if pin and PICKLE in pin.sha256 else (WEIGHTS,)
    weights = next((file for file in allowed if file in files), None)
    if weights is None or CONFIG not in files:
        raise WeightsError(
            f"{name} does not hold {CONFIG} and {WEIGHTS}; no other weights are read (a pickle can run code): {remedy}"
        )
    return str(found.sha), [files[file] for file in (*_SMALL_FILES, weights) if file in files]


def _fetch_files(
    name: str, revision: str, files: Sequence[_File], folder: Path, on_progress: OnProgress | None
) -> dict[str, str]:
    """Fetch the files that are not there yet, and return the sha256 of each."""
    pinned = PINS[name].sha256 if name in PINS else {}
    total, done, checksums = sum(file.size_bytes for file in files), 0, {}
    for file in files:
        target, partial = folder / file.name, folder / f"{file.name}.partial"
        if not target.is_file():

            def advance(received: int, _: int | None, before: int = done) -> None:
                if on_progress:
                    on_progress(before + received, total)

            url = f"{_endpoint()}/{name}/resolve/{revision}/{file.name}"
            download(url, partial, on_progress=advance, may_be_text=not file.sha256)
            _check(partial, name, file, pinned.get(file.name, ""))
            partial.replace(target)
        checksums[file.name] = sha256_of_file(target)
        done += file.size_bytes
    return checksums


def _check(partial: Path, name: str, file: _File, pinned: str) -> None:
    """Compare a fetched file with the checksums that are known of it; a wrong one is deleted.

    Raises:
        WeightsError: a checksum differs.
    """
    sha256 = sha256_of_file(partial)
    expected = pinned or file.sha256
    if expected:
        is_right = sha256 == expected and file.sha256 in {"", expected}
    else:
        content = partial.read_bytes()
        is_right = not file.git_hash or _git_hash(content) == file.git_hash
    if not is_right:
        partial.unlink()
        raise WeightsError(
            f"{file.name} of {name} has another checksum than it should have (sha256 {sha256[:12]}... instead of "
            f"{expected[:12] or 'that of the hub'}...): it was damaged on the way, or changed; it is deleted, try again"
        )


def _git_hash(content: bytes) -> str:
    """Return the name that git gives to a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
