"""Write the report page of one run: its data, its training and its metrics, in one HTML file with figures."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from daan.method import MethodConfig
from pipeline.base.errors import MissingStageError, StorageError
from pipeline.base.files import make_folder, read_document, read_text, storage_errors, write_text
from pipeline.base.wording import shown_epoch
from pipeline.base.workspace import Workspace
from pipeline.evaluation.figures import balance_figure, training_curves
from pipeline.evaluation.html import Section, figure_section, render_page
from pipeline.evaluation.saved_metrics import SavedMetrics, SavedScore
from pipeline.scoring.metrics import METRICS
from pipeline.training.methods import config_class, method_class
from pipeline.training.records import BalanceRecord, audio_share, read_balance, read_history
from pipeline.training.run_files import BALANCE, CONFIG, HISTORY
from pipeline.training.trained_model import ModelDescription, is_complete, read_description, run_file


@dataclass(frozen=True)
class RunReport:
    """The page, and the numbers that the terminal shows."""

    run: str
    page: Path
    figures: tuple[Path, ...]
    evaluated: bool
    balance: tuple[BalanceRecord, ...]  # of stage 1, a row per epoch and part; empty if the run has no balance.csv
    recorded: bool  # whether training recorded the balance, even if the method has no parts to show

    @property
    def rate(self) -> str:
        """The name of the modulation's first rate, such as M of CSGM; empty if no gradients were modulated."""
        used = (name for record in self.balance for name, rate in record.rates.items() if math.isfinite(rate.mean))
        return next(used, "")

    @property
    def balance_columns(self) -> tuple[str, ...]:
        """The head of the terminal's table: the epoch, audio's share, and the rate of each modality and part."""
        parts = dict.fromkeys((record.modality, record.part) for record in self.balance) if self.rate else ()
        return "epoch", "audio", *(f"{self.rate} {modality[0]}.{part[:3]}" for modality, part in parts)

    @property
    def shown_epochs(self) -> tuple[float, ...]:
        """The epochs to show: the first, the last and about eight between them."""
        epochs = sorted({record.epoch for record in self.balance})
        step = max(1, math.ceil((len(epochs) - 1) / 9))
        return tuple(dict.fromkeys([*epochs[::step], *epochs[-1:]]))


def write_report(workspace: Workspace, run: str | None = None) -> RunReport:
    """Write reports/<run>/report.html and its figures from the files of training and evaluation.

    Args:
        workspace: the workspace of the run.
        run: the name of the run; None for the current one.

    Raises:
        PipelineError: a run that does not exist, or damaged files.
    """
    with workspace.locked("report") as may_write:
        models = workspace.current_model(run)
        if not (models / HISTORY).exists() and not is_complete(models):
            raise MissingStageError(f"{models} has no finished epoch yet: run avzsl train")
        history = read_history(run_file(models, HISTORY)) if (models / HISTORY).exists() else []
        reports = make_folder(workspace.report_folder(models.name))
        balance = read_balance(run_file(models, BALANCE)) if (models / BALANCE).exists() else []
        figures = [reports / "training_curves.png"] if history else []
        with storage_errors(reports):
            used = float(read_description(models).training["best_epoch"]) if is_complete(models) else None
            if history and may_write:
                training_curves(history, figures[0], used)
            if balance:
                figures.append(reports / "balance.png")
            if balance and may_write:
                balance_figure(balance, figures[-1])
        confusion = reports / "confusion_matrix.png"
        if confusion.exists():
            figures.append(confusion)
        page = reports / "report.html"
        write_text(page, render_page(f"avzsl: {models.name}", _sections(models, reports, figures)))
        evaluated = (reports / "metrics.json").exists()
        recorded = not history or "audio_share" in history[0]  # a run of an older version lacks this column
        return RunReport(models.name, page, tuple(figures), evaluated, tuple(balance), recorded=recorded)


_SHOWN_ERROR = {
    "mean_confidence": "of the first class, on average",
    "accuracy": "videos whose first class is right",
    "value": "expected calibration error",
}


class _SavedSeeds(pydantic.BaseModel):
    """The entries of seeds.json that the page shows."""

    mean: dict[str, SavedScore]
    deviation: dict[str, SavedScore]
    seeds: int


DocumentT = TypeVar("DocumentT", bound=pydantic.BaseModel)


def _read(path: Path, document: type[DocumentT]) -> DocumentT | None:
    """Read and check a JSON file of an evaluation; return None if the file does not exist."""
    if not path.exists():
        return None

    def damage(fault: str) -> StorageError:
        return StorageError(f"{path} is damaged ({fault}): run avzsl evaluate again")

    return read_document(path, document, damage)


