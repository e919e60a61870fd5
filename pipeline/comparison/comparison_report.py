"""Show a comparison: its table, its notes and its document."""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.comparison.compare import Comparison, Difference, kind_of_data
from pipeline.comparison.report import Report
from pipeline.comparison.run_all import MethodResult
from pipeline.comparison.text_tables import TextTable, shown_metrics, shown_spread
from pipeline.features.feature_kinds import encoders_of
from pipeline.scoring.intervals import FEW_CLASSES, LEVEL
from pipeline.scoring.metrics import METRICS
from pipeline.settings.tree import show_settings
from pipeline.training.methods import STATUS, method_class

_ORDER_OF = {
    order: f"Classes have the vectors that the {code} code gives them: on UCF, ActivityNet and VGGSound {wrong} "
    "classes have the vector of another class."
    for order, code, wrong in (("avca", "AVCA and TCaF", "79, 8 and 205"), ("clipclap", "ClipClap", "0, 8 and 205"))
}
_RIGHT_ORDER = (
    "Every class has its own vector. The published code mixes vectors up; --set text.legacy_class_order=avca (or "
    "clipclap) repeats that."
)
_MANY_SECONDS = 10  # shown without decimals
COLUMNS = ("method", *METRICS, "size", "s/ep")
_METRICS_NOTE = (
    "In percent. S, U: recall of the seen and the unseen classes, choosing among all classes. HM: their harmonic mean. "
    "ZSL: recall of the unseen classes, choosing among the unseen ones."
)


def report_of(comparison: Comparison) -> Report:
    """Make the report of a comparison."""
    titles = [result.method.title for result in comparison.results]
    return Report(
        title=f"avzsl: {', '.join(titles)}",
        notes=notes_of(comparison),
        tables=[comparison_table(comparison)],
        data=comparison.data,
        settings={
            f"settings of {result.method.title}": show_settings(result.method.settings) for result in comparison.results
        },
        document=document_of(comparison),
    )


def comparison_table(comparison: Comparison, *, with_published: bool = True) -> TextTable:
    """Make the table: each method with its difference to the first one, chance, and the published rows."""
    rows: list[tuple[str, ...]] = []
    strong, quiet = set(), set()
    for result in comparison.results:
        strong.add(len(rows))
        rows.append((result.method.title, *_figures(result), _millions(result.parameters), _seconds(result)))
        of_other = comparison.differences.get(result.method.key)
        if of_other is not None:
            quiet |= {len(rows), len(rows) + 1}
            shown = [(_signed(of_other[name].value), _limits(of_other[name])) for name in METRICS]
            rows.append((f"  to {comparison.first.method.title}", *(value for value, _ in shown), "", ""))
            rows.append((f"  {100 * LEVEL:.0f} %", *(limits for _, limits in shown), "", ""))
    rows.append(("chance", *shown_metrics(comparison.chance), "", ""))
    if comparison.published and with_published:
        published = comparison.published
        rows.append((f"published, {published.kind.name}", *[""] * (len(COLUMNS) - 1)))
        rows += [(f"  {row.method}", *row.cells, "", "") for row in published.rows]
    count = max(len(result.seeds) for result in comparison.results)
    over = f"mean ± standard deviation over {count} seeds" if count > 1 else "one seed"
    return TextTable(f"test videos, in percent, {over}", COLUMNS, rows, frozenset(strong), frozenset(quiet))


def notes_of(comparison: Comparison) -> list[str]:
    """Return what a reader must know to compare the figures."""
    results = comparison.results
    scores = ", ".join(f"{result.method.title} by {result.score}" for result in results)
    notes = [_METRICS_NOTE, f"The score that predicts: {scores}.", *_difference_notes(comparison)]
    notes.append("chance: guessing, where every class is equally likely. size: parameters in millions.")
    devices = sorted({device for result in results for device in result.devices})
    if devices:
        notes.append(f"s/ep: seconds per epoch of stage 1 with its validation, on {', '.join(devices)}.")
    seeds = sorted({seed.seed for result in results for seed in result.seeds})
    notes.append(
        f"Epoch and beta were chosen on the validation videos of stage 1, nothing on the test videos. "
        f"{'Seeds' if len(seeds) > 1 else 'Seed'} {', '.join(map(str, seeds))}."
    )
    notes += _source_notes(comparison)
    return notes + (comparison.published.notes if comparison.published else [])


