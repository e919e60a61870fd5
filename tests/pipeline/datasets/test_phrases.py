"""pipeline/datasets/phrases.py and classes.csv: several phrases for one class."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import UsageError
from pipeline.datasets.dataset import read_phrases, read_source, save_dataset
from pipeline.datasets.phrases import comparable_phrases, parse_phrases, phrases_of_name, phrases_text


@given(st.lists(st.text(st.characters(exclude_characters="|", exclude_categories=("Cs",)), min_size=1), max_size=5))
def test_joined_phrases_are_parsed_back_unchanged(phrases: list[str]) -> None:
    """Each phrase comes back once, without the spaces around it."""
    expected = list(dict.fromkeys(phrase.strip() for phrase in phrases if phrase.strip()))
    assert list(parse_phrases(phrases_text(phrases))) == expected
    assert parse_phrases(phrases_text(expected)) == tuple(expected)


def test_each_part_of_a_name_becomes_a_phrase() -> None:
    """Text without letters gives no phrase."""
    assert phrases_of_name("DogBarking|a dog_barks||-") == ("dog barking", "a dog barks")
    assert phrases_of_name("|") == ()


def test_phrases_are_compared_without_order_case_and_spaces() -> None:
    """Classes whose phrases differ only in these would have the same vector."""
    assert comparable_phrases(["a dog  barks", "Woof"]) == comparable_phrases(["woof", "A dog barks", "woof"])
    assert comparable_phrases(["woof"]) != comparable_phrases(["woof", "a dog barks"])


def write_dataset(folder: Path, classes: str) -> Path:
    """Write a manifest with one video of `dog` and one of `cat`, and a classes.csv."""
    (folder / "manifest.csv").write_text("path,class\na.mp4,dog\nb.mp4,cat\n")
    (folder / "classes.csv").write_text(classes)
    return folder / "manifest.csv"


@pytest.mark.parametrize(
    "classes",
    [
        "class,phrase\ndog,a dog barks|woof\ncat,\n",
        "class,phrase\ndog, a dog barks \ndog,woof\ncat,\n",
        "class,phrase\ndog,\ndog,a dog barks\ncat,cat\ndog,woof | a dog barks\n",
    ],
)
def test_both_forms_of_classes_csv_give_the_same_phrases(tmp_path: Path, classes: str) -> None:
    """A class has several rows, or one row with `|`; the saved file gives the same phrases again."""
    dataset = read_source(write_dataset(tmp_path, classes))
    assert dataset.phrases == {"cat": ("cat",), "dog": ("a dog barks", "woof")}
    (tmp_path / "kept").mkdir()
    save_dataset(dataset, tmp_path / "kept")
    assert read_phrases(tmp_path / "kept" / "classes.csv") == dataset.phrases


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("class,phrase\ndog,woof\ndog,woof\n", "line 3: class 'dog' appears twice"),
        ("class,phrase\ndog,woof|bark\ndog,\n", "line 3: class 'dog' appears twice"),
        ("class,phrase\ndog,woof|bark\ncat,Bark | woof\n", "'cat', 'dog' all have the phrase 'bark | woof'"),
    ],
)
def test_repeated_phrases_and_classes_with_equal_phrases_are_refused(
    tmp_path: Path, classes: str, message: str
) -> None:
    """A repeated row is a mistake, and classes with the same phrases could not be distinguished."""
    with pytest.raises(UsageError, match=message.replace("|", r"\|")):
        read_source(write_dataset(tmp_path, classes))
