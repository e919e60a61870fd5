"""pipeline/base/csv_tables.py: every cell is read as it was written; wrong tables are refused with the line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.csv_tables import (
    joined_names,
    read_by_line,
    read_table,
    read_user_table,
    split_names,
    with_known_names,
    write_rows,
    write_table,
)
from pipeline.base.errors import StorageError, UsageError

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_every_cell_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """Cells may contain commas, quotes and every kind of line end."""
    path = tmp_path_factory.mktemp("tables") / "a.csv"

    write_rows(path, [("first", "second"), *rows])

    assert [(row["first"], row["second"]) for row in read_table(path)] == rows


def test_a_table_without_rows_is_an_empty_file(tmp_path: Path) -> None:
    """The file has no columns either, and reading it gives no rows."""
    write_table(tmp_path / "a.csv", [])

    assert (tmp_path / "a.csv").read_bytes() == b""
    assert read_table(tmp_path / "a.csv") == []


@pytest.mark.parametrize("row", ["1", "1,2,3"])
def test_a_row_that_does_not_fit_the_header_is_a_storage_error(tmp_path: Path, row: str) -> None:
    """In a table that avzsl wrote, such a row means damage; the message gives its number."""
    (tmp_path / "a.csv").write_text(f"a,b\n1,2\n{row}\n")

    with pytest.raises(StorageError, match="row 2 does not fit the header"):
        read_table(tmp_path / "a.csv")


def test_a_users_table_may_lack_cells_but_not_columns(tmp_path: Path) -> None:
    """A missing cell is read as empty; the message about a missing column lists the existing ones."""
    (tmp_path / "a.csv").write_text("a,b\n1\n")

    assert list(read_user_table(tmp_path / "a.csv", required=("a",))) == [(2, {"a": "1", "b": ""})]
    with pytest.raises(UsageError, match="no column c in its first line; it has a, b"):
        list(read_user_table(tmp_path / "a.csv", required=("a", "c")))


def test_the_names_of_columns_are_compared_without_case_and_spaces(tmp_path: Path) -> None:
    """Spaces after the commas of the first line are none of the cells; without them, spaces belong to the cells."""
    (tmp_path / "a.csv").write_text('"A", B\n1, "2, 3"\n')
    assert list(read_user_table(tmp_path / "a.csv", required=("a",))) == [(2, {"a": "1", "b": "2, 3"})]

    (tmp_path / "a.csv").write_text("a,B \n 1, 2\n")
    assert list(read_user_table(tmp_path / "a.csv", required=("b",))) == [(2, {"a": " 1", "b": " 2"})]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """One of them would be lost. Columns without a name are no columns."""
    (tmp_path / "a.csv").write_text("a,A\n1,2\n")
    with pytest.raises(UsageError, match=r"a\.csv: two columns are named 'a': keep one"):
        list(read_user_table(tmp_path / "a.csv", required=("a",)))

    (tmp_path / "a.csv").write_text("a,,\n1,,\n")
    assert list(read_user_table(tmp_path / "a.csv", required=("a",))) == [(2, {"a": "1", "": ""})]


def test_a_users_table_with_too_many_cells_is_refused_if_strict(tmp_path: Path) -> None:
    """The message gives the line; without `strict` the extra cells are ignored."""
    (tmp_path / "a.csv").write_text("a,b\n1,2,3\n")

    with pytest.raises(UsageError, match=r"line 2: more cells than the first line has names \(2\)"):
        list(read_user_table(tmp_path / "a.csv", required=("a",)))
    assert list(read_user_table(tmp_path / "a.csv", required=("a",), strict=False)) == [(2, {"a": "1", "b": "2"})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_most_frequent_delimiter_of_the_first_line_is_used(tmp_path: Path, delimiter: str) -> None:
    """Empty lines are left out; the line numbers are those of the file."""
    (tmp_path / "a.csv").write_text(f"a{delimiter}b\n\n1{delimiter}2\n")

    assert list(read_by_line(tmp_path / "a.csv", delimiters=",;\t")) == [(1, ["a", "b"]), (3, ["1", "2"])]


@given(st.lists(st.text(st.characters(blacklist_characters='"\r\n', blacklist_categories=("Cs", "Cc"))), max_size=5))
def test_quoted_names_are_split_as_they_were_joined(names: list[str]) -> None:
    """Any name is kept in quotes, with spaces around the quotes or without; spaces around a name do not count."""
    stripped = [name.strip() for name in names]
    assert split_names(",".join(f'"{name}"' for name in names)) == stripped
    assert split_names(" , ".join(f'"{name}"' for name in names)) == stripped


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a, b,c", ["a", "b", "c"]),
        ('a, "b, c" ,d', ["a", "b, c", "d"]),
        ('12" record, say ""', ['12" record', 'say ""']),
        ("a,,b", ["a", "", "b"]),
        ("a\nb\n\nc\n", ["a", "b", "c"]),
        ("'a, b', c", ["a, b", "c"]),
        ("rock 'n' roll, 'tis, 'twas", ["rock 'n' roll", "'tis", "'twas"]),
        ('"a, b"|a phrase, c', ["a, b|a phrase", "c"]),
        ("\"a, 'b', c\", d", ["a, 'b', c", "d"]),
        ("", []),
    ],
)
def test_names_are_split_at_commas_outside_quotes(text: str, names: list[str]) -> None:
    """Quotes inside a name are letters of it."""
    assert split_names(text) == names


NAMES = st.text("ab ,;'", min_size=1).map(str.strip).filter(bool)


@given(names=st.lists(NAMES, min_size=1, max_size=4))
def test_joined_names_are_split_as_they_were(names: list[str]) -> None:
    """So a list that is shown can be pasted after --unseen or --classes."""
    assert split_names(joined_names(names)) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("bird chirping, tweeting, yoga", ["bird chirping, tweeting", "yoga"]),
        ("Yoga, Bird  Chirping,tweeting", ["Yoga", "bird chirping, tweeting"]),
        ("bee, wasp, etc. buzzing", ["bee, wasp, etc. buzzing"]),
        ("bee, wasp", ["bee, wasp"]),
        ("bee, dog", ["bee", "dog"]),
        ("bird chirping, tweeting|a bird sings, yoga", ["bird chirping, tweeting|a bird sings", "yoga"]),
        ("tweeting, bird chirping", ["tweeting", "bird chirping"]),
        ('"bird chirping", tweeting', ["bird chirping, tweeting"]),
    ],
)
def test_known_names_with_commas_are_recognised_before_a_list_is_cut(text: str, names: list[str]) -> None:
    """The longest known name counts; other names are cut as ever."""
    known = ["bird chirping, tweeting", "bee, wasp", "bee, wasp, etc. buzzing", "yoga"]
    assert with_known_names(split_names(text), known) == names


def test_pieces_that_are_all_known_names_stay_apart() -> None:
    """A list of classes means those classes, although a third one is called like both."""
    known = ["yoga", "typing", "yoga, typing"]
    assert with_known_names(["yoga", "typing"], known) == ["yoga", "typing"]
    assert with_known_names(["yoga, typing"], known) == ["yoga, typing"]


def test_a_name_with_a_comma_is_shown_in_quotes() -> None:
    """Without quotes it would read as two names."""
    assert joined_names(["yoga", "red, yellow"]) == 'yoga, "red, yellow"'


def test_comments_before_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    """A row that begins with # is a row, and without `comments` so is the first line."""
    path = tmp_path / "classes.csv"
    path.write_text("# my classes\n\n#, two\nclass,phrase\n#1 fan,cheering\n")
    assert list(read_user_table(path, required=("class",), comments=True)) == [
        (5, {"class": "#1 fan", "phrase": "cheering"})
    ]
    with pytest.raises(UsageError, match="no column class"):
        list(read_user_table(path, required=("class",)))
