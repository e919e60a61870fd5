"""pipeline/comparison/text_tables.py: numbers and tables as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.comparison.text_tables import TextTable, in_words, shown_metrics, shown_number, shown_spread
from pipeline.scoring.metrics import METRICS

percent = st.floats(0, 100) | st.just(math.nan)
spread = st.floats(0, 100 / math.sqrt(2)) | st.just(math.nan)  # no sample of percentages deviates more


@given(st.lists(percent, min_size=4, max_size=4), st.lists(spread, min_size=4, max_size=4))
def test_a_mean_with_its_deviation_fits_its_column(means: list[float], deviations: list[float]) -> None:
    """Twelve characters are the most, so that a table with four metrics fits 80 columns."""
    mean, deviation = (dict(zip(METRICS, values, strict=True)) for values in (means, deviations))
    assert all(len(cell) <= 12 for cell in shown_spread(mean, deviation))


@pytest.mark.parametrize(
    ("mean", "deviation", "shown"),
    [
        (52.384, 1.236, "52.38 ± 1.24"),
        (52.384, 13.24, "52.38 ± 13.2"),
        (100.0, 0.0, "100.0 ± 0.00"),
        (99.996, 9.996, "100.0 ± 10.0"),
        (7.1, math.nan, "7.10"),
        (math.nan, math.nan, "-"),
    ],
)
def test_a_spread_is_shown_as_short_as_it_may_be(mean: float, deviation: float, shown: str) -> None:
    """Large numbers lose a decimal; a single seed has no deviation; an undefined metric is a dash."""
    assert shown_spread(dict.fromkeys(METRICS, mean), dict.fromkeys(METRICS, deviation)) == [shown] * 4


def test_numbers_have_two_decimals() -> None:
    """NaN is a dash."""
    assert shown_metrics({"S": 1, "U": 2.345, "HM": math.nan, "ZSL": 100}) == ["1.00", "2.35", "-", "100.00"]
    assert shown_number(0) == "0.00"


def test_a_table_is_written_as_markdown() -> None:
    """Strong rows are bold, and a bar in a cell does not end it."""
    table = TextTable("title", ("a", "b"), [("x|y", ""), ("1", "2")], strong=frozenset({1}))
    assert table.to_markdown().splitlines() == ["| a | b |", "| --- | --- |", "| x\\|y |  |", "| **1** | **2** |"]
    assert table.to_section().rows == table.rows


def test_nested_facts_are_shown_in_one_line() -> None:
    """As in the table of the data."""
    assert in_words({"seen": 3, "more": {"unseen": 2}}) == "seen 3, more unseen 2"
