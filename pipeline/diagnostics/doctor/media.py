"""Which decoders and weights really work here."""

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
_LIBRARY_ERRORS = (ImportError, OSError, RuntimeError, AttributeError, ValueError)


def decoder_checks() -> Iterator[Check]:
    """Decode a clip made on the spot with each decoder, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="avzsl-doctor-") as folder:
        clip = Path(folder) / "clip.mp4"
        try:
            self_test = importlib.import_module("extractors.decoding.self_test")
            self_test.write_tiny_clip(clip)
        except _LIBRARY_ERRORS as error:
            detail = f"cannot be tried: no clip could be made ({_line(error)})"
            yield Check("decoding", "missing", detail, "mend PyAV first", essential=True)
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


def weights_checks() -> Iterator[Check]:
    """Which published SeLaVi weights lie in the cache, and whether they are still what was put there."""
    from extractors.selavi.weights import BASE_URL, PUBLISHED  # noqa: PLC0415 - with the rest of the extractors

    folder = cache_folder() / "weights"
    there = {name: folder / f"selavi_{name}.pth" for name in PUBLISHED}
    present = {name: path for name, path in there.items() if path.is_file()}
    for name, path in present.items():
        yield _weights(name, path)
    preferred = PUBLISHED[0]
    if preferred not in present:
        yield Check(
            f"weights: {preferred}",
            "missing",
            "not fetched: untrained weights stand in, good for trying things out only",
            f"avzsl extract --weights {preferred} fetches them; or save {BASE_URL}/{there[preferred].name} as "
            f"{there[preferred]}",
        )
    for path in sorted(folder.glob("selavi_*.partial")):
        yield Check(f"weights: {path.name}", "note", f"{byte_size(path.stat().st_size)} of a download that was cut off")


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
