"""pipeline/avgzsl_benchmark/reproduction/published.py and ablation.py: the published results are copied correctly."""

import math
import re
from pathlib import Path

import pytest

from pipeline.avgzsl_benchmark.reproduction.ablation import ABLATIONS, PUBLISHED_ABLATIONS
from pipeline.avgzsl_benchmark.reproduction.published import (
    PUBLISHED,
    SOURCES,
    published_table,
    rows_of,
)
from pipeline.comparison.published import PublishedRow
from pipeline.datasets.official.protocol import BENCHMARKS
from pipeline.features.feature_kinds import FEATURE_KINDS
from pipeline.settings.tree import presets

METRICS = ("S", "U", "HM", "ZSL")
ROWS = [
    (kind, benchmark, row) for kind, tables in PUBLISHED.items() for benchmark, rows in tables.items() for row in rows
]
# What the papers print although it cannot be right.
DOUBTED = {
    ("main", "activitynet", "DAAN"): ["HM is printed as 13.87, but S and U give 13.77"],
    ("cls", "ucf", "KDA"): ["HM is printed as 54.84, but S and U give 54.87"],
    ("cls", "activitynet", "KDA"): ["HM is printed as 17.95, but S and U give 16.10"],
    ("cls", "vggsound", "STFT"): ["U (8.83) is above ZSL (8.79)"],
    ("cls", "activitynet", "STFT"): ["U (9.83) is above ZSL (9.46)"],
}


def test_only_the_known_figures_are_doubted() -> None:
    """Every other HM is 2SU / (S + U), and every other U is at most ZSL; this finds errors in copying too."""
    found = {(kind, benchmark, row.method): row.doubts for kind, benchmark, row in ROWS if row.doubts}
    assert set(found) == set(DOUBTED)
    for key, (doubt,) in found.items():
        assert doubt.startswith(DOUBTED[key][0])
    others = [row for tables in PUBLISHED_ABLATIONS.values() for rows in tables.values() for row in rows]
    assert not any(row.doubts for row in others)


def test_a_doubted_figure_is_marked() -> None:
    """The mark stands at the figure: at HM if S and U contradict it, at U if it is above ZSL."""
    assert PublishedRow("a", 20.91, 10.26, 13.87, 11.15).cells == ["20.91", "10.26", "13.87?", "11.15"]
    assert PublishedRow("a", 11.74, 8.83, 10.08, 8.79).cells == ["11.74", "8.83?", "10.08", "8.79"]
    nan = math.nan
    assert PublishedRow("a", nan, nan, 35.37, 32.30).cells == ["-", "-", "35.37", "32.30"]
    assert not PublishedRow("a", 0, 0, 0, 0).doubts


def test_every_table_has_its_rows_its_sources_and_its_preset() -> None:
    """Each kind of features has a table for each benchmark, with the same methods, and a source for each method."""
    assert set(PUBLISHED) == set(FEATURE_KINDS) == set(SOURCES)
    for kind, tables in PUBLISHED.items():
        assert set(tables) == set(BENCHMARKS) <= set(presets())
        for benchmark, rows in tables.items():
            assert [row.method for row in rows] == [row.method for row in tables["ucf"]]
            assert {row.method for row in rows} == set(SOURCES[kind])
            table = published_table(benchmark, FEATURE_KINDS[kind])
            assert table is not None
            assert table.rows == rows
            assert all(row.source in " ".join(table.notes) for row in rows)
    assert PUBLISHED["main"]["ucf"][-1].method == "DAAN"
    assert published_table(None, FEATURE_KINDS["main"]) is published_table("ucf", None) is None


def test_a_row_without_some_figures_has_nan() -> None:
    """A dash stands for a figure that was not published."""
    (row,) = rows_of("MSTR - - 32.43 -")
    assert math.isnan(row.S)
    assert row.HM == 32.43


@pytest.mark.parametrize(("method", "kind", "title"), [("daan", "main", "DAAN"), ("mft", "clip", "MFT")])
def test_the_full_row_of_an_ablation_equals_the_row_of_the_method(method: str, kind: str, title: str) -> None:
    """Both tables of a paper have the same numbers for it; every published row is a variant that can be trained."""
    for benchmark, rows in PUBLISHED_ABLATIONS[method, kind].items():
        (whole,) = (row for row in PUBLISHED[kind][benchmark] if row.method == title)
        assert rows[-1].cells == whole.cells
        named = [variant.name for variant in ABLATIONS[method]]
        assert [name for name in named if name in {row.method for row in rows}] == [row.method for row in rows]


