"""Tests of daan/config.py: allowed values, and the messages for all others."""

from dataclasses import asdict
from typing import Any

import pytest

from daan.config import DaanConfig


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hidden_width", 100, "hidden_width is 100, must be a multiple of 16"),
        ("hidden_width", 0, "hidden_width is 0, must be at least 1"),
        ("heads", 0, "heads is 0, must be at least 1"),
        ("qdma", "maybe", "qdma is 'maybe', must be one of off, on"),
        ("score", "both", "score is 'both', must be one of audio, visual, sum"),
        ("tcn_gap", 0, "tcn_gap is 0, must be a whole number of at least 1, or exponential"),
        ("tcn_gap", "linear", "tcn_gap is 'linear', must be a whole number"),
        ("beta", 1.0, "beta is 1.0, must be at least 0 and less than 1"),
        ("encoder_dropout", -0.1, "encoder_dropout is -0.1, must be at least 0 and less than 1"),
        ("input_dropout", 1.0, "input_dropout is 1.0, must be at least 0 and less than 1"),
        ("decoder_dropout", 1.0, "decoder_dropout is 1.0, must be at least 0 and less than 1"),
        ("tokens", "words", "tokens is 'words', must be one of seconds, chunks"),
        ("chunks", 0, "chunks is 0, must be at least 1"),
        ("bypass", "maybe", "bypass is 'maybe', must be one of off, on"),
        ("bypass_input", "raw", "bypass_input is 'raw', must be one of refined, features"),
        ("noise_scale", "adam", "noise_scale is 'adam', must be one of gradient, sgd"),
        ("csgm_apply", "weights", "csgm_apply is 'weights', must be one of gradient, update"),
        ("modality_dropout", float("nan"), "modality_dropout is nan"),
        ("margin", float("inf"), "margin is inf, must be a finite number of at least 0"),
    ],
)
def test_a_value_out_of_range_raises_with_its_name(field: str, value: Any, message: str) -> None:
    """The error names the field, its value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        DaanConfig(**{field: value})


def test_the_defaults_are_the_values_of_the_paper_and_the_documented_choices() -> None:
    """The numbers that the paper gives per benchmark are those of UCF."""
    paper = {
        "text_width": 300,
        "hidden_width": 512,
        "output_width": 300,
        "bypass_input": "refined",
        "tcn_gap": 3,
        "tcn_layers": 2,
        "csgm": "full",
        "gamma": 0.45,
        "omega": 1.15,
    }
    choices = {
        "qdma": "on",
        "bypass": "on",
        "heads": 8,
        "beta": 0.5,
        "input_dropout": 0.5,
        "encoder_dropout": 0.2,
        "projection_dropout": 0.2,
        "decoder_dropout": 0.2,
        "tokens": "seconds",
        "chunks": 8,
        "tcn_kernel": 3,
        "feedforward_width": 64,
        "margin": 1.0,
        "score": "sum",
        "modality_dropout": 0.0,
        "noise": 1.0,
        "noise_scale": "gradient",
        "csgm_apply": "gradient",
        "convergence": "sum",
        "optimisation": "other",
    }

    defaults = asdict(DaanConfig())

    assert {name: defaults[name] for name in paper} == paper
    assert {name: defaults[name] for name in choices} == choices


def test_a_configuration_can_be_rebuilt_from_its_fields() -> None:
    """A model file stores the fields as plain values."""
    config = DaanConfig(tcn_gap="exponential", hidden_width=64, qdma="off")

    assert config == DaanConfig(**asdict(config))


def test_gaps_are_the_dilation_of_each_layer() -> None:
    """A number applies to every layer; exponential starts at one second and doubles."""
    assert DaanConfig(tcn_gap=9, tcn_layers=3).tcn_gaps == (9, 9, 9)
    assert DaanConfig(tcn_gap="exponential", tcn_layers=4).tcn_gaps == (1, 2, 4, 8)
