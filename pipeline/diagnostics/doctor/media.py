"""Check which decoders and weights work on this machine."""

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from extractors.files.checksums import sha256_of_file
from pipeline.base.wording import byte_size
from pipeline.base.workspace import cache_folder
from pipeline.diagnostics.doctor.check import Check

_DECODERS = ("pyav", "decord")
# The errors of importing a library that is broken or built for another machine.
_LIBRARY_ERRORS = (ImportError, OSError, RuntimeError, AttributeError, ValueError)


def decoder_checks() -> Iterator[Check]:
    """Make a clip and decode it with each decoder, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="avzsl-doctor-") as folder:
        clip = Path(folder) / "clip.mp4"
        try:
            av = importlib.import_module("av")
            self_test = importlib.import_module("extractors.decoding.self_test")
        except _LIBRARY_ERRORS as error:
            yield _no_clip(error)
            return
        try:
            self_test.write_tiny_clip(clip)
        except (OSError, av.FFmpegError, av.codec.codec.UnknownCodecError) as error:  # a full disk, no H.264 encoder
            yield _no_clip(error)
            return
        for name in _DECODERS:
            wrong = self_test.try_decoder(name, clip)
            essential = name == _DECODERS[0]
            if not wrong:
                yield Check(f"decoding: {name}", "ok", "H.264 and AAC, in a process of its own", essential=essential)
            elif essential:
                remedy = "pip install --force-reinstall 'av>=18,<19'"
                yield Check(f"decoding: {name}", "missing", wrong, remedy, essential=True)
            else:
                yield Check(f"decoding: {name}", "note", wrong, "not needed: pyav decodes unless you ask otherwise")


def _no_clip(error: Exception) -> Check:
    detail = f"cannot be tried: no clip could be made ({_line(error)})"
    return Check("decoding", "missing", detail, "repair PyAV first", essential=True)


def weights_checks() -> Iterator[Check]:
    """Check which published SeLaVi weights are in the cache, and that they are unchanged since the download."""
    from extractors.selavi.weights import BASE_URL, PUBLISHED  # noqa: PLC0415 - with the rest of the extractors

    folder = cache_folder() / "weights"
    paths = {name: folder / f"selavi_{name}.pth" for name in PUBLISHED}
    present = {name: path for name, path in paths.items() if path.is_file()}
    for name, path in present.items():
        yield _weights(name, path)
    preferred = PUBLISHED[0]
    if preferred not in present:
        yield Check(
            f"weights: {preferred}",
            "missing",
            "not fetched: untrained weights are used instead, which are only good for trying things out",
            f"avzsl extract --weights {preferred} fetches them; or save {BASE_URL}/{paths[preferred].name} as "
            f"{paths[preferred]}",
        )
    for path in sorted(folder.glob("selavi_*.partial")):
        yield Check(f"weights: {path.name}", "note", f"{byte_size(path.stat().st_size)} of an interrupted download")


def _weights(name: str, path: Path) -> Check:
    record = path.with_name(f"{path.name}.sha256")
    try:
        sha256 = sha256_of_file(path)
        known = record.read_text().split()[:1] if record.exists() else [sha256]
    except OSError as error:
        return Check(f"weights: {name}", "missing", f"cannot be read: {_line(error)}", f"make {path} readable")
    if known != [sha256]:
        detail = f"{path} has changed since it was fetched (sha256 {sha256})"
        return Check(f"weights: {name}", "missing", detail, "delete it, and it is fetched again")
    with contextlib.suppress(OSError):
        return Check(f"weights: {name}", "ok", f"{path}, {byte_size(path.stat().st_size)}, sha256 {sha256[:12]}…")
    return Check(f"weights: {name}", "ok", f"{path}, sha256 {sha256[:12]}…")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
