"""The extractors by name. A module is loaded when its extractor is needed; the table needs no torch."""

import difflib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from extractors.base import About, ExtractorFamily
from extractors.errors import UnavailableError


@dataclass(frozen=True)
class _Entry:
    about: About
    module: str
    family: str  # class in the module
    library: str = ""  # what must be installed


_EXTRACTORS: Mapping[str, _Entry] = {
    entry.about.name: entry
    for entry in (
        _Entry(
            About(
                name="selavi",
                title="SeLaVi",
                picture="R(2+1)D-18, 512",
                sound="ResNet-9, 512",
                text=False,
                licence="CC-BY-NC 4.0, not for commercial use",
                download="one file per checkpoint",
                extra="",
                summary="the benchmark's main features, and pretraining on one's own videos",
            ),
            "extractors.selavi.extractor",
            "Selavi",
        ),
        _Entry(
            About(
                name="clip-clap",
                title="CLIP + CLAP",
                picture="CLIP ViT-B/32, 512",
                sound="CLAP HTSAT, 512",
                text=True,
                licence="MIT and Apache-2.0",
                download="1.2 GB",
                extra="",
                summary="recognition without training, fast on a CPU; any CLIP or SigLIP, any CLAP without fusion",
            ),
            "extractors.clip_clap.extractor",
            "ClipClap",
        ),
        _Entry(
            About(
                name="pe-av",
                title="PE-AV",
                picture="PE-AV small, 1024",
                sound="PE-AV small, 1024",
                text=True,
                licence="Apache-2.0",
                download="a few GB",
                extra="pe-av",
                summary="one space for sound, picture and text; recognition without training, slow without a GPU",
            ),
            "extractors.pe_av.extractor",
            "PeAv",
            library="timm",
        ),
        _Entry(
            About(
                name="r2plus1d",
                title="R(2+1)D",
                picture="R(2+1)D-18 of Kinetics-400, 512",
                sound="",
                text=False,
                licence="BSD-3-Clause",
                download="0.1 GB",
                extra="",
                summary="an encoder of pictures that learned from labels; it hears nothing",
            ),
            "extractors.r2plus1d.extractor",
            "R2plus1d",
        ),
        _Entry(
            About(
                name="vggish-c3d",
                title="C3D and VGGish",
                picture="C3D fc6, 4096",
                sound="VGGish, 128",
                text=False,
                licence="the licence of your files (VGGish: Apache-2.0)",
                download="",
                extra="",
                summary="the benchmark's cls features",
            ),
            "extractors.vggish_c3d.extractor",
            "VggishC3d",
        ),
    )
}
EXTRACTORS: tuple[str, ...] = tuple(_EXTRACTORS)


def about_extractors() -> tuple[About, ...]:
    """Describe every extractor."""
    return tuple(entry.about for entry in _EXTRACTORS.values())


def about_extractor(name: str) -> About:
    """Describe an extractor.

    Raises:
        UnavailableError: there is no such extractor.
    """
    return _entry(name).about


def missing_library(name: str) -> str:
    """Return the library that an extractor needs and that is not installed; empty if it can be loaded."""
    library = _entry(name).library
    return library if library and importlib.util.find_spec(library) is None else ""


def install_hint(name: str) -> str:
    """Return the command that installs the library which an extractor needs."""
    return f'pip install "avzsl[{_entry(name).about.extra}]"'


def extractor_family(name: str) -> ExtractorFamily[Any]:
    """Load how an extractor is found, described and loaded.

    Raises:
        UnavailableError: there is no such extractor, or a library that it needs is not installed.
    """
    entry = _entry(name)
    if missing_library(name):
        raise UnavailableError(
            f"the extractor {name} needs {entry.library}, which is not installed: {install_hint(name)}"
        )
    family: ExtractorFamily[Any] = getattr(import_module(entry.module), entry.family)()
    return family


def _entry(name: str) -> _Entry:
    if name not in _EXTRACTORS:
        raise UnavailableError(unknown_extractor(name))
    return _EXTRACTORS[name]


def unknown_extractor(name: str) -> str:
    """Say that there is no extractor of a name, and which there are."""
    close = difflib.get_close_matches(name, EXTRACTORS, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"there is no extractor {name!r}; choose one of: {', '.join(EXTRACTORS)}.{hint}"
