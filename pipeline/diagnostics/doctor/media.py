"""Check which decoders and weights work on this machine."""

import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from extractors.errors import WeightsError
from extractors.selavi.weights import BASE_URL, LICENCE, PUBLISHED, cached_path, cached_weights
from pipeline.base.errors import PipelineError
from pipeline.base.wording import byte_size
from pipeline.base.workspace import Stage, Workspace, cache_folder
from pipeline.diagnostics.doctor.check import Check
from pipeline.diagnostics.doctor.libraries import import_failure, import_library, one_line

_DECODERS = ("pyav", "decord")


def decoder_checks() -> Iterator[Check]:
    """Make a clip and decode it with each decoder, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="avzsl-doctor-") as folder:
        clip = Path(folder) / "clip.mp4"
        av = import_library("av")
        if isinstance(av, Exception):
            yield _no_clip(av)
            return
        self_test = importlib.import_module("extractors.decoding.self_test")  # it imports av
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
    detail = f"cannot be tried: no clip could be made ({one_line(error)})"
    return Check("decoding", "missing", detail, "repair PyAV first", essential=True)


def weights_checks() -> Iterator[Check]:
    """Check which published SeLaVi weights are in the cache, and that they are unchanged since the download."""
    folder = cache_folder() / "weights"
    present = [name for name in PUBLISHED if cached_path(name, folder).is_file()]
    for name in present:
        yield _weights(name, folder)
    preferred = PUBLISHED[0]
    if preferred not in present:
        path = cached_path(preferred, folder)
        yield Check(
            f"weights: {preferred}",
            "missing",
            "not fetched: untrained weights are used instead, which are only good for trying things out",
            f"avzsl extract --weights {preferred} fetches them (licence {LICENCE}); "
            f"or save {BASE_URL}/{path.name} as {path}",
        )
    for path in sorted(folder.glob("selavi_*.partial")):
        yield Check(f"weights: {path.name}", "note", f"{byte_size(path.stat().st_size)} of an interrupted download")


def extractor_checks() -> Iterator[Check]:
    """Check which of the other extractors can be used here, and whether their weights are in the cache."""
    listing = import_library("pipeline.extraction.extractor_list")  # it imports torch
    try:
        found = [] if isinstance(listing, Exception) else listing.list_extractors()
    except (ImportError, OSError):  # a library that does not load, of which another check tells
        found = []
    for entry in found:
        if entry.name == "selavi":  # `weights_checks` tells of each of its checkpoints
            continue
        detail = f"{entry.state}, licence {entry.licence}"
        remedy = "" if entry.here else f"not needed unless you pass --extractor {entry.name}"
        yield Check(entry.name, "ok" if entry.here else "note", detail, remedy)


def workspace_features_check(workspace: Workspace) -> Check:
    """Say of which extractors a workspace has features, and which of them commands use."""
    kept = import_library("pipeline.extraction.side_by_side")  # it imports torch
    if isinstance(kept, Exception):
        return Check("features", "note", import_failure(kept))
    try:
        here = kept.features_here(workspace)
    except PipelineError as error:
        return Check("features", "missing", one_line(error))
    current = workspace.stages().get(Stage.FEATURES)
    used = [name for name, record in here.items() if current and record.fingerprint == current.fingerprint]
    named = ", ".join(f"{name} (in use)" if name in used else name for name in here)
    return Check("features", "ok", f"of {named}" if here else "none of an extractor yet")


def _weights(name: str, folder: Path) -> Check:
    path = cached_path(name, folder)
    try:
        weights = cached_weights(name, folder)
        size_bytes = path.stat().st_size
    except (WeightsError, OSError) as error:
        return Check(f"weights: {name}", "missing", one_line(error), f"make {path} readable, or delete it")
    sha256 = weights.sha256[:12] if weights else ""
    return Check(f"weights: {name}", "ok", f"{path}, {byte_size(size_bytes)}, sha256 {sha256}…, licence {LICENCE}")
