"""extractors/files/hub.py: models from the hub, against a small server of its addresses."""

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from extractors.errors import WeightsError
from extractors.files import hub
from extractors.files.hub import Pin, cached_model, fetch_model, is_hub_name

NAME = "someone/model"
FILES = {
    "config.json": b'{"model_type": "clip"}',
    "tokenizer.json": b"{}",
    "model.safetensors": bytes(range(256)) * 4096,
    "pytorch_model.bin": b"a pickle",
    "README.md": b"not needed",
}


class Server:
    """Answers as the hub does; `fault` says what goes wrong."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None]] = []
        self.files = dict(FILES)
        self.cut_after: int | None = None  # bytes of the weights after which the connection ends, once
        self.wrong = ""  # file whose content is not what the hub announces

    def handle(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = handler.path.partition("?")[0]
        self.requests.append((path, handler.headers.get("Range")))
        if path.startswith(f"/api/models/{NAME}"):
            siblings = [self._sibling(name, content) for name, content in self.files.items()]
            body = json.dumps({"id": NAME, "modelId": NAME, "sha": "c0ffee", "siblings": siblings, "tags": []}).encode()
            self._send(handler, 200, body, "application/json")
        elif match := re.fullmatch(rf"/{NAME}/resolve/c0ffee/(.+)", path):
            self._send_file(handler, match[1])
        else:
            handler.send_response(404)
            handler.send_header("X-Error-Code", "RepoNotFound")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    @staticmethod
    def _sibling(name: str, content: bytes) -> dict[str, object]:
        entry: dict[str, object] = {"rfilename": name, "size": len(content)}
        entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 - as git does
        if len(content) > 1000 or name.endswith(".bin"):
            entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 1}
        return entry

    def _send_file(self, handler: http.server.BaseHTTPRequestHandler, name: str) -> None:
        content = self.files[name]
        if name == self.wrong:
            content = b"?" + content[1:]
        begin = int(match[1]) if (match := re.match(r"bytes=(\d+)-", handler.headers.get("Range") or "")) else 0
        rest = content[begin:]
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Type", "text/plain" if name.endswith(".json") else "application/octet-stream")
        handler.send_header("Content-Length", str(len(rest)))
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        if self.cut_after is not None and name == "model.safetensors":
            rest, self.cut_after = rest[: self.cut_after], None
        handler.wfile.write(rest)

    @staticmethod
    def _send(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A running server, and an environment that leads to it."""
    served = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.handle(self)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{running.server_port}")
    monkeypatch.setenv("AVZSL_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "nothing"))
    yield served
    running.shutdown()
    running.server_close()


def fetched(cache_dir: Path, **options: object) -> hub.HubModel:
    """Fetch the model."""
    return fetch_model(NAME, cache_dir, remedy="give a folder", **options)  # type: ignore[arg-type]


def test_a_model_is_fetched_once_with_progress_and_its_checksums_recorded(server: Server, tmp_path: Path) -> None:
    """Small files come first; the pickle and what is not needed are not fetched."""
    progress: list[tuple[int, int | None]] = []
    found = fetched(tmp_path, on_progress=lambda *numbers: progress.append(numbers))
    needed = ("config.json", "tokenizer.json", "model.safetensors")
    assert {name: (found.folder / name).read_bytes() for name in needed} == {name: FILES[name] for name in needed}
    assert sorted(path.name for path in found.folder.iterdir()) == sorted((*needed, "files.json"))
    total = sum(len(FILES[name]) for name in needed)
    assert progress[-1] == (total, total)
    assert progress == sorted(progress)
    record = json.loads((found.folder / "files.json").read_text())
    assert record["revision"] == "c0ffee"
    assert record["sha256"]["model.safetensors"] == hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    assert "revision c0ffee" in found.note
    before = len(server.requests)
    again = fetched(tmp_path)
    assert (again.folder, again.note, len(server.requests)) == (found.folder, "", before)


def test_a_download_that_was_cut_off_goes_on(server: Server, tmp_path: Path) -> None:
    """Only the missing bytes are requested again."""
    server.cut_after = 500_000
    found = fetched(tmp_path)
    assert (found.folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    ranges = [wanted for path, wanted in server.requests if path.endswith("model.safetensors")]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert int(ranges[1].removeprefix("bytes=").removesuffix("-")) > 0


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_whose_checksum_differs_is_refused_and_deleted(server: Server, tmp_path: Path, name: str) -> None:
    """This holds for the weights, whose sha256 the hub gives, and for small files, whose git hash it gives."""
    server.wrong = name
    with pytest.raises(WeightsError, match=rf"{re.escape(name)} of {NAME} has another checksum than it should have"):
        fetched(tmp_path)
    assert not list((tmp_path / "hub").rglob(f"{name}*"))
    server.wrong = ""
    assert fetched(tmp_path).folder.is_dir()


def test_a_pinned_checksum_counts_more_than_what_the_hub_says(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub could have another file at the same place."""
    monkeypatch.setattr(hub, "PINS", {NAME: Pin("c0ffee", "MIT", {"model.safetensors": "0" * 64})})
    with pytest.raises(WeightsError, match="has another checksum than it should have"):
        fetched(tmp_path)
    assert any("/revision/c0ffee" in path for path, _ in server.requests)


def test_a_file_that_changed_in_the_cache_is_refused(server: Server, tmp_path: Path) -> None:
    """The message says what to delete."""
    found = fetched(tmp_path)
    (found.folder / "config.json").write_text('{"model_type": "clap"}')
    with pytest.raises(WeightsError, match=r"config.json has changed since it was fetched: delete "):
        cached_model(NAME, tmp_path)


def test_a_model_without_safetensors_is_refused(server: Server, tmp_path: Path) -> None:
    """Its pickle is not read."""
    del server.files["model.safetensors"]
    with pytest.raises(WeightsError, match=r"no other weights are read \(a pickle can run code\): give a folder"):
        fetched(tmp_path)


def test_a_name_that_the_hub_does_not_know_is_refused_in_one_line(server: Server, tmp_path: Path) -> None:
    """The message says what to do."""
    with pytest.raises(WeightsError, match="'no/body' is not a model on the hub") as caught:
        fetch_model("no/body", tmp_path, remedy="give a folder")
    assert "\n" not in str(caught.value)


def test_offline_nothing_is_requested(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the model and says what to do."""
    monkeypatch.setenv("AVZSL_OFFLINE", "1")
    with pytest.raises(WeightsError, match=f"{NAME} is not in the cache, and AVZSL_OFFLINE is set: give a folder"):
        fetched(tmp_path)
    assert not server.requests


def test_a_hub_that_cannot_be_reached_gives_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody listens at this port."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AVZSL_OFFLINE", "0")
    with pytest.raises(WeightsError, match=rf"cannot fetch {NAME} from the hub: .* Run the command again") as caught:
        fetched(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "is_name"), [("openai/clip", True), ("a/b/c", False), ("clip", False), ("/a/b", False), ("./a", False)]
)
def test_names_on_the_hub_have_one_slash(text: str, is_name: bool) -> None:
    """Other texts are paths."""
    assert is_hub_name(text) == is_name
