"""pipeline/training/network_size.py: few training videos give a small network, but what the user gave is kept."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipeline.settings.tree import Settings, load_settings
from pipeline.training.network_size import show_before_training, with_network_size

# The documented values of the small network: all its settings that differ from the defaults.
SMALL: dict[str, dict[str, Any]] = {
    "daan": {"hidden_width": 64, "output_width": 32, "heads": 4, "margin": 3.0, "input_dropout": 0.0},
    "training": {"epochs": 15, "batch_pairs": 32, "steps_per_epoch": 20},
}


@pytest.mark.parametrize(("videos", "network"), [(2, "small"), (199, "small"), (200, "paper"), (3174, "paper")])
def test_the_number_of_training_videos_chooses_the_network(videos: int, network: str) -> None:
    """The choice is recorded in the settings; a large dataset keeps the paper's values; no other setting changes."""
    small: dict[str, dict[str, Any]] = SMALL if network == "small" else {"daan": {}, "training": {}}

    found = with_network_size(load_settings(), videos)

    assert found.training.network == network
    assert found.daan == dataclasses.replace(Settings().daan, **small["daan"])
    training = dataclasses.replace(Settings().training, **small["training"])
    assert dataclasses.replace(found.training, network="auto") == training


def test_the_choice_is_final() -> None:
    """The resolved settings give the same network for any number of videos."""
    small = with_network_size(load_settings(), 10)

    assert with_network_size(small, 10_000) == small


def test_settings_that_the_user_gave_are_kept_even_with_their_default_value() -> None:
    """Other settings of the small network are still filled in."""
    given = load_settings(assignments=["training.epochs=50", "daan.margin=2"])

    found = with_network_size(given, 10)

    assert found.training.epochs == 50
    assert found.daan.margin == 2
    assert found.daan.hidden_width == SMALL["daan"]["hidden_width"]
    assert found.training.steps_per_epoch == SMALL["training"]["steps_per_epoch"]


@pytest.mark.parametrize("assignment", ["daan.hidden_width=512", "daan.output_width=300", "daan.heads=8"])
def test_a_width_that_the_user_gave_means_the_network_is_not_chosen(assignment: str) -> None:
    """This also holds for the default value."""
    found = with_network_size(load_settings(assignments=[assignment]), 10)

    assert found.training.network == "paper"
    assert found.daan == Settings().daan


@pytest.mark.parametrize("assignments", [[], ["training.epochs=3"], ["training.network=small"], ["daan.heads=4"]])
def test_shown_settings_leave_the_choice_of_the_network_open(tmp_path: Path, assignments: list[str]) -> None:
    """`--show-config` names both values, and `--config` with this text trains what the same options would train."""
    settings = load_settings(assignments=assignments)
    file = tmp_path / "shown.yaml"
    file.write_text(show_before_training(settings), encoding="utf-8")

    shown = load_settings(config_file=file)

    for videos in (10, 5000):
        expected = with_network_size(settings, videos)
        assert with_network_size(shown, videos) == dataclasses.replace(expected, given=shown.given)


def test_shown_settings_name_the_values_of_the_small_network() -> None:
    """They are comments next to the values of the paper."""
    text = show_before_training(load_settings(assignments=["training.epochs=3"]))

    assert "  # hidden_width: 512 (64 with fewer than 200 training videos)\n" in text
    assert "  # batch_pairs: 256 (32 with fewer than 200 training videos)\n" in text
    assert "  epochs: 3\n" in text


def test_the_network_can_be_named() -> None:
    """`paper` and `small` hold for any number of videos."""
    paper = with_network_size(load_settings(assignments=["training.network=paper"]), 10)
    small = with_network_size(load_settings(assignments=["training.network=small"]), 10_000)

    assert paper.daan == Settings().daan
    assert small.daan.hidden_width == SMALL["daan"]["hidden_width"]


@pytest.mark.parametrize("preset", ["ucf", "activitynet", "vggsound", "sample"])
def test_presets_keep_their_network(preset: str) -> None:
    """Their widths are given."""
    settings = load_settings(preset=preset)

    assert with_network_size(settings, 10).daan == settings.daan
