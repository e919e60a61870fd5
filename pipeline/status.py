"""What a workspace holds: every stage done, partial, stale or missing, and the command that comes next."""

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.dataset import Dataset, load_dataset
from pipeline.errors import PipelineError
from pipeline.feature_parts import FeatureParts
from pipeline.feature_store import StoredFailure, StoredVideo
from pipeline.workspace import StageRecord, Workspace


@dataclass(frozen=True)
class StageStatus:
    """One line of `avzsl status`."""

    stage: str
    state: str  # done, partial, stale, missing
    detail: str
    made_at: str = ""  # ISO 8601
    next_command: str = ""  # what brings the stage up to date


def workspace_status(workspace: Workspace) -> list[StageStatus]:
    """The stages in their order; reads only, so it may run beside an extraction or a training."""
    stages = workspace.stages()
    try:
        dataset = load_dataset(workspace.dataset_folder)
    except PipelineError as error:
        return [StageStatus("dataset", "missing", str(error), next_command="avzsl extract VIDEOS")]
    manifest_time = _modified(workspace.dataset_folder / "manifest.csv")
    first = StageStatus(
        "dataset", "done", f"{len(dataset.classes)} classes, {len(dataset.videos)} videos", manifest_time
    )
    return [first, _features(workspace, dataset, stages), _model(workspace, stages), _report(stages)]


def _modified(path: Path) -> str:

    return dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).isoformat(timespec="seconds")


def _features(workspace: Workspace, dataset: Dataset, stages: dict[str, StageRecord]) -> StageStatus:
    folders = sorted(workspace.feature_folder("").glob("*/parts"), key=lambda folder: folder.stat().st_mtime)
    record = stages.get("features")
    newest = (workspace.root / record.output).parent / "parts" if record else folders[-1] if folders else None
    if newest is None:
        return StageStatus("features", "missing", f"0 of {len(dataset.videos)} videos", next_command="avzsl extract")
    parts = FeatureParts(newest)
    entries = [parts.valid_entry(video) for video in dataset.videos]
    stored = sum(isinstance(entry, StoredVideo) for entry in entries)
    failed = sum(isinstance(entry, StoredFailure) for entry in entries)
    detail = f"{stored} of {len(dataset.videos)} videos" + (f" ({failed} failed)" if failed else "")
    if record:
        detail += f" · {record.summary.get('extractor', '')}"
    made_at = record.made_at if record else ""
    if stored + failed < len(dataset.videos):
        return StageStatus("features", "partial", detail, made_at, "avzsl extract")
    return StageStatus("features", "done" if record else "partial", detail, made_at, "" if record else "avzsl extract")


def _model(workspace: Workspace, stages: dict[str, StageRecord]) -> StageStatus:
    record = stages.get("model")
    unfinished = [
        entry
        for entry in workspace.model_folder("").glob("*/config.yaml")
        if not (entry.parent / "model.json").exists()
    ]
    if unfinished:
        newest = max(unfinished, key=lambda entry: entry.stat().st_mtime).parent
        if record is None or _modified(newest / "config.yaml") > record.made_at:
            return StageStatus("model", "partial", _reached(newest), next_command="avzsl train")
    if record is None:
        return StageStatus("model", "missing", "not trained", next_command="avzsl train")
    figures = [
        f"{name} {record.summary[name]:.1f}" for name in ("HM", "ZSL") if isinstance(record.summary.get(name), float)
    ]
    detail = f"{record.summary['run']}: {record.summary['best_epoch']} epochs" + (
        f", validation {', '.join(figures)}" if figures else ""
    )
    features = stages.get("features")
    if features and record.inputs.get("features") != features.fingerprint:
        return StageStatus("model", "stale", f"the features are newer · {detail}", record.made_at, "avzsl train")
    return StageStatus("model", "done", detail, record.made_at)


def _reached(folder: Path) -> str:
    """How far an unfinished run is."""
    epochs = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["training"]["epochs"]
    for stage in ("stage2", "stage1"):
        history = folder / stage / "history.csv"
        if history.exists():
            with history.open(newline="") as file:
                done = sum(1 for _ in csv.reader(file)) - 1
            return f"{folder.name}: stage {stage[-1]} of 2, {done} epochs done" + (
                f" of {epochs}" if stage == "stage1" else ""
            )
    return f"{folder.name}: no epoch done yet"


def _report(stages: dict[str, StageRecord]) -> StageStatus:
    record, model = stages.get("report"), stages.get("model")
    if record is None:
        return StageStatus("report", "missing", "not evaluated", next_command="avzsl evaluate")
    figures = ", ".join(
        f"{name} {record.summary[name]:.1f}"
        for name in ("S", "U", "HM", "ZSL")
        if isinstance(record.summary.get(name), float)
    )
    if model and record.inputs.get("model") != model.fingerprint:
        return StageStatus("report", "stale", "the model is newer", record.made_at, "avzsl evaluate")
    return StageStatus("report", "done", f"{figures} · {record.output}", record.made_at)
