"""Make the tables of a reproduction as text, for the terminal, Markdown and HTML. Metrics are in percent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.avgzsl_benchmark.reproduction.published import PUBLISHED, PUBLISHED_ABLATION, PublishedRow
from pipeline.avgzsl_benchmark.reproduction.reproduce import Reproduction, VariantResult
from pipeline.base.wording import shown_epoch
from pipeline.scoring.metrics import METRICS


@dataclass(frozen=True)
class TextTable:
    """A heading, columns, and rows of cells. The rows with an index in `strong` are highlighted."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()


def tables(reproduction: Reproduction) -> list[TextTable]:
    """Make the tables: published results next to ours, the ablation if it was run, and all runs."""
    ablation = [_ablation(reproduction)] if len(reproduction.results) > 1 else []
    return [_comparison(reproduction), *ablation, _runs(reproduction)]


def _comparison(reproduction: Reproduction) -> TextTable:
    rows = [(row.method, *_published(row)) for row in PUBLISHED[reproduction.benchmark]]
    rows += [(f"avzsl, {score}", *_ours(reproduction.method, score)) for score in reproduction.method.scores]
    scores = reproduction.method.scores
    predicts = len(rows) - len(scores) + scores.index(reproduction.score)
    count = len(reproduction.method.seeds)
    over = f"mean ± deviation over {count} seeds" if count > 1 else "one seed"
    title = f"{reproduction.benchmark}: published results, and ours by each score ({over})"
    return TextTable(title, ("method", *METRICS), rows, frozenset({predicts}))


def _ablation(reproduction: Reproduction) -> TextTable:
    published = PUBLISHED_ABLATION.get(reproduction.benchmark, {})
    rows: list[tuple[str, ...]] = []
    strong = set()
    for result in reproduction.results:
        strong.add(len(rows))
        rows.append((result.variant.title, *_ours(result, reproduction.score)))
        row = published.get(result.variant.name)
        if row is not None:
            rows.append(("  published", *_published(row)))
    return TextTable(f"ablation, score {reproduction.score}", ("", *METRICS), rows, frozenset(strong))


def _runs(reproduction: Reproduction) -> TextTable:
    rows = [
        (
            result.variant.title,
            str(seed.seed),
            shown_epoch(seed.best_epoch),
            *(_number(seed.metrics[reproduction.score][name]) for name in METRICS),
            seed.run,
        )
        for result in reproduction.results
        for seed in result.seeds
    ]
    return TextTable(f"runs, score {reproduction.score}", ("", "seed", "epoch", *METRICS, "run"), rows)


def _published(row: PublishedRow) -> list[str]:
    return [_number(getattr(row, name)) for name in METRICS]


def _ours(result: VariantResult, score: str) -> list[str]:
    mean, deviation = result.over_seeds(score)
    return [
        _number(mean[name]) + ("" if math.isnan(deviation[name]) else f" ± {_number(deviation[name])}")
        for name in METRICS
    ]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
