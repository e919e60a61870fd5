"""Fetch one published file of weights into the cache, once; its sha256 is recorded and compared whenever it is used."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from extractors.base import OnProgress
from extractors.errors import WeightsError
from extractors.files.checksums import cached_sha256, sha256_of_file
from extractors.files.download import DownloadError, download, is_offline


@dataclass(frozen=True)
class PublishedFile:
    """A file at a fixed address.

    Attributes:
        name: name in the cache.
        url: address.
        sha256_begins: how its sha256 begins, as its authors published it; empty if they did not.
    """

    name: str
    url: str
    sha256_begins: str = ""


def cached_file(published: PublishedFile, cache_dir: Path) -> str | None:
    """Return the sha256 of a file in the cache; None if it is not there. Nothing is written.

    Raises:
        WeightsError: the file cannot be read, or has changed since it was fetched.
    """
    path = cache_dir / published.name
    if not path.is_file():
        return None
    try:
        sha256 = cached_sha256(path, cache_dir)
        record = _record_of(path)
        recorded = record.read_text().split()[:1] if record.exists() else []
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.") from error
    if not sha256.startswith(published.sha256_begins) or recorded not in ([], [sha256]):
        raise WeightsError(
            f"{path} has changed since it was fetched, or is another file (sha256 {sha256}). Delete it, so that it is "
            "fetched again."
        )
    return sha256


def fetch_file(
    published: PublishedFile, cache_dir: Path, *, remedy: str, on_progress: OnProgress | None = None
) -> tuple[Path, str, str]:
    """Return a file in the cache, its sha256, and a note if it was fetched just now; fetch it if it is not there.

    With AVZSL_OFFLINE=1 in the environment, nothing is fetched.

    Args:
        published: the file.
        cache_dir: folder for downloads; created if it does not exist.
        remedy: what to do without a connection, for messages.
        on_progress: receives the progress of a download.

    Raises:
        WeightsError: a file that cannot be fetched, or whose checksum differs.
    """
    path = cache_dir / published.name
    found = cached_file(published, cache_dir)
    if found is not None:
        return path, found, ""
    try:
        _check_online()
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):
            found = cached_file(published, cache_dir)  # another process may have fetched it meanwhile
            if found is None:
                found = _fetch(published, path, on_progress)
    except (DownloadError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(f"cannot fetch {published.url}: {reason}. {remedy}") from error
    return path, found, f"fetched {published.url} to {path}, sha256 {found}"


def _check_online() -> None:
    if is_offline():
        raise DownloadError("AVZSL_OFFLINE is set")


def _fetch(published: PublishedFile, path: Path, on_progress: Callable[[int, int | None], None] | None) -> str:
    partial = path.with_name(f"{path.name}.partial")
    download(published.url, partial, on_progress=on_progress)
    sha256 = sha256_of_file(partial)
    if not sha256.startswith(published.sha256_begins):
        partial.unlink()
        raise DownloadError(
            f"its sha256 is {sha256[:16]}... and should begin with {published.sha256_begins}; the file is deleted"
        )
    # Recorded before the file gets its name: a file without a record was put there by a person.
    _record_of(path).write_text(f"{sha256}  {path.name}\n")
    partial.replace(path)
    return sha256


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
