"""The methods of a comparison, each with its settings."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.errors import UsageError
from pipeline.base.wording import did_you_mean
from pipeline.settings.tree import Settings, load_settings, preset_for
from pipeline.training.methods import METHODS, method_class


@dataclass(frozen=True)
class ConfiguredMethod:
    """One row of a comparison.

    Attributes:
        key: the name in documents, such as avca.
        title: the name in tables, such as AVCA.
        settings: all settings, with at least one seed in `training.seeds`.
        of: the title of the method that this is a variant of; empty for a method itself.
        optional: whether it is left out, with a line, if it does not fit the data.
        preset: the name of its preset; empty for the method's defaults.
    """

    key: str
    title: str
    settings: Settings
    of: str = ""
    optional: bool = False
    preset: str = ""

    @property
    def label(self) -> str:
        """The title, with the method of a variant."""
        return f"{self.of}, {self.title}" if self.of else self.title

    def with_seed(self, seed: int) -> Settings:
        """Return the settings of the run with one seed."""
        return dataclasses.replace(self.settings, training=dataclasses.replace(self.settings.training, seed=seed))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its runs; a method that has nothing to learn needs only one."""
        seeds = self.settings.training.seeds
        return seeds if method_class(self.settings.training.method).needs.training else seeds[:1]


def names_all(text: str) -> bool:
    """Say whether the value of --methods stands for every method; those that do not fit the data are left out."""
    return text.strip().lower() == "all"


def parse_methods(text: str) -> tuple[str, ...]:
    """Split the names of --methods at commas; `all` stands for every method.

    Raises:
        UsageError: an unknown name, a name that is given twice, or no name.
    """
    if names_all(text):
        return METHODS
    names = tuple(name for part in text.split(",") if (name := part.strip().lower()))
    for name in names:
        if name not in METHODS:
            raise UsageError(
                f"--methods: unknown method {name!r}.{did_you_mean(name, METHODS)} avzsl methods lists them"
            )
    if not names:
        raise UsageError("--methods names no method: give names such as --methods daan,avca")
    if len(set(names)) < len(names):
        raise UsageError(f"--methods {text}: give each method once")
    return names


def configured_methods(
    names: Sequence[str],
    *,
    preset: str | None,
    config_file: Path | None,
    assignments: Sequence[str],
    options: Mapping[str, Any],
    optional: bool = False,
) -> list[ConfiguredMethod]:
    """Load the settings of each method, from the same sources.

    Args:
        names: names of methods.
        preset: the dataset of the presets, such as ucf or ucf-cls; None for the defaults of each method.
        config_file: a file of settings for all methods.
        assignments: texts `section.key=value` for all methods.
        options: dotted key -> value of the command's own options.
        optional: whether methods that do not fit the data are left out.

    Raises:
        UsageError: as for `load_settings`.
    """
    found = []
    for name in names:
        wanted = preset if method_class(name).needs.training else None
        settings = load_settings(
            preset=wanted,
            config_file=config_file,
            assignments=assignments,
            options={**options, "training.method": name},
        )
        used = preset_for(name, wanted) if wanted else ""
        title = method_class(name).about.title
        found.append(ConfiguredMethod(name, title, settings, optional=optional, preset=used))
    return found
