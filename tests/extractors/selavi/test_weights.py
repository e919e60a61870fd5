"""extractors/selavi/weights.py: finding and fetching weights, from a real server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from extractors.errors import WeightsError
from extractors.selavi import weights
from extractors.selavi.weights import UNTRAINED_NOTE, resolve_weights

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """The behaviour of the server, and the requests it received."""

    url: str = ""
    content: bytes = CONTENT
    supports_ranges: bool = True
    cuts_after: list[int] = field(default_factory=list)  # bytes of the next responses; then the connection is cut
    status: int = 200
    content_type: str = "application/octet-stream"
    requested_ranges: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Serves one file under any name, with a version tag made from its content."""

    behaviour: ClassVar[Server]

    def do_GET(self) -> None:
        """Send the file, or the rest of it if the client has the beginning of the same version."""
        server = self.behaviour
        requested = self.headers["Range"]
        server.requested_ranges.append(requested)
        if server.status != 200:
            self.send_error(server.status)
            return
        tag = f'"{hashlib.sha256(server.content).hexdigest()}"'
        start = 0
        if requested and server.supports_ranges and self.headers["If-Range"] == tag:
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", server.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body[: server.cuts_after.pop(0)] if server.cuts_after else body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A running server that replaces the authors'."""
    monkeypatch.delenv("AVZSL_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    behaviour = Server()
    handler = type("BoundHandler", (Handler,), {"behaviour": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        behaviour.url = f"http://127.0.0.1:{running.server_port}/selavi"
        monkeypatch.setattr(weights, "BASE_URL", behaviour.url)
        yield behaviour
        running.shutdown()
        thread.join()


def test_a_published_checkpoint_is_fetched_once(server: Server, tmp_path: Path) -> None:
    """It is stored in the cache with its hash, progress is reported, and the second time nothing is requested."""
    reported: list[tuple[int, int | None]] = []
    cache = tmp_path / "new" / "folder"
    found = resolve_weights("vgg_sound", cache_dir=cache, on_progress=lambda *progress: reported.append(progress))
    assert found.path == cache / "selavi_vgg_sound.pth"
    assert found.path.read_bytes() == CONTENT
    assert (found.name, found.sha256) == ("vgg_sound", SHA256)
    assert SHA256 in found.note
    assert (cache / "selavi_vgg_sound.pth.sha256").read_text() == f"{SHA256}  selavi_vgg_sound.pth\n"
    assert reported[-1] == (len(CONTENT), len(CONTENT))
    assert [received for received, _ in reported] == sorted(received for received, _ in reported)
    assert not list(cache.glob("*.partial*"))
    again = resolve_weights("vgg_sound", cache_dir=cache)
    assert (again.path, again.sha256, again.note) == (found.path, SHA256, "")
    assert len(server.requested_ranges) == 1


@pytest.mark.parametrize("supports_ranges", [True, False])
def test_a_cut_download_is_resumed(server: Server, tmp_path: Path, *, supports_ranges: bool) -> None:
    """It is resumed where it was cut, or starts again if the server supports no ranges; the file is complete."""
    server.supports_ranges = supports_ranges
    server.cuts_after = [1_000_000]
    found = resolve_weights("ave", cache_dir=tmp_path)
    assert found.sha256 == SHA256
    assert server.requested_ranges == [None, "bytes=1000000-"]


def test_a_download_without_progress_fails_and_is_resumed_later(server: Server, tmp_path: Path) -> None:
    """The fetched bytes are kept, and the next attempt requests only the rest."""
    server.cuts_after = [1_000_000, 0]
    with pytest.raises(
        WeightsError, match=r"cannot fetch the ave weights: the connection was cut\. Download selavi_ave"
    ):
        resolve_weights("ave", cache_dir=tmp_path)
    assert not (tmp_path / "selavi_ave.pth").exists()
    assert resolve_weights("ave", cache_dir=tmp_path).sha256 == SHA256
    assert server.requested_ranges == [None, "bytes=1000000-", "bytes=1000000-"]


def test_two_versions_of_a_file_are_never_mixed(server: Server, tmp_path: Path) -> None:
    """A file that changed on the server is fetched from its beginning."""
    server.cuts_after = [1_000_000, 0]
    with pytest.raises(WeightsError):
        resolve_weights("ave", cache_dir=tmp_path)
    server.content = CONTENT[::-1]
    found = resolve_weights("ave", cache_dir=tmp_path)
    assert found.path is not None
    assert found.path.read_bytes() == CONTENT[::-1]


def test_a_complete_partial_file_is_fetched_again(server: Server, tmp_path: Path) -> None:
    """If a process was killed before renaming the file, the server has no more bytes, which is not an error."""
    (tmp_path / "selavi_ave.pth.partial").write_bytes(CONTENT)
    (tmp_path / "selavi_ave.pth.partial.tag").write_text(f'"{SHA256}"')
    assert resolve_weights("ave", cache_dir=tmp_path).sha256 == SHA256


def test_a_missing_file_on_the_server_fails(server: Server, tmp_path: Path) -> None:
    """The message contains the server's answer and what to do."""
    server.status = 404
    with pytest.raises(WeightsError, match=r"the server answers 404 .*pass --weights FILE\."):
        resolve_weights("kinetics", cache_dir=tmp_path)
    assert not (tmp_path / "selavi_kinetics.pth").exists()


def test_a_web_page_instead_of_the_file_fails(server: Server, tmp_path: Path) -> None:
    """Networks with a log-in page send one; it must not be cached as weights."""
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(WeightsError, match="a page of text"):
        resolve_weights("kinetics", cache_dir=tmp_path)
    assert not (tmp_path / "selavi_kinetics.pth").exists()


def test_a_refused_connection_fails_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message does not contain the number of the error."""
    monkeypatch.delenv("AVZSL_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(weights, "BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(
        WeightsError, match=r"vgg_sound weights: Connection refused\. Download selavi_vgg_sound\.pth"
    ) as error:
        resolve_weights("vgg_sound", cache_dir=tmp_path)
    assert "\n" not in str(error.value)


def test_a_cache_that_cannot_be_written_fails_with_the_reason(server: Server, tmp_path: Path) -> None:
    """Here, the path of the cache folder is a file."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(WeightsError, match="cannot fetch the ave weights: File exists"):
        resolve_weights("ave", cache_dir=tmp_path / "cache")


def test_a_damaged_file_in_the_cache_fails(server: Server, tmp_path: Path) -> None:
    """It is not used, also not by auto, and it is not replaced silently."""
    resolve_weights("vgg_sound", cache_dir=tmp_path)
    with (tmp_path / "selavi_vgg_sound.pth").open("r+b") as file:
        file.seek(5000)
        file.write(b"?")
    for spec in ("vgg_sound", "auto"):
        with pytest.raises(WeightsError, match=r"has changed since it was fetched .* Delete it"):
            resolve_weights(spec, cache_dir=tmp_path)


def test_a_file_put_into_the_cache_by_hand_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its checksum is recorded, so that later damage is noticed."""
    monkeypatch.setenv("AVZSL_OFFLINE", "1")
    (tmp_path / "selavi_vgg_sound.pth").write_bytes(CONTENT)
    assert resolve_weights("auto", cache_dir=tmp_path).sha256 == SHA256
    (tmp_path / "selavi_vgg_sound.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="has changed"):
        resolve_weights("auto", cache_dir=tmp_path)


def test_auto_fetches_the_benchmarks_weights(server: Server, tmp_path: Path) -> None:
    """If the server can be reached, auto is vgg_sound."""
    assert resolve_weights("auto", cache_dir=tmp_path).name == "vgg_sound"


def test_auto_without_a_network_is_untrained_and_says_so(server: Server, tmp_path: Path) -> None:
    """The note contains the reason and how to get real weights."""
    server.status = 503
    found = resolve_weights("auto", cache_dir=tmp_path)
    assert (found.name, found.path, found.sha256) == ("untrained", None, "")
    for text in ("untrained", "not for results", "503", "--weights FILE"):
        assert text in found.note
    assert "\n" not in found.note


def test_offline_means_that_nothing_is_requested(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With AVZSL_OFFLINE=1, auto is untrained and the name of a checkpoint is an error."""
    monkeypatch.setenv("AVZSL_OFFLINE", "1")
    assert "AVZSL_OFFLINE is set" in resolve_weights("auto", cache_dir=tmp_path).note
    with pytest.raises(WeightsError, match="AVZSL_OFFLINE is set"):
        resolve_weights("vgg_sound", cache_dir=tmp_path)
    assert server.requested_ranges == []


def test_untrained_needs_no_file(tmp_path: Path) -> None:
    """No folder is created, and the note says what they are good for."""
    found = resolve_weights("untrained", cache_dir=tmp_path / "absent")
    assert found.path is None
    assert found.note == UNTRAINED_NOTE
    assert not (tmp_path / "absent").exists()


def test_a_path_gives_the_name_and_the_hash_of_the_file(tmp_path: Path) -> None:
    """The user's own file is used as it is."""
    path = tmp_path / "mine.pth"
    path.write_bytes(b"abc")
    found = resolve_weights(str(path), cache_dir=tmp_path)
    assert (found.name, found.path, found.sha256) == ("mine.pth", path, hashlib.sha256(b"abc").hexdigest())


@pytest.mark.parametrize(
    ("spec", "hint"),
    [("vgg-sound", "Did you mean vgg_sound?"), ("kinetic", "Did you mean kinetics?"), ("no/such.pth", "")],
)
def test_an_unknown_name_fails_with_the_choices(spec: str, hint: str, tmp_path: Path) -> None:
    """The message also suggests a similar name if there is one."""
    with pytest.raises(WeightsError) as error:
        resolve_weights(spec, cache_dir=tmp_path)
    assert str(error.value) == (
        f"weights '{spec}' are neither a file nor one of auto, untrained, vgg_sound, kinetics, kinetics_sound, ave."
        + (f" {hint}" if hint else "")
    )
