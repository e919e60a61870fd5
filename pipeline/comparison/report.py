"""Write the tables of a comparison as Markdown, HTML and JSON, with the exact settings and the hashes of the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pipeline.base.files import write_json, write_text
from pipeline.comparison.text_tables import TextTable, in_words
from pipeline.evaluation.html import Section, render_page


@dataclass(frozen=True)
class Report:
    """What a report of several runs contains.

    Attributes:
        title: the heading.
        notes: what a reader must know to compare the figures, a paragraph each.
        tables: the tables.
        data: facts about the data, with hashes.
        settings: heading -> settings as YAML.
        document: the document of --json, without data and software.
    """

    title: str
    notes: Sequence[str]
    tables: Sequence[TextTable]
    data: Mapping[str, Any]
    settings: Mapping[str, str]
    document: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the document of --json."""
        return {**self.document, "data": dict(self.data), "software": _software()}


@dataclass(frozen=True)
class ReportFiles:
    """The files of a written report."""

    markdown: Path
    page: Path
    document: Path


def write_report(report: Report, folder: Path, name: str) -> ReportFiles:
    """Write <folder>/<name>.{md,html,json}.

    Raises:
        StorageError: a full disk, or a folder that cannot be written.
    """
    files = ReportFiles(*(folder / f"{name}.{ending}" for ending in ("md", "html", "json")))
    write_text(files.markdown, _markdown(report))
    write_text(files.page, _page(report))
    write_json(files.document, report.to_json())
    return files


def _software() -> dict[str, str]:
    return {"avzsl": version("avzsl"), "torch": torch.__version__}


def _facts(report: Report) -> TextTable:
    """List data and software as names and values."""
    nested = {**report.data, "software": _software()}
    rows = [(name.replace("_", " "), in_words(value)) for name, value in nested.items()]
    return TextTable("made from", ("data", ""), rows)


def _markdown(report: Report) -> str:
    tables = [*report.tables, _facts(report)]
    blocks = [f"# {report.title}", *report.notes]
    blocks += [f"## {table.title}\n\n{table.to_markdown()}" for table in tables]
    blocks += [f"## {heading}\n\n```yaml\n{yaml}```" for heading, yaml in report.settings.items()]
    return "\n\n".join(blocks) + "\n"


def _page(report: Report) -> str:
    sections = [
        Section(paragraphs=report.notes),
        *(table.to_section() for table in (*report.tables, _facts(report))),
        *(Section(summary=heading, code=yaml) for heading, yaml in report.settings.items()),
    ]
    return render_page(report.title, sections)
