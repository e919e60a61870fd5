"""pipeline/published.py: the published figures as data."""

import pytest

from pipeline.benchmarks import BENCHMARKS
from pipeline.config import presets
from pipeline.published import PUBLISHED, PUBLISHED_ABLATION, PublishedRow

ROWS = [row for rows in PUBLISHED.values() for row in rows]
ROWS += [row for rows in PUBLISHED_ABLATION.values() for row in rows.values()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method}-{row.HM}")
def test_a_harmonic_mean_is_that_of_its_row(row: PublishedRow) -> None:
    """A slip in copying would show: HM = 2SU / (S + U). DAAN's own row for ActivityNet is 0.10 off in the paper."""
    harmonic_mean = 2 * row.S * row.U / (row.S + row.U)
    assert harmonic_mean == pytest.approx(row.HM, abs=0.11)


def test_every_benchmark_has_its_rows_and_its_preset() -> None:
    """Eight methods each, DAAN last; a preset of the same name."""
    assert set(PUBLISHED) == set(BENCHMARKS) <= set(presets())
    assert all(len(rows) == 8 and rows[-1].method == "DAAN" for rows in PUBLISHED.values())


def test_the_full_row_of_the_ablation_is_the_method() -> None:
    """Both tables of the paper say the same of it."""
    full, method = PUBLISHED_ABLATION["ucf"]["full"], PUBLISHED["ucf"][-1]
    assert (full.S, full.U, full.HM, full.ZSL) == (method.S, method.U, method.HM, method.ZSL)
