"""pipeline/datasets/phrases.py and classes.csv: several phrases for one class."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import UsageError
from pipeline.datasets.dataset import read_phrases, read_source, save_dataset
from pipeline.datasets.phrases import comparable_phrases, parse_phrases, phrases_of_name, phrases_text


@given(st.lists(st.text(st.characters(exclude_characters="|", exclude_categories=("Cs",)), min_size=1), max_size=5))
def test_phrases_survive_being_one_text(phrases: list[str]) -> None:
    """Joined and parted again they are the same, each once, without the spaces around them."""
    expected = list(dict.fromkeys(phrase.strip() for phrase in phrases if phrase.strip()))
    assert list(parse_phrases(phrases_text(phrases))) == expected
    assert parse_phrases(phrases_text(expected)) == tuple(expected)


def test_names_become_phrases_each_for_itself() -> None:
    """As a name alone does; what has no words is left out."""
    assert phrases_of_name("DogBarking|a dog_barks||-") == ("dog barking", "a dog barks")
    assert phrases_of_name("|") == ()


def test_order_case_and_spaces_make_no_other_class() -> None:
    """Two such classes would have one vector."""
    assert comparable_phrases(["a dog  barks", "Woof"]) == comparable_phrases(["woof", "A dog barks", "woof"])
    assert comparable_phrases(["woof"]) != comparable_phrases(["woof", "a dog barks"])


def write_dataset(folder: Path, classes: str) -> Path:
    """A manifest of a video each of `dog` and `cat`, and a list of classes."""
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
def test_both_forms_of_classes_csv_read_the_same(tmp_path: Path, classes: str) -> None:
    """Several rows for one class, or `|` in one; what is saved reads the same again."""
    dataset = read_source(write_dataset(tmp_path, classes))
    assert dataset.phrases == {"cat": ("cat",), "dog": ("a dog barks", "woof")}
    (tmp_path / "kept").mkdir()
    save_dataset(dataset, tmp_path / "kept")
    assert read_phrases(tmp_path / "kept" / "classes.csv") == dataset.phrases


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("class,phrase\ndog,woof\ndog,woof\n", "line 3: class 'dog' is there twice"),
        ("class,phrase\ndog,woof|bark\ndog,\n", "line 3: class 'dog' is there twice"),
        ("class,phrase\ndog,woof|bark\ncat,Bark | woof\n", "'cat', 'dog' all read 'bark | woof'"),
    ],
)
def test_rows_that_add_nothing_and_equal_classes_are_refused(tmp_path: Path, classes: str, message: str) -> None:
    """A row too many is a mistake, and two classes with the same phrases could not be told apart."""
    with pytest.raises(UsageError, match=message.replace("|", r"\|")):
        read_source(write_dataset(tmp_path, classes))
