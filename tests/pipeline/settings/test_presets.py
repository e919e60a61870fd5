"""pipeline/settings/presets: the benchmark presets have the values of the paper and of AVCA; --set overrides each."""

import dataclasses
from importlib import resources
from typing import Any

import pytest
import yaml

from pipeline.settings.tree import load_settings

COMMON = {
    "daan.hidden_width": 512,
    "daan.output_width": 300,
    "daan.qdma": "on",
    "daan.csgm": "full",
    "daan.noise": 1.0,
    "daan.input_dropout": 0.5,
    "training.epochs": 50,
    "training.batch_pairs": 256,
    "training.learning_rate": 1e-3,
    "training.weight_decay": 1e-5,
    "training.patience_steps": 600,
    "training.steps_per_epoch": 500,
    "training.learning_rate_factor": 0.1,
}
PAPER_VALUES = {
    name: {
        **COMMON,
        "daan.omega": omega,
        "daan.gamma": gamma,
        "daan.tcn_gap": gap,
        "daan.tcn_layers": layers,
        "daan.encoder_dropout": dropouts[0],
        "daan.projection_dropout": dropouts[1],
        "daan.decoder_dropout": dropouts[2],
    }
    for name, omega, gamma, gap, layers, dropouts in (
        ("ucf", 1.15, 0.45, 3, 2, (0.2, 0.3, 0.5)),
        ("activitynet", 0.5, 0.5, 9, 3, (0.2, 0.2, 0.1)),
        ("vggsound", 1.2, 0.6, 5, 5, (0.0, 0.0, 0.1)),
    )
}
OTHER_CHOICES = {"daan.qdma": "off", "daan.csgm": "convergence"}


def value_of(settings: object, key: str) -> Any:
    """Read the value of a dotted key."""
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


@pytest.mark.parametrize("preset", PAPER_VALUES)
def test_a_preset_has_exactly_the_values_of_the_paper_and_of_avca(preset: str) -> None:
    """Its file gives exactly these settings, and they are read with the right types."""
    text = resources.files("pipeline.settings").joinpath("presets", f"{preset}.yaml").read_text(encoding="utf-8")

    settings = load_settings(preset=preset)

    named = {f"{section}.{key}" for section, values in yaml.safe_load(text).items() for key in values}
    assert {key: value_of(settings, key) for key in named} == PAPER_VALUES[preset]
    plain = load_settings()
    assert dataclasses.replace(settings, daan=plain.daan, training=plain.training) == plain


@pytest.mark.parametrize(("preset", "key"), [(preset, key) for preset, keys in PAPER_VALUES.items() for key in keys])
def test_set_overrides_each_value_of_a_preset(preset: str, key: str) -> None:
    """No other setting changes."""
    value = PAPER_VALUES[preset][key]
    if key.endswith("dropout"):
        value = 0.3
    other = OTHER_CHOICES[key] if isinstance(value, str) else value * 2 if key.count("factor") == 0 else 0.5

    settings = load_settings(preset=preset, assignments=[f"{key}={other}"])

    assert {name: value_of(settings, name) for name in PAPER_VALUES[preset]} == {**PAPER_VALUES[preset], key: other}
