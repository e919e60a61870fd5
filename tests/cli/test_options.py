"""cli/options.py: lists of names on the command line."""

import pytest

from cli.options import training_settings
from pipeline.base.errors import UsageError
from pipeline.settings.tree import load_settings


def test_quotes_keep_commas_in_the_names_of_held_out_classes() -> None:
    """--unseen and --set split in the same way."""
    given = training_settings(unseen='yoga, "purple, star",', unseen_fraction=None, seed=None, seeds=None)
    assert load_settings(options=given).holdout.unseen == ("yoga", "purple, star")
    assigned = load_settings(assignments=['holdout.unseen=yoga, "purple, star"'])
    assert assigned.holdout.unseen == ("yoga", "purple, star")
    assert load_settings(assignments=["training.seeds=0, 1"]).training.seeds == (0, 1)


@pytest.mark.parametrize("text", ['yoga, "purple', '"a" b'])
def test_quotes_that_cannot_be_read_are_refused(text: str) -> None:
    """The message shows the names, by option and by --set."""
    with pytest.raises(UsageError, match="cannot be split at their commas"):
        training_settings(unseen=text, unseen_fraction=None, seed=None, seeds=None)
    with pytest.raises(UsageError, match="cannot be split at their commas"):
        load_settings(assignments=[f"holdout.unseen={text}"])
