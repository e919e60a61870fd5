"""Fetch one large file; an interrupted download can be resumed."""

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from extractors.base import OnProgress
from extractors.errors import ExtractorError

_TIMEOUT_SECONDS = 10.0  # for connecting, and between two chunks
_CHUNK_BYTES = 1 << 20


class DownloadError(ExtractorError):
    """Raised if a file cannot be fetched; the message is the reason."""


def is_offline() -> bool:
    """Return whether the environment forbids downloads (AVZSL_OFFLINE)."""
    return os.environ.get("AVZSL_OFFLINE", "0") not in {"", "0"}


def download(url: str, partial: Path, *, on_progress: OnProgress | None = None, may_be_text: bool = False) -> None:
    """Fetch `url` into `partial`; resume an earlier download if the file has not changed on the server.

    If the connection is cut, it is opened again as long as each connection fetches more bytes.

    Args:
        url: address of the file, http or https.
        partial: file to write to; it is kept if the download fails. A file `<partial>.tag` next to it records which
            version of the file it is, and is deleted when the download is complete.
        on_progress: called after each chunk.
        may_be_text: whether the file itself may be text; otherwise a text is the page of a server with an error.

    Raises:
        DownloadError: with the reason.
    """
    try:
        while True:
            before = _size(partial)
            if _resume(url, partial, on_progress, may_be_text=may_be_text):
                break
            if _size(partial) <= before:
                raise DownloadError("the connection was cut")
        _tag_of(partial).unlink(missing_ok=True)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"the server answers {error.code} ({error.reason})") from error
    except urllib.error.URLError as error:
        raise DownloadError(_reason(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(_reason(error)) from error


def _resume(url: str, partial: Path, on_progress: OnProgress | None, *, may_be_text: bool) -> bool:
    """Open one connection and fetch what it delivers. Return whether the file is complete."""
    tag = _tag_of(partial).read_text() if _tag_of(partial).exists() else ""
    n_bytes = _size(partial) if tag else 0
    # Only the same version is resumed. If the file has changed, the server sends it from its beginning.
    headers = {"Range": f"bytes={n_bytes}-", "If-Range": tag} if n_bytes else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the address is a constant, not given by a user
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - as above
            if response.headers.get_content_type() == "text/html" or (
                response.headers.get_content_maintype() == "text" and not may_be_text
            ):
                raise DownloadError("the server sent a page of text instead of the file")
            return _receive(
                response, partial, n_bytes if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0, on_progress
            )
    except urllib.error.HTTPError as error:
        if n_bytes and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.unlink()
            return _resume(url, partial, on_progress, may_be_text=may_be_text)
        raise


def _receive(response: http.client.HTTPResponse, partial: Path, n_bytes: int, on_progress: OnProgress | None) -> bool:
    """Append the response to the first `n_bytes` bytes of the file. Return whether the file is complete."""
    length = response.headers["Content-Length"]
    total = n_bytes + int(length) if length else None
    _tag_of(partial).write_text(response.headers["ETag"] or response.headers["Last-Modified"] or "")
    with partial.open("ab" if n_bytes else "wb") as file:
        while chunk := _read(response):
            file.write(chunk)
            n_bytes += len(chunk)
            if on_progress:
                on_progress(n_bytes, total)
        file.flush()
        os.fsync(file.fileno())
    return total is None or n_bytes == total


def _read(response: http.client.HTTPResponse) -> bytes:
    """Read the next chunk; it is empty at the end and if the connection breaks (`_receive` compares the length)."""
    try:
        return response.read(_CHUNK_BYTES)
    except (ConnectionError, TimeoutError, http.client.IncompleteRead):
        return b""


def _tag_of(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: BaseException | str) -> str:
    """Return the message of an error without its number."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
