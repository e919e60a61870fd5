"""Render HTML pages of headings, paragraphs, tables and figures with the template that all reports share."""

import base64
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2

from pipeline.base.files import read_bytes


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a page. All content is text, never markup.

    Attributes:
        heading: the heading; empty for none.
        paragraphs: lines of text.
        columns: the head of a table; if all cells are empty, the table has no head.
        rows: the rows of the table.
        strong: indices of the rows in bold.
        figure: a PNG in base64.
        summary: the line that the reader clicks to show `code`.
        code: text with its line breaks.
    """

    heading: str = ""
    paragraphs: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    strong: frozenset[int] = frozenset()
    figure: str = ""
    summary: str = ""
    code: str = ""


def render_page(title: str, sections: Iterable[Section]) -> str:
    """Render a page that needs no other file."""
    return _template().render(title=title, sections=list(sections))


def figure_section(path: Path) -> Section:
    """Make a section of a PNG, with the file's name as heading.

    Raises:
        StorageError: a figure that cannot be read.
    """
    content = base64.b64encode(read_bytes(path)).decode()
    return Section(heading=path.stem.replace("_", " "), figure=content)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    source = resources.files("pipeline.evaluation").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)