def printed(text: str) -> list[float]:
    """Read figures of the notes; a mark of doubt is left out."""
    return [float(figure) for figure in text.replace("?", "").split()]


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        ("main", "**main (SeLaVi)**", "DAAN leaves out"),
        ("cls", "**cls (VGGish", "**clip (CLIP"),
        ("clip", "**clip (CLIP", "Since then"),
    ],
)
def test_published_metrics_equal_the_design_notes(shared: Path, kind: str, start: str, end: str) -> None:
    """The tables of the notes have a row per method: S U HM ZSL of VGGSound, UCF and ActivityNet."""
    text = (shared / "design" / "zoo.md").read_text()
    section = text[text.index(start) : text.index(end)]
    found: dict[tuple[str, str], list[float]] = {}
    for method, *cells in re.findall(
        r"^\| ([\w/ -]+?)(?: \([^|]*)? \| ([\d. ?]+) \| ([\d. ?]+) \| ([\d. ?]+) \|$", section, re.MULTILINE
    ):
        for benchmark, cell in zip(("vggsound", "ucf", "activitynet"), cells, strict=True):
            found[benchmark, method] = printed(cell)
    compared = 0
    for benchmark, rows in PUBLISHED[kind].items():
        for row in rows:
            ours = [number for name in METRICS if not math.isnan(number := getattr(row, name))]
            if (benchmark, row.method) in found:
                compared += 1
                notes = found[benchmark, row.method]
                assert ours == (notes if len(ours) == len(notes) else notes[-len(ours) :]), (benchmark, row.method)
    # Four rows of cls stand in two lines of their own, and two of clip in a sentence.
    assert compared == 3 * len(PUBLISHED[kind]["ucf"]) - {"main": 0, "cls": 12, "clip": 6}[kind]


@pytest.mark.needs_shared
def test_rows_of_cls_with_hm_and_zsl_only_equal_the_design_notes(shared: Path) -> None:
    """The notes have one line for HM and one for ZSL of four methods."""
    text = (shared / "design" / "zoo.md").read_text()
    methods = ("ALE", "SJE", "DeViSE", "APN")
    for metric in ("HM", "ZSL"):
        line = next(line for line in text.splitlines() if line.startswith(f"| {' / '.join(methods)}, {metric} "))
        for benchmark, cell in zip(("vggsound", "ucf", "activitynet"), line.strip("| ").split(" | ")[1:], strict=True):
            rows = {row.method: row for row in PUBLISHED["cls"][benchmark]}
            assert [getattr(rows[method], metric) for method in methods] == printed(cell)


@pytest.mark.needs_shared
def test_the_ablation_of_mft_equals_the_design_notes(shared: Path) -> None:
    """The notes have two variants in a line, with HM and ZSL."""
    text = (shared / "design" / "zoo.md").read_text()
    for start, variants in (
        ("| MFT - cosine / - KL", ("without-cosine", "without-kl")),
        ("| MFT audio / vis", ("audio", "visual")),
    ):
        (line,) = (line for line in text.splitlines() if line.startswith(start))
        for benchmark, cell in zip(("vggsound", "ucf", "activitynet"), line.strip("| ").split(" | ")[1:], strict=True):
            rows = {row.method: row for row in PUBLISHED_ABLATIONS["mft", "clip"][benchmark]}
            found = [[rows[name].HM, rows[name].ZSL] for name in variants]
            assert found == [printed(pair) for pair in cell.split(" / ")]
    (line,) = (line for line in text.splitlines() if line.startswith("| MFT without attention"))
    for benchmark, cell in zip(("vggsound", "ucf", "activitynet"), line.strip("| ").split(" | ")[1:], strict=True):
        rows = {row.method: row for row in PUBLISHED_ABLATIONS["mft", "clip"][benchmark]}
        assert [getattr(rows["without-attention"], name) for name in METRICS] == printed(cell)


@pytest.mark.needs_shared
def test_metrics_of_the_ablation_equal_the_design_notes(shared: Path) -> None:
    """The notes have four rows in the order of the paper."""
    text = (shared / "design" / "daan.md").read_text().replace("(first digits unsure in our copy) ", "")
    section = text[text.index("Ablation on UCF") :]
    rows = re.findall(r"([\d.]+) / ([\d.]+) / ([\d.]+) / ([\d.]+\d)", section)[:4]

    ours = [[getattr(row, name) for name in METRICS] for row in PUBLISHED_ABLATIONS["daan", "main"]["ucf"]]
    assert [list(map(float, row)) for row in rows] == ours