def _sections(models: Path, reports: Path, figures: Sequence[Path]) -> list[Section]:
    metrics, seeds = _read(reports / "metrics.json", SavedMetrics), _read(reports / "seeds.json", _SavedSeeds)
    sections = [_about_section(models)]
    sections += _metrics_sections(metrics) if metrics else [Section(paragraphs=["Not evaluated yet: avzsl evaluate."])]
    if seeds:
        sections.append(_seeds_section(seeds))
    sections += [figure_section(figure) for figure in figures]
    if metrics:
        sections.append(_recall_section(metrics))
    return [*sections, Section(summary="every setting", code=read_text(run_file(models, CONFIG)))]


def _about_section(models: Path) -> Section:
    if not is_complete(models):
        return Section(paragraphs=["Training has not ended yet."])
    model = read_description(models)
    training = model.training
    seen = sum(entry.seen for entry in model.classes)
    rows = [
        ("classes", f"{seen} seen, {len(model.classes) - seen} unseen"),
        ("features", " ".join(str(model.extractor.get(name, "")) for name in ("extractor", "recipe", "weights"))),
        ("class embeddings", " ".join(str(value) for value in model.text_encoder.values())),
        ("best epoch of stage 1", shown_epoch(training["best_epoch"])),
        ("method", method_class(model.method).about.title),
        *((f"option {name}", str(value)) for name, value in _changed_options(model).items()),
        *((f"validation {name}", _number(value)) for name, value in training["validation"].items()),
    ]
    return Section(rows=rows)


def _changed_options(model: ModelDescription) -> dict[str, Any]:
    """Return the options of a model's method that differ from their defaults, without the widths of the data."""
    widths = {field.name for field in dataclasses.fields(MethodConfig)}
    defaults = dataclasses.asdict(config_class(model.method)())
    return {
        name: value
        for name, value in model.options.items()
        if name not in widths and name in defaults and value != defaults[name]
    }


def _metrics_sections(metrics: SavedMetrics) -> list[Section]:
    names = ("S", "U", "HM", "ZSL", "beta")
    rows = [_row(score, of_score, names) for score, of_score in metrics.scores.items()]
    rows.append(("chance", "", "", "", _number(metrics.chance), ""))
    sections = [Section(heading="test metrics, percent", columns=("score", *names), rows=rows)]
    limits = [(score, found) for score in metrics.scores if isinstance(found := metrics.intervals.get(score), dict)]
    if limits:
        rows = [(score, *(_limits(of_score.get(name)) for name in METRICS)) for score, of_score in limits]
        heading = "95 % intervals, by drawing classes with replacement"
        sections.append(Section(heading=heading, columns=("score", *METRICS), rows=rows))
    error = metrics.expected_calibration_error
    if error.get("videos"):
        shares = ((_SHOWN_ERROR[name], f"{100 * (error.get(name) or 0):.0f} %") for name in _SHOWN_ERROR)
        sections.append(Section(heading="probabilities among all classes", rows=list(shares)))
    grid_names = ("S", "U", "HM", "beta")
    rows = [
        _row(f"{score}, {grid}", of_score, grid_names)
        for grid, of_scores in metrics.grids.items()
        for score, of_score in of_scores.items()
    ]
    if rows:
        columns = ("score, grid", *grid_names)
        sections.append(Section(heading="with the published grids of beta", columns=columns, rows=rows))
    return sections


def _limits(pair: tuple[float | None, float | None] | None) -> str:
    low, high = pair or (None, None)
    return "-" if low is None or high is None else f"{low:.1f} to {high:.1f}"


def _row(title: str, metrics: SavedScore, names: Sequence[str]) -> tuple[str, ...]:
    return title, *(_number(getattr(metrics, name)) for name in names)


def _seeds_section(seeds: _SavedSeeds) -> Section:
    names = ("S", "U", "HM", "ZSL")
    rows = []
    for score, mean in seeds.mean.items():
        deviation = seeds.deviation.get(score)
        cells = (f"{_number(getattr(mean, name))} ± {_number(getattr(deviation, name, None))}" for name in names)
        rows.append((score, *cells))
    return Section(heading=f"over {seeds.seeds} seeds", columns=("score", *names), rows=rows)


def _recall_section(metrics: SavedMetrics) -> Section:
    rows = [
        (name, "seen" if row.seen else "unseen", _number(row.recall), _number(row.recall_among_unseen))
        for name, row in metrics.recall_per_class.items()
    ]
    return Section(heading="recall per class, percent", columns=("class", "", "among all", "among unseen"), rows=rows)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def balance_row(report: RunReport, epoch: float) -> list[str]:
    """Make a row of the terminal's table: the epoch and audio's share of the gradients.

    With a modulation, the mean of its first rate follows, for each modality and part.
    """
    records = [record for record in report.balance if record.epoch == epoch]
    rates = [_number(record.rates[report.rate].mean) for record in records] if report.rate else []
    return [f"{epoch:g}", f"{audio_share(records):.2f}", *rates]
