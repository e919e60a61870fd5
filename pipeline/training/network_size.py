"""Choose the size of the network and of the training by the number of training videos (`training.network`).

The paper's network has millions of parameters. On a few dozen clips it takes minutes and learns them by heart.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.settings.training import section_of
from pipeline.settings.tree import Settings, show_settings

# A choice of time against accuracy: on 70 sample videos no difference to the paper's network is shown, which takes
# fifty times as long; on generated data the paper's is better from 60 videos on (daan/README.md, section 7).
SMALL_BELOW_VIDEOS = 200

# The training of the small network, by setting; the method's options have their own values (`MethodConfig.small`).
SMALL_TRAINING: Mapping[str, Any] = {"epochs": 15, "batch_pairs": 32, "steps_per_epoch": 20}


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
    if not settings.method_config.small:
        network = "paper"
    elif network == "auto":
        network = "small" if videos < SMALL_BELOW_VIDEOS and not _has_a_size(settings) else "paper"
    if network == "small":
        section = section_of(settings.training.method)
        config = _filled_in(settings, section, settings.method_config.small)
        training = _filled_in(settings, "training", SMALL_TRAINING)
        settings = dataclasses.replace(settings, **{section: config, "training": training})
    return dataclasses.replace(settings, training=dataclasses.replace(settings.training, network=network))


def _filled_in(settings: Settings, section: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any section
    """Fill values into a section where the user gave none."""
    free = {name: value for name, value in values.items() if not _is_chosen(settings, f"{section}.{name}")}
    return dataclasses.replace(getattr(settings, section), **free)


def show_before_training(settings: Settings) -> str:
    """Show all settings as YAML, before the number of training videos is known.

    The settings that this number will decide are comments, so that `--config` leaves them open too.
    """
    small = settings.method_config.small
    if not small or settings.training.network != "auto" or _has_a_size(settings):
        return show_settings(with_network_size(settings, 0))
    values_of = {section_of(settings.training.method): small, "training": SMALL_TRAINING}
    lines, section = [], ""
    for line in show_settings(settings).splitlines():
        name = line.strip().partition(":")[0]
        if not line.startswith(" "):
            section = name
        value = values_of.get(section, {}).get(name)
        if value is None or _is_chosen(settings, f"{section}.{name}"):
            lines.append(line)
        else:
            lines.append(f"  # {line.strip()} ({value} with fewer than {SMALL_BELOW_VIDEOS} training videos)")
    return "\n".join(lines) + "\n"


def _has_a_size(settings: Settings) -> bool:
    """Return whether the user chose a size, so that the network is not small by itself."""
    section = section_of(settings.training.method)
    return any(_is_chosen(settings, f"{section}.{name}") for name in settings.method_config.sizes)


def _is_chosen(settings: Settings, name: str) -> bool:
    """Return whether the user gave a setting, or it differs from its default."""
    section, _, key = name.partition(".")
    values = getattr(settings, section)
    return name in settings.given or getattr(values, key) != getattr(type(values)(), key)
