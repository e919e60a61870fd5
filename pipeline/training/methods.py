"""The methods that can be trained, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_args, get_type_hints

from daan.method import Method, MethodConfig, Status
from pipeline.settings.training import MethodName, section_of
from pipeline.settings.tree import Settings, presets

# name -> module and class; a module is loaded when its method is needed.
_CLASSES: Mapping[str, tuple[str, str]] = {
    "daan": ("daan.network", "Daan"),
    "avca": ("daan.baselines.avca", "Avca"),
    "tcaf": ("daan.baselines.tcaf", "Tcaf"),
    "clipclap": ("daan.baselines.clipclap", "ClipClap"),
    "mft": ("daan.baselines.mft", "Mft"),
    "lsc": ("daan.baselines.lsc", "Lsc"),
    "cjme": ("daan.baselines.cjme", "Cjme"),
    "avgzslnet": ("daan.baselines.avgzslnet", "Avgzslnet"),
    "devise": ("daan.baselines.bilinear", "Devise"),
    "ale": ("daan.baselines.bilinear", "Ale"),
    "sje": ("daan.baselines.bilinear", "Sje"),
    "apn": ("daan.baselines.apn", "Apn"),
    "zero-shot": ("daan.baselines.zero_shot", "ZeroShot"),
}
METHODS: tuple[str, ...] = get_args(MethodName)
# What the status of a method means, for tables and notes.
STATUS: Mapping[Status, str] = {
    "exact": "as in published code",
    "paper": "from the text of the paper",
    "reconstructed": "partly our own reading",
}


def method_class(name: str) -> type[Method]:
    """Load the class of a method.

    Raises:
        KeyError: there is no such method.
    """
    module, class_name = _CLASSES[name]
    found: type[Method] = getattr(import_module(module), class_name)
    return found


@dataclass(frozen=True)
class MethodDescription:
    """One line of `avzsl methods`."""

    name: str
    title: str
    paper: str
    year: int
    inputs: str  # seconds, or their mean
    score: str  # the published score
    status: Status
    summary: str
    presets: tuple[str, ...]


def describe_methods() -> list[MethodDescription]:
    """Describe every method that can be trained, DAAN first."""
    return [
        MethodDescription(
            name=about.name,
            title=about.title,
            paper=about.paper,
            year=about.year,
            inputs="seconds" if found.needs.seconds else "mean",
            score=getattr(config_class(name)(), "score", found.scores[0]),  # an option of DAAN
            status=about.status,
            summary=about.summary,
            presets=tuple(presets(name)),
        )
        for name in METHODS
        for found in [method_class(name)]
        for about in [found.about]
    ]


def config_class(name: str) -> type[MethodConfig]:
    """Return the class of a method's options."""
    found: type[MethodConfig] = get_type_hints(Settings)[section_of(name)]
    return found


def build_method(name: str, config: MethodConfig) -> Method:
    """Build a method with its first, random weights, from torch's generator."""
    build: Any = method_class(name)  # the options of each method are of a type of its own
    made: Method = build(config)
    return made
