"""Show a reproduction: published results next to ours, the differences between methods, the ablation, and all runs."""

from collections.abc import Mapping
from typing import Any

from pipeline.avgzsl_benchmark.reproduction.ablation import published_variants
from pipeline.avgzsl_benchmark.reproduction.reproduce import Reproduction
from pipeline.base.wording import shown_epoch
from pipeline.comparison.comparison_report import comparison_table, document_of, notes_of, run_document
from pipeline.comparison.published import PublishedRow
from pipeline.comparison.report import Report
from pipeline.comparison.run_all import MethodResult
from pipeline.comparison.text_tables import TextTable, shown_number, shown_spread
from pipeline.scoring.metrics import METRICS
from pipeline.settings.tree import show_settings


def report_of(reproduction: Reproduction) -> Report:
    """Make the report of a reproduction."""
    results = reproduction.comparison.results
    titles = ", ".join(result.method.title for result in results)
    return Report(
        title=f"{titles} on {reproduction.benchmark}: reproduction",
        notes=notes_of(reproduction.comparison),
        tables=tables(reproduction),
        data=reproduction.comparison.data,
        settings={
            ("every setting" if len(results) == 1 else f"settings of {result.method.title}"): show_settings(
                result.method.settings
            )
            for result in results
        },
        document=_document(reproduction),
    )


def tables(reproduction: Reproduction) -> list[TextTable]:
    """Make the tables: published results next to ours, differences, the ablation if it was run, and all runs."""
    comparison = reproduction.comparison
    several = [comparison_table(comparison, with_published=False)] if len(comparison.results) > 1 else []
    ablations = [
        _ablation(reproduction, result) for result in comparison.results if result.method.key in reproduction.ablations
    ]
    return [_by_score(reproduction), *several, *ablations, _runs(reproduction)]


def _by_score(reproduction: Reproduction) -> TextTable:
    """Make the table of the published rows, and of ours by every score."""
    comparison = reproduction.comparison
    rows = [(row.method, *row.cells) for row in comparison.published.rows] if comparison.published else []
    strong = set()
    for result in comparison.results:
        for score in result.scores:
            if score == result.score:
                strong.add(len(rows))
            rows.append((f"avzsl {result.method.title}, {score}", *shown_spread(*result.over_seeds(score))))
    count = max(len(result.seeds) for result in comparison.results)
    over = f"mean ± deviation over {count} seeds" if count > 1 else "one seed"
    title = f"{reproduction.benchmark}: published results, and ours by each score ({over})"
    return TextTable(title, ("method", *METRICS), rows, frozenset(strong))


def _ablation(reproduction: Reproduction, method: MethodResult) -> TextTable:
    """Make the table of a method's variants, with the published ones if they are for the same features."""
    published = _published(reproduction, method.method.key)
    rows: list[tuple[str, ...]] = []
    strong = set()
    for result in reproduction.ablations[method.method.key]:
        strong.add(len(rows))
        rows.append((result.method.title, *shown_spread(*result.over_seeds(result.score))))
        row = published.get(result.method.key)
        if row is not None:
            rows.append(("  published", *row.cells))
    title = f"ablation of {method.method.title}, score {method.score}"
    return TextTable(title, ("", *METRICS), rows, frozenset(strong))


def _published(reproduction: Reproduction, method: str) -> dict[str, PublishedRow]:
    table = reproduction.comparison.published
    return published_variants(method, table.kind if table else None, reproduction.benchmark)


def _runs(reproduction: Reproduction) -> TextTable:
    rows = [
        (
            result.method.label,
            str(seed.seed),
            shown_epoch(seed.best_epoch),
            *(shown_number(seed.metrics[result.score][name]) for name in METRICS),
            seed.run,
        )
        for result in _all_results(reproduction)
        for seed in result.seeds
    ]
    return TextTable("runs, by the score that predicts", ("", "seed", "epoch", *METRICS, "run"), rows)


def _all_results(reproduction: Reproduction) -> list[MethodResult]:
    """List the methods, each as its variants if its ablation was run."""
    return [
        each
        for result in reproduction.comparison.results
        for each in reproduction.ablations.get(result.method.key, (result,))
    ]


def _document(reproduction: Reproduction) -> Mapping[str, Any]:
    """Return the document of `reproduce --json`."""
    return {
        "benchmark": reproduction.benchmark,
        **document_of(reproduction.comparison),
        "ablations": {
            method: {
                "variants": {result.method.key: run_document(result) for result in results},
                "published": {
                    name: {metric: getattr(row, metric) for metric in METRICS}
                    for name, row in _published(reproduction, method).items()
                },
            }
            for method, results in reproduction.ablations.items()
        },
        "settings": {
            result.method.key: show_settings(result.method.settings) for result in reproduction.comparison.results
        },
    }
