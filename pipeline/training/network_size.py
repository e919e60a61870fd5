"""Choose the size of the network and of the training by the number of training videos (`training.network`).

The paper's network has millions of parameters. On a few dozen clips it takes minutes and learns them by heart.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.settings.tree import Settings, show_settings

# A choice of time against accuracy: on 70 sample videos no difference to the paper's network is shown, which takes
# fifty times as long; on generated data the paper's is better from 60 videos on (daan/README.md, section 7).
SMALL_BELOW_VIDEOS = 200

# The values of the small network, by setting. The margin and the dropout were chosen on the sample videos, where
# training reaches a margin of 1 too early (benchmarks/network_size.py --workspace FOLDER compares them).
SMALL: Mapping[str, Mapping[str, Any]] = {
    "daan": {"hidden_width": 64, "output_width": 32, "heads": 4, "margin": 3.0, "input_dropout": 0.0},
    "training": {"epochs": 15, "batch_pairs": 32, "steps_per_epoch": 20},
}
_WIDTHS = ("daan.hidden_width", "daan.output_width", "daan.heads")


def with_network_size(settings: Settings, videos: int) -> Settings:
    """Resolve `training.network`: fill in the small network's values where the user gave none.

    With `auto`, the network is small if there are few training videos and the user gave no width. Settings that the
    user gave, and settings that differ from their default, are kept.

    Args:
        settings: all settings.
        videos: number of training videos of stage 1.

    Returns:
        Settings whose `training.network` is `small` or `paper`.
    """
    network = settings.training.network
    if settings.training.method != "daan":  # the others have no small network
        return dataclasses.replace(settings, training=dataclasses.replace(settings.training, network="paper"))
    if network == "auto":
        network = "small" if videos < SMALL_BELOW_VIDEOS and not _has_a_width(settings) else "paper"
    sections = {}
    for section, values in SMALL.items():
        free_values = {name: value for name, value in values.items() if not _is_chosen(settings, f"{section}.{name}")}
        sections[section] = dataclasses.replace(
            getattr(settings, section), **(free_values if network == "small" else {})
        )
    training = dataclasses.replace(sections["training"], network=network)
    return dataclasses.replace(settings, daan=sections["daan"], training=training)


def show_before_training(settings: Settings) -> str:
    """Show all settings as YAML, before the number of training videos is known.

    The settings that this number will decide are comments, so that `--config` leaves them open too.
    """
    if settings.training.method != "daan" or settings.training.network != "auto" or _has_a_width(settings):
        return show_settings(with_network_size(settings, 0))
    lines, section = [], ""
    for line in show_settings(settings).splitlines():
        name = line.strip().partition(":")[0]
        if not line.startswith(" "):
            section = name
        value = SMALL.get(section, {}).get(name)
        if value is None or _is_chosen(settings, f"{section}.{name}"):
            lines.append(line)
        else:
            lines.append(f"  # {line.strip()} ({value} with fewer than {SMALL_BELOW_VIDEOS} training videos)")
    return "\n".join(lines) + "\n"


def _has_a_width(settings: Settings) -> bool:
    """Return whether the user chose a width, so that the network is not small by itself."""
    return any(_is_chosen(settings, name) for name in _WIDTHS)


def _is_chosen(settings: Settings, name: str) -> bool:
    """Return whether the user gave a setting, or it differs from its default."""
    section, _, key = name.partition(".")
    values = getattr(settings, section)
    return name in settings.given or getattr(values, key) != getattr(type(values)(), key)
