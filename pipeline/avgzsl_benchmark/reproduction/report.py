"""Write a reproduction as Markdown, HTML and JSON, with the exact configuration and the hashes of the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pipeline.avgzsl_benchmark.reproduction.published import PUBLISHED, PUBLISHED_ABLATION
from pipeline.avgzsl_benchmark.reproduction.reproduce import Reproduction
from pipeline.avgzsl_benchmark.reproduction.tables import TextTable, tables
from pipeline.base.files import write_json, write_text
from pipeline.base.workspace import Workspace
from pipeline.evaluation.html import Section, render_page
from pipeline.settings.tree import show_settings

_COMPARED = (
    "Published results: main split, SeLaVi features, in percent. S, U: recall of seen and unseen classes, choosing "
    "among all classes. HM: harmonic mean of S and U. ZSL: recall of unseen classes, choosing among unseen classes "
    "only. Nothing was chosen by the test videos."
)
_LEGACY_ORDER = "Classes have the vectors that the AVCA code gives them; many get the vector of another class."
_RIGHT_ORDER = (
    "Every class has its own vector. The AVCA code mixes vectors up; --set text.legacy_class_order=true repeats that."
)


@dataclass(frozen=True)
class ReproductionFiles:
    """The files of a written reproduction."""

    markdown: Path
    page: Path
    document: Path


def write_reproduction(reproduction: Reproduction, workspace: Workspace) -> ReproductionFiles:
    """Write reports/reproduction-<benchmark>/reproduction.{md,html,json}.

    Raises:
        StorageError: a full disk, or a folder that cannot be written.
    """
    folder = workspace.report_folder(f"reproduction-{reproduction.benchmark}")
    files = ReproductionFiles(*(folder / f"reproduction.{ending}" for ending in ("md", "html", "json")))
    write_text(files.markdown, _markdown(reproduction))
    write_text(files.page, _page(reproduction))
    write_json(files.document, document_of(reproduction))
    return files


def notes_of(reproduction: Reproduction) -> list[str]:
    """Return what a reader must know to compare the results."""
    notes = [_COMPARED]
    if reproduction.data["features"].get("extractor") == "synthetic":
        notes.append("These features were generated: the results only show that the protocol runs.")
    notes.append(_LEGACY_ORDER if reproduction.data["legacy_class_order"] else _RIGHT_ORDER)
    return notes


def document_of(reproduction: Reproduction) -> dict[str, Any]:
    """Return the document of `reproduce --json`."""
    return {
        "benchmark": reproduction.benchmark,
        "score": reproduction.score,
        "variants": {
            result.variant.name: {
                "qdma": result.variant.qdma,
                "csgm": result.variant.csgm,
                "mean": {score: result.over_seeds(score)[0] for score in result.scores},
                "deviation": {score: result.over_seeds(score)[1] for score in result.scores},
                "runs": {
                    seed.run: {"seed": seed.seed, "best_epoch": seed.best_epoch, **seed.metrics}
                    for seed in result.seeds
                },
            }
            for result in reproduction.results
        },
        "published": {row.method: _metrics(vars(row)) for row in PUBLISHED[reproduction.benchmark]},
        "published_ablation": {
            name: _metrics(vars(row)) for name, row in PUBLISHED_ABLATION.get(reproduction.benchmark, {}).items()
        },
        "data": dict(reproduction.data),
        "settings": show_settings(reproduction.settings),
        "software": _software(),
    }


def _metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "method"}


def _software() -> dict[str, str]:
    return {"avzsl": version("avzsl"), "torch": torch.__version__}


def _facts(reproduction: Reproduction) -> list[tuple[str, str]]:
    """List the data and software of the reproduction as names and values."""
    nested = {**reproduction.data, "software": _software()}
    return [(name.replace("_", " "), _in_words(value)) for name, value in nested.items()]


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(entry)}" for name, entry in value.items())
    return str(value)


def _title(reproduction: Reproduction) -> str:
    return f"DAAN on {reproduction.benchmark}: reproduction"


def _markdown(reproduction: Reproduction) -> str:
    blocks = [f"# {_title(reproduction)}", *notes_of(reproduction)]
    blocks += [f"## {table.title}\n\n{_markdown_table(table)}" for table in tables(reproduction)]
    facts = TextTable("", ("data", ""), _facts(reproduction))
    settings = show_settings(reproduction.settings)
    blocks += [f"## made from\n\n{_markdown_table(facts)}", f"## every setting\n\n```yaml\n{settings}```"]
    return "\n\n".join(blocks) + "\n"


def _markdown_table(table: TextTable) -> str:
    lines = [table.columns, ["-" * 3 for _ in table.columns]]
    for index, row in enumerate(table.rows):
        cells = [cell.replace("|", "\\|") for cell in row]
        lines.append([f"**{cell}**" if cell and index in table.strong else cell for cell in cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(reproduction: Reproduction) -> str:
    sections = [
        Section(paragraphs=notes_of(reproduction)),
        *(_table_section(table) for table in tables(reproduction)),
        _table_section(TextTable("made from", ("data", ""), _facts(reproduction))),
        Section(summary="every setting", code=show_settings(reproduction.settings)),
    ]
    return render_page(_title(reproduction), sections)


def _table_section(table: TextTable) -> Section:
    return Section(heading=table.title, columns=table.columns, rows=table.rows, strong=table.strong)
