"""Find the weights of an extractor: a published checkpoint, the user's own file, or random weights."""

import difflib
from pathlib import Path

from filelock import FileLock

from extractors.base import OnProgress, ResolvedWeights
from extractors.errors import WeightsError
from extractors.files.checksums import sha256_of_file
from extractors.files.download import DownloadError, download, is_offline

BASE_URL = "https://dl.fbaipublicfiles.com/selavi"
PUBLISHED = ("vgg_sound", "kinetics", "kinetics_sound", "ave")  # named after the dataset they were trained on
LICENCE = "CC-BY-NC 4.0, not for commercial use"  # of the published checkpoints
UNTRAINED_NOTE = "the extractor's weights are untrained: good for trying things out, not for results"
CHOICES = ("auto", "untrained", *PUBLISHED)
PREFERRED = "vgg_sound"  # the benchmark's features were made with it


def weights_named(spec: str) -> str:
    """Return the known name that a text is: `VGG_Sound` is vgg_sound. A file, or another text, stays as it is."""
    known = spec.strip().lower()
    return known if known in CHOICES and not Path(spec).is_file() else spec


def resolve_weights(spec: str, *, cache_dir: Path, on_progress: OnProgress | None = None) -> ResolvedWeights:
    """Find the weights that `spec` names, and fetch them if they are not in the cache.

    `auto` means vgg_sound if it is cached or can be fetched, and otherwise untrained. With AVZSL_OFFLINE=1 in the
    environment, nothing is fetched.

    Args:
        spec: auto, untrained, the name of a published checkpoint, or the path of a file.
        cache_dir: folder for downloads; created if it does not exist.
        on_progress: receives the progress of a download: bytes fetched so far and bytes in total (None if unknown).

    Raises:
        WeightsError: weights that do not exist or cannot be fetched, or a cached file that is damaged.
    """
    spec = weights_named(spec)
    if spec == "untrained":
        return _untrained()
    if spec in PUBLISHED:
        return _cached(spec, cache_dir) or _fetch(spec, cache_dir, on_progress)
    if spec == "auto":
        cached = _cached(PREFERRED, cache_dir)
        try:
            return cached or _fetch(PREFERRED, cache_dir, on_progress)
        except WeightsError as error:
            return _untrained(reason=str(error))
    path = Path(spec)
    if path.is_file():
        return ResolvedWeights(name=path.name, path=path, sha256=_sha256(path), note="")
    close = difflib.get_close_matches(spec, CHOICES, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise WeightsError(f"weights {spec!r} are neither a file nor one of {', '.join(CHOICES)}.{hint}")


def _untrained(reason: str = "") -> ResolvedWeights:
    return ResolvedWeights(
        name="untrained", path=None, sha256="", note=f"{UNTRAINED_NOTE}; {reason}" if reason else UNTRAINED_NOTE
    )


def cached_path(name: str, cache_dir: Path) -> Path:
    """Return the path of a published checkpoint in the cache; the file need not exist."""
    return cache_dir / f"selavi_{name}.pth"


def cached_weights(name: str, cache_dir: Path) -> ResolvedWeights | None:
    """Read a published checkpoint's sha256 from the cache; None if it is not there. Nothing is written.

    Raises:
        WeightsError: the file cannot be read, or has changed since it was fetched.
    """
    path = cached_path(name, cache_dir)
    if not path.is_file():
        return None
    sha256, record = _sha256(path), _record_of(path)
    if record.exists() and record.read_text().split()[:1] != [sha256]:
        raise WeightsError(
            f"{path} has changed since it was fetched (sha256 {sha256}). Delete it, so that it is fetched again."
        )
    return ResolvedWeights(name=name, path=path, sha256=sha256, note="")


def _cached(name: str, cache_dir: Path) -> ResolvedWeights | None:
    """Return a checkpoint from the cache, or None. Record the sha256 of a file that a person put there."""
    found, record = cached_weights(name, cache_dir), _record_of(cached_path(name, cache_dir))
    if found is not None and not record.exists():
        _write_record(record, found.sha256)
    return found


def _fetch(name: str, cache_dir: Path, on_progress: OnProgress | None) -> ResolvedWeights:
    path = cached_path(name, cache_dir)
    file_name, url = path.name, f"{BASE_URL}/{path.name}"
    partial = path.with_name(f"{file_name}.partial")
    try:
        _check_online()
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{file_name}.lock")):
            if (fetched_meanwhile := _cached(name, cache_dir)) is not None:
                return fetched_meanwhile
            download(url, partial, on_progress=on_progress)
            sha256 = _sha256(partial)
            # Recorded before the file gets its name: a file without a record was put there by a person.
            _write_record(_record_of(path), sha256)
            partial.replace(path)
    except (DownloadError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(
            f"cannot fetch the {name} weights: {reason}. Download {file_name} elsewhere and pass --weights FILE. "
            f"It is at {url} (licence {LICENCE})"
        ) from error
    return ResolvedWeights(name=name, path=path, sha256=sha256, note=f"fetched {url} to {path}, sha256 {sha256}")


def _check_online() -> None:
    if is_offline():
        raise DownloadError("AVZSL_OFFLINE is set")


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _write_record(record: Path, sha256: str) -> None:
    """Write a checksum in the format that `sha256sum --check` reads."""
    record.write_text(f"{sha256}  {record.stem}\n")


def _sha256(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
