"""daan/pages: each method has a page from one template, whose options, presets and figures are those of the code."""

import dataclasses
import math
import re
from pathlib import Path

import pytest

from daan.method import MethodConfig
from pipeline.avgzsl_benchmark.reproduction.published import PUBLISHED
from pipeline.comparison.published import PublishedRow
from pipeline.datasets.official.protocol import BENCHMARKS
from pipeline.settings.tree import presets
from pipeline.training.methods import METHODS, config_class, method_class

PAGES = Path(__file__).parents[1] / "daan" / "pages"
HEADINGS = [
    "Idea",
    "Equations",
    "What is exact, what is a reading",
    "Options",
    "Presets",
    "Published figures",
    "Measured figures",
]


def page(method: str) -> str:
    """Read the page of a method."""
    return (PAGES / f"{method}.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return the text below a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def cells_of(text: str) -> list[list[str]]:
    """Return the cells of the rows of the tables in a text, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for number, row in enumerate(rows) if not (number == 0 or set("".join(row)) <= set("-: "))]


@pytest.mark.parametrize("method", METHODS)
def test_a_page_follows_the_template(method: str) -> None:
    """Its title, the headings and their order are the same everywhere."""
    text = page(method)
    about = method_class(method).about
    assert text.startswith(f"# {about.title} (`{method}`)\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert str(about.year) in text.partition("\n## ")[0]
    assert f"avzsl train --method {method}" in text
    assert "<!-- measured -->" not in text
    assert len(section(text, "Measured figures").strip()) > 0


@pytest.mark.parametrize("method", [name for name in METHODS if name != "daan"])
def test_a_page_lists_every_option_with_its_default(method: str) -> None:
    """The widths are left out, because they are taken from the data; DAAN's options stand in its README."""
    widths = {field.name for field in dataclasses.fields(MethodConfig)}
    expected = {
        field.name: str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        for field in dataclasses.fields(config_class(method))
        if field.name not in widths
    }
    listed = {}
    for names, defaults, _ in cells_of(section(page(method), "Options")):
        for name, default in zip(names.split(", "), defaults.split(", "), strict=True):
            listed[name.strip("`")] = default.strip("`")
    listed = {name: default for name, default in listed.items() if name not in widths | {"-"}}
    assert listed == expected


@pytest.mark.parametrize("method", METHODS)
def test_a_page_names_every_preset(method: str) -> None:
    """The names in code that look like presets are exactly those that exist."""
    text = section(page(method), "Presets")
    start = "" if method == "daan" else f"{method}-"
    datasets = "|".join((*BENCHMARKS, "sample"))
    named = set(re.findall(rf"`({start}(?:{datasets})(?:-\w+)?)`", text))
    assert named == set(presets(method))


@pytest.mark.parametrize("method", METHODS)
def test_a_page_has_the_published_figures(method: str) -> None:
    """Its table has a row for each kind of features and benchmark with a published row, with its source."""
    table = page(method).partition("<!-- published -->\n")[2].partition("<!-- /published -->")[0]
    listed = {(row[0], row[1].lower()): row[2:] for row in cells_of(table)}
    title = method_class(method).about.title
    expected: dict[tuple[str, str], PublishedRow] = {
        (kind, benchmark): row
        for kind, tables in PUBLISHED.items()
        for benchmark, rows in tables.items()
        for row in rows
        if row.method == title
    }
    assert set(listed) == set(expected)
    for key, row in expected.items():
        assert listed[key][:4] == row.cells, key
        assert math.isnan(row.S) or row.source in listed[key][4]


def test_the_index_links_every_page() -> None:
    """Its table has one row per method, in the order of avzsl methods."""
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([\w-]+)\.md\)", index)
    assert [name for name in dict.fromkeys(linked) if name in METHODS] == list(METHODS)
    assert {path.stem for path in PAGES.glob("*.md")} == {*METHODS, "README", "adding"}
