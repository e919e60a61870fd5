"""Check everything that avzsl needs. Each check uses the thing, instead of only looking for it."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from types import ModuleType

from pipeline.base.wording import byte_size, counted
from pipeline.base.workspace import Workspace
from pipeline.diagnostics.doctor.check import Check
from pipeline.diagnostics.doctor.folders import folder_checks, setting_checks
from pipeline.diagnostics.doctor.libraries import import_failure, import_library
from pipeline.diagnostics.doctor.media import decoder_checks, extractor_checks, weights_checks, workspace_features_check
from pipeline.diagnostics.doctor.text import text_checks, workspace_text_check

_OLDEST_PYTHON, _FIRST_PYTHON_TOO_NEW = (3, 11), (3, 13)
_TOGETHER = "pip install --force-reinstall 'torch==2.11.*' 'torchvision==0.26.*' 'torchaudio==2.11.*'"


def examine(workspace: Workspace) -> Iterator[Check]:
    """Run all checks one after the other. Only temporary files are written.

    Args:
        workspace: workspace that commands would use; it need not exist.
    """
    yield _avzsl()
    yield _python()
    for name, remedy in (("torch", _TOGETHER), ("torchvision", _TOGETHER), ("torchaudio", _TOGETHER)):
        yield _library(name, remedy)
    yield _av()
    yield _decord()
    yield _openvino()
    yield from _devices()
    yield _cores()
    yield from decoder_checks()
    yield from text_checks()
    yield workspace_text_check(workspace)
    yield from weights_checks()
    yield from extractor_checks()
    yield workspace_features_check(workspace)
    yield from folder_checks(workspace)
    yield from setting_checks()


def _avzsl() -> Check:
    try:
        return Check("avzsl", "ok", importlib.metadata.version("avzsl"))
    except importlib.metadata.PackageNotFoundError:
        return Check("avzsl", "note", "runs from a folder, not installed", "pip install -e . in that folder")


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.platform(terse=True)}, {platform.machine()}"
    if _OLDEST_PYTHON <= sys.version_info[:2] < _FIRST_PYTHON_TOO_NEW:
        return Check("Python", "ok", found)
    return Check("Python", "note", found, "avzsl is made for Python 3.11 and 3.12")


def _version(library: ModuleType) -> str:
    return str(getattr(library, "__version__", "of unknown version"))


def _library(name: str, remedy: str) -> Check:
    library = import_library(name)
    if isinstance(library, Exception):
        return Check(name, "missing", import_failure(library), remedy, essential=True)
    return Check(name, "ok", _version(library), essential=True)


def _av() -> Check:
    av = import_library("av")
    if isinstance(av, Exception):
        return Check(
            "PyAV", "missing", import_failure(av), "pip install --force-reinstall 'av>=18,<19'", essential=True
        )
    libraries = ", ".join(
        f"{name.removeprefix('lib')} {'.'.join(map(str, version))}"
        for name, version in av.library_versions.items()
        if name in {"libavcodec", "libavformat", "libswscale", "libswresample"}
    )
    return Check("PyAV", "ok", f"{_version(av)}, ffmpeg {av.ffmpeg_version_info} ({libraries})", essential=True)


def _decord() -> Check:
    decord = import_library("decord")
    if isinstance(decord, ModuleType):
        return Check("decord", "ok", _version(decord))
    built_for_here = (sys.platform == "linux" and platform.machine() == "x86_64") or sys.platform == "win32"
    if built_for_here:
        return Check("decord", "note", f"{import_failure(decord)}: PyAV does all decoding", "pip install decord==0.6.0")
    return Check("decord", "note", f"has no build for {sys.platform} {platform.machine()}: PyAV does all decoding")


def _openvino() -> Check:
    runtime = import_library(
        "extractors.runtime.openvino_network"
    )  # not openvino itself, which would report over the network
    if isinstance(runtime, ModuleType):
        version = _version(sys.modules["openvino"]).split("-")[0]
        return Check("openvino", "ok", f"{version}: used on a CPU")
    return Check(
        "openvino",
        "note",
        f"{import_failure(runtime)}: an extra, faster on a CPU",
        "pip install 'avzsl[openvino]'",
    )


def _devices() -> Iterator[Check]:
    torch = import_library("torch")
    if isinstance(torch, Exception):
        return  # reported by the check of torch
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
        remedy = "with an NVIDIA GPU in this machine, check its driver with nvidia-smi" if torch.version.cuda else ""
        yield Check("GPU", "note", f"none, the CPU does all work ({built})", remedy)
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        detail = f"{torch.cuda.get_device_name(index)}, {byte_size(free)} of {byte_size(total)} free"
        yield Check(f"GPU cuda:{index}", "ok", detail)


def _cores() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = "memory unknown"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        page = os.sysconf("SC_PAGE_SIZE")
        memory = f"{byte_size(page * os.sysconf('SC_PHYS_PAGES'))} of memory"
        if "SC_AVPHYS_PAGES" in os.sysconf_names:
            memory += f", {byte_size(page * os.sysconf('SC_AVPHYS_PAGES'))} free"
    return Check("CPU", "ok", f"{counted(usable, 'core')}, {memory}")