def _difference_notes(comparison: Comparison) -> list[str]:
    """Explain the differences to the first method, and say if there are too few classes for their intervals."""
    if not comparison.differences:
        return []
    first = comparison.first.method.title
    several = any(len(result.seeds) > 1 for result in comparison.results)
    drawn = "classes and seeds" if several else "classes"
    meaning = f"the difference to {first} in percent points, with its {100 * LEVEL:.0f} % interval"
    drawing = f"by drawing {drawn} with replacement, the same classes for both"
    notes = [f"to {first}: {meaning} {drawing}. An interval with 0 in it does not show a difference."]
    classes = comparison.data["classes"]
    if min(classes.values()) < FEW_CLASSES:
        seen, unseen = classes["seen"], classes["unseen"]
        notes.append(f"With {seen} seen and {unseen} unseen classes such intervals are too narrow.")
    return notes


def _source_notes(comparison: Comparison) -> list[str]:
    """Say where methods, features and class vectors come from."""
    of_status: dict[str, list[str]] = {}
    for result in comparison.results:
        about = method_class(result.method.settings.training.method).about
        of_status.setdefault(STATUS[about.status], []).append(result.method.title)
    methods = "; ".join(f"{status}: {', '.join(titles)}" for status, titles in of_status.items())
    configs = [(result.method.title, result.method.settings.method_config) for result in comparison.results]
    faithful = [title for title, config in configs if getattr(config, "faithful", False)]
    repeated = f"repeated in {', '.join(faithful)}" if faithful else "mended"
    order = comparison.data["legacy_class_order"]
    used = [(result.method.title, result.method.preset) for result in comparison.results]
    settings = [f"{title} by {f'preset {preset}' if preset else 'defaults'}" for title, preset in used]
    return [
        f"Settings: {', '.join(settings)}. Methods {methods}. Faults of published code are {repeated}.",
        _features_note(comparison.data),
        _ORDER_OF.get(order, _RIGHT_ORDER),
    ]


def _features_note(data: Mapping[str, Any]) -> str:
    """Say which features the figures belong to."""
    if data["features"].get("extractor") == "synthetic":
        return "These features were generated: the figures only show that the protocol runs."
    kind = kind_of_data(data)
    if kind is None:
        named = encoders_of(data["features"], audio_width=data["audio_width"], visual_width=data["visual_width"])
        return f"Features: {f'{named}, ' if named else ''}of a kind that no published table uses."
    recipe = data["features"].get("recipe")
    return f"Features: {kind.name} ({kind.title}){f', recipe {recipe}' if recipe else ''}."


def document_of(comparison: Comparison) -> dict[str, Any]:
    """Return the document of `compare --json`."""
    return {
        "compared_with": comparison.first.method.key,
        "methods": {result.method.key: _document(result, comparison) for result in comparison.results},
        "level": LEVEL,
        "chance": comparison.chance,
        "published": comparison.published.to_json() if comparison.published else None,
    }


def _document(result: MethodResult, comparison: Comparison) -> dict[str, Any]:
    return {
        **run_document(result),
        "difference": {
            name: {"value": one.value, "interval": list(one.interval)}
            for name, one in comparison.differences.get(result.method.key, {}).items()
        },
    }


def run_document(result: MethodResult) -> dict[str, Any]:
    """Return the figures of one method and all of its runs."""
    return {
        "title": result.method.title,
        "score": result.score,
        "mean": {score: result.over_seeds(score)[0] for score in result.scores},
        "deviation": {score: result.over_seeds(score)[1] for score in result.scores},
        "parameters": result.parameters,
        "seconds_per_epoch": result.seconds_per_epoch,
        "devices": list(result.devices),
        "runs": {seed.run: {"seed": seed.seed, "best_epoch": seed.best_epoch, **seed.metrics} for seed in result.seeds},
    }


def _figures(result: MethodResult) -> list[str]:
    return shown_spread(*result.over_seeds(result.score))


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.3g}"


def _seconds(result: MethodResult) -> str:
    seconds = result.seconds_per_epoch
    if math.isnan(seconds):
        return "-"
    if seconds >= _MANY_SECONDS:
        return f"{seconds:.0f}"
    return f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"


def _limits(difference: Difference) -> str:
    low, high = difference.interval
    return "-" if math.isnan(low) else f"{low:.1f}, {high:.1f}"
