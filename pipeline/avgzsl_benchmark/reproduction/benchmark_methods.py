"""The methods of a reproduction, each with its published settings for the benchmark and the kind of features."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.comparison.configured_methods import ConfiguredMethod, configured_methods
from pipeline.settings.training import LegacyOrder, section_of
from pipeline.training.methods import config_class

# The rest repeats the order of the AVCA code.
_OF_CLIPCLAP = ("clipclap", "mft", "lsc")


def benchmark_methods(
    names: Sequence[str],
    benchmark: str,
    *,
    kind: str | None,
    faithful: bool,
    config_file: Path | None,
    assignments: Sequence[str],
    options: Mapping[str, Any],
    optional: bool = False,
) -> list[ConfiguredMethod]:
    """Load the settings of each method for a benchmark.

    Args:
        names: names of methods.
        benchmark: a name of `BENCHMARKS`.
        kind: main, cls or clip; None for main. A method without a preset for this kind uses the one for main.
        faithful: whether to repeat the faults of published code.
        config_file: a file of settings for all methods.
        assignments: texts `section.key=value` for all methods.
        options: dotted key -> value of the command's own options.
        optional: whether methods that do not fit the data are left out.

    Raises:
        UsageError: as for `load_settings`.
    """
    return [
        method
        for name in names
        for method in configured_methods(
            [name],
            preset=benchmark if kind in {None, "main"} else f"{benchmark}-{kind}",
            config_file=config_file,
            assignments=assignments,
            options={**options, **(_faults(name, names) if faithful else {})},
            optional=optional,
        )
    ]


def _faults(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the settings that repeat the faults of published code: of one method, and of the order of its classes.

    All methods of a reproduction share the class vectors, so the first method decides whose order they have.
    """
    order: LegacyOrder = "clipclap" if names[0] in _OF_CLIPCLAP else "avca"
    has_faults = "faithful" in {field.name for field in dataclasses.fields(config_class(name))}
    return {"text.legacy_class_order": order, **({f"{section_of(name)}.faithful": True} if has_faults else {})}
