"""Fetching one large file: resumable, and complete or not there."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from extractors.errors import ExtractorError

OnProgress = Callable[[int, int | None], None]  # bytes here so far, bytes in all where the server says so

_TIMEOUT_SECONDS = 10.0  # to connect, and between two pieces
_PIECE_BYTES = 1 << 20


class DownloadError(ExtractorError):
    """A file cannot be fetched; the message is the reason."""


def is_offline() -> bool:
    """Whether the environment says that nothing may be fetched."""
    return os.environ.get("AVZSL_OFFLINE", "0") not in {"", "0"}


def download(url: str, partial: Path, *, on_progress: OnProgress | None = None) -> None:
    """Fetch `url` into `partial`, from where an earlier attempt stopped if the file has not changed on the server.

    A cut connection is taken up again as long as that brings the download further.

    Args:
        url: http or https.
        partial: grows while the file arrives; stays when the download fails. A file `<partial>.tag` beside it says
            which version of the file it is, and is gone when the download is complete.
        on_progress: called after each piece.

    Raises:
        DownloadError: with the reason.
    """
    try:
        while True:
            before = _size(partial)
            if _continue(url, partial, on_progress):
                break
            if _size(partial) <= before:
                raise DownloadError("the connection was cut")
        _tag_of(partial).unlink(missing_ok=True)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"the server answers {error.code} ({error.reason})") from error
    except urllib.error.URLError as error:
        raise DownloadError(_words(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(_words(error)) from error


def _continue(url: str, partial: Path, on_progress: OnProgress | None) -> bool:
    """One connection. Returns whether the file is complete."""
    tag = _tag_of(partial).read_text() if _tag_of(partial).exists() else ""
    have = _size(partial) if tag else 0
    # Only the version that the first part came from is continued; else the server sends the file from its beginning.
    headers = {"Range": f"bytes={have}-", "If-Range": tag} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - a constant address, not a user's
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - as above
            if response.headers.get_content_maintype() == "text":
                raise DownloadError("the server sent a page of text instead of the file")
            return _receive(
                response, partial, have if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0, on_progress
            )
    except urllib.error.HTTPError as error:
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.unlink()
            return _continue(url, partial, on_progress)
        raise


def _receive(response: http.client.HTTPResponse, partial: Path, have: int, on_progress: OnProgress | None) -> bool:
    """Append what arrives to the `have` bytes that are here. Returns whether that is all of it."""
    length = response.headers["Content-Length"]
    total = have + int(length) if length else None
    _tag_of(partial).write_text(response.headers["ETag"] or response.headers["Last-Modified"] or "")
    with partial.open("ab" if have else "wb") as file:
        while piece := _read(response):
            file.write(piece)
            have += len(piece)
            if on_progress:
                on_progress(have, total)
        file.flush()
        os.fsync(file.fileno())
    return total is None or have == total


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next piece; none at the end, and none when the connection breaks, which the length tells from the end."""
    try:
        return response.read(_PIECE_BYTES)
    except (ConnectionError, TimeoutError, http.client.IncompleteRead):
        return b""


def _tag_of(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _words(error: BaseException | str) -> str:
    """A reason without the number of the error."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
