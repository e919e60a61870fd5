"""pipeline/suggestions.py: what a user may have meant."""

from pathlib import Path

from pipeline.suggestions import did_you_mean, does_not_exist


def test_the_nearest_choice_is_suggested() -> None:
    """A slip of one letter finds the name it was meant for."""
    assert did_you_mean("daan.betta", ["daan.beta", "daan.heads"]) == " Did you mean daan.beta?"


def test_nothing_is_suggested_when_nothing_is_near() -> None:
    """A far-fetched suggestion would only confuse."""
    assert did_you_mean("xyz", ["daan.beta", "training.epochs"]) == ""
    assert did_you_mean("xyz", []) == ""


def test_a_missing_path_suggests_its_neighbour_whatever_the_case(tmp_path: Path) -> None:
    """Another ending or capital letter is the usual reason why a file is not there."""
    (tmp_path / "Holiday.MP4").touch()

    message = does_not_exist(tmp_path / "holiday.mov")

    assert message == f"{tmp_path}/holiday.mov does not exist. Did you mean {tmp_path}/Holiday.MP4?"


def test_a_path_in_a_missing_folder_is_named_without_a_suggestion(tmp_path: Path) -> None:
    """Nothing can be near where there is no folder to look into."""
    path = tmp_path / "nowhere" / "clip.mp4"

    assert does_not_exist(path) == f"{path} does not exist."
