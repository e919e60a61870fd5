"""A page about one run: what it was trained on, how it learned, what it is worth; one HTML file, pictures inside."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from pipeline.base.errors import MissingStageError, StorageError
from pipeline.base.files import make_folder, read_json, read_text, storage_errors, write_text
from pipeline.base.workspace import Workspace
from pipeline.evaluation.figures import balance_picture, training_curves
from pipeline.training.records import BalanceRecord, audio_share, read_balance, read_history
from pipeline.training.trained_model import is_complete, read_description

Cells = Sequence[Sequence[object]]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ddd }
td + td, th + th { text-align: right } th { text-align: left } img { max-width: 100% }
pre { background: #f5f5f5; padding: 1rem; overflow: auto }
"""


@dataclass(frozen=True)
class RunReport:
    """The page, and what the terminal shows of it."""

    run: str
    page: Path
    pictures: tuple[Path, ...]
    evaluated: bool
    balance: tuple[BalanceRecord, ...]  # of stage 1, four rows an epoch; empty in runs that kept none

    @property
    def modulated(self) -> bool:
        """Whether CSGM took part."""
        return any(math.isfinite(record.M.mean) for record in self.balance)

    @property
    def shown_epochs(self) -> tuple[int, ...]:
        """The first epoch, the last one, and about eight between them."""
        epochs = sorted({record.epoch for record in self.balance})
        step = max(1, math.ceil((len(epochs) - 1) / 9))
        return tuple(dict.fromkeys([*epochs[::step], *epochs[-1:]]))


def write_report(workspace: Workspace, run: str | None = None) -> RunReport:
    """Write reports/<run>/report.html and its pictures from what training and evaluation have left.

    Args:
        workspace: holds the run.
        run: its name; None: the current one.

    Raises:
        PipelineError: there is no such run, or its files are damaged.
    """
    with workspace.locked("report"):
        models = workspace.current_model(run)
        if not (models / "stage1" / "history.csv").exists():
            raise MissingStageError(f"{models} has no finished epoch yet: run avzsl train")
        history = read_history(models / "stage1" / "history.csv")
        reports = make_folder(workspace.report_folder(models.name))
        balance = read_balance(models / "stage1" / "balance.csv")
        pictures = [reports / "training_curves.png"]
        with storage_errors(reports):
            training_curves(history, pictures[0])
            if balance:
                pictures.append(reports / "balance.png")
                balance_picture(balance, pictures[-1])
        confusion = reports / "confusion_matrix.png"
        if confusion.exists():
            pictures.append(confusion)
        page = reports / "report.html"
        try:
            write_text(page, _page(models, reports, pictures))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"metrics.json or seeds.json in {reports} is damaged: run avzsl evaluate again"
            ) from error
        return RunReport(models.name, page, tuple(pictures), (reports / "metrics.json").exists(), tuple(balance))


def _page(models: Path, reports: Path, pictures: Sequence[Path]) -> str:
    parts = [f"<h1>avzsl: {escape(models.name)}</h1>", _about(models)]
    metrics, seeds = reports / "metrics.json", reports / "seeds.json"
    parts += _scores(read_json(metrics)) if metrics.exists() else ["<p>Not evaluated yet: avzsl evaluate.</p>"]
    if seeds.exists():
        parts += _over_seeds(read_json(seeds))
    for picture in pictures:
        parts += [f"<h2>{escape(picture.stem.replace('_', ' '))}</h2>", _image(picture)]
    if metrics.exists():
        parts += _recall(read_json(metrics))
    config = escape(read_text(models / "config.yaml"))
    parts += [f"<details><summary>every setting</summary><pre>{config}</pre></details>"]
    head = f'<meta charset="utf-8"><title>avzsl {escape(models.name)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _about(models: Path) -> str:
    if not is_complete(models):
        return "<p>Training has not ended yet.</p>"
    model = read_description(models)
    training, daan = model["training"], model["daan"]
    seen = sum(bool(entry["seen"]) for entry in model["classes"])
    rows = [
        ("classes", f"{seen} seen, {len(model['classes']) - seen} unseen"),
        ("features", " ".join(str(model["extractor"].get(name, "")) for name in ("extractor", "recipe", "weights"))),
        ("class embeddings", " ".join(str(value) for value in model["text_encoder"].values())),
        ("best epoch of stage 1", training["best_epoch"]),
        ("QDMA / CSGM", f"{daan['qdma']} / {daan.get('csgm', 'off')}"),
        *((f"validation {name}", _number(value)) for name, value in training["validation"].items()),
    ]
    return _table(("", ""), rows)


def _scores(metrics: Mapping[str, Any]) -> list[str]:
    names = ("S", "U", "HM", "ZSL", "beta")
    by_score = [name for name in ("audio", "visual", "sum") if name in metrics]
    rows = [(name, *(_number(metrics[name].get(figure)) for figure in names)) for name in by_score]
    found = [
        "<h2>test scores, percent</h2>",
        _table(("score", *names), [*rows, ("chance", "", "", "", _number(metrics["chance_ZSL"]), "")]),
    ]
    grids = metrics.get("grids", {})
    rows = [
        (f"{name}, {grid}", *(_number(grids[grid][name].get(figure)) for figure in ("S", "U", "HM", "beta")))
        for grid in grids
        for name in by_score
    ]
    if rows:
        found += ["<h2>with the published grids of beta</h2>", _table(("score, grid", "S", "U", "HM", "beta"), rows)]
    return found


def _over_seeds(seeds: Mapping[str, Any]) -> list[str]:
    names = ("S", "U", "HM", "ZSL")
    rows = [
        (name, *(f"{_number(seeds['mean'][name][one])} ± {_number(seeds['deviation'][name][one])}" for one in names))
        for name in seeds["mean"]
    ]
    return [f"<h2>over {int(seeds['seeds'])} seeds</h2>", _table(("score", *names), rows)]


def _recall(metrics: Mapping[str, Any]) -> list[str]:
    rows = [
        (name, "seen" if row["seen"] else "unseen", _number(row["recall"]), _number(row["recall_among_unseen"]))
        for name, row in metrics["recall_per_class"].items()
    ]
    return ["<h2>recall per class, percent</h2>", _table(("class", "", "among all", "among unseen"), rows)]


def _table(head: Sequence[str], rows: Cells) -> str:
    """An HTML table; every cell is escaped."""
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)] if any(head) else []
    lines += ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _image(path: Path) -> str:
    with storage_errors(path):
        content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{content}">'


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def balance_row(report: RunReport, epoch: int) -> list[str]:
    """One epoch of the terminal's table: audio's share of the gradients, then, if modulated, mean M by part."""
    records = [record for record in report.balance if record.epoch == epoch]
    rates = [_number(record.M.mean) for record in records] if report.modulated else []
    return [str(epoch), f"{audio_share(records):.2f}", *rates]
