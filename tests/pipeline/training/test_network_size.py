"""pipeline/training/network_size.py: few training videos give a small network, but what the user gave is kept."""

import pytest

from pipeline.settings.tree import Settings, load_settings
from pipeline.training.network_size import SMALL, SMALL_BELOW_VIDEOS, with_network_size


@pytest.mark.parametrize(("videos", "network"), [(2, "small"), (SMALL_BELOW_VIDEOS - 1, "small"), (3174, "paper")])
def test_the_number_of_training_videos_chooses_the_network(videos: int, network: str) -> None:
    """The choice is recorded in the settings; a large dataset keeps the paper's values."""
    found = with_network_size(load_settings(), videos)

    assert found.training.network == network
    if network == "small":
        assert all(getattr(found.daan, name) == value for name, value in SMALL["daan"].items())
        assert all(getattr(found.training, name) == value for name, value in SMALL["training"].items())
    else:
        assert found.daan == Settings().daan


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
