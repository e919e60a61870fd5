"""The state of each stage in a workspace (done, partial, stale, damaged or missing), and the next command."""

import dataclasses
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import DamagedFileError, PipelineError
from pipeline.base.files import read_text
from pipeline.base.wording import counted, shell_quoted
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.datasets.dataset import Dataset, dataset_record, load_dataset
from pipeline.features.index import StoredFailure, StoredVideo
from pipeline.features.parts import FeatureParts
from pipeline.features.store import open_store
from pipeline.training.run_files import damage_of


@dataclass(frozen=True)
class StageStatus:
    """One line of `avzsl status`."""

    stage: str
    state: str  # done, partial, stale, damaged, missing
    detail: str
    made_at: str = ""  # ISO 8601
    next_command: str = ""  # the command that completes or updates the stage, without `avzsl`


def workspace_status(workspace: Workspace) -> list[StageStatus]:
    """List the states of the stages in order. This only reads, so it may run during an extraction or a training."""
    stages = workspace.stages()
    try:
        dataset = load_dataset(workspace.dataset_folder)
    except PipelineError as error:
        return [StageStatus("dataset", "missing", str(error), next_command="extract --help")]
    manifest_time = _modified(workspace.dataset_folder / "manifest.csv")
    first = StageStatus(
        "dataset", "done", f"{len(dataset.classes)} classes, {len(dataset.videos)} videos", manifest_time
    )
    model, evaluation = _model(workspace, stages), _evaluation(stages)
    if model.state == "stale" and evaluation.state == "done":
        evaluation = dataclasses.replace(evaluation, state="stale", detail=f"the model is stale · {evaluation.detail}")
    return [first, _features(workspace, dataset, stages), model, evaluation, _report(workspace, stages)]


def _modified(path: Path) -> str:
    return dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC).isoformat(timespec="seconds")


def _features(workspace: Workspace, dataset: Dataset, stages: dict[str, StageRecord]) -> StageStatus:
    """Count the videos in the part files of the present extractor, even if its extraction is not complete."""
    fingerprint = workspace.extractor_fingerprint()
    if fingerprint is None:
        return _features_not_extracted_here(workspace, dataset, stages.get(Stage.FEATURES))
    folder = workspace.feature_folder(fingerprint)
    parts = FeatureParts(folder / "parts")
    entries = [parts.valid_entry(video) for video in dataset.videos]
    stored = sum(isinstance(entry, StoredVideo) for entry in entries)
    failed = sum(isinstance(entry, StoredFailure) for entry in entries)
    detail = f"{stored} of {len(dataset.videos)} videos" + (f" ({failed} failed)" if failed else "")
    if parts.damaged:
        detail += f", {counted(len(parts.damaged), 'part file')} damaged"
    record = stages.get(Stage.FEATURES)
    merged = record is not None and (workspace.root / record.output).parent == folder
    if record is None or not merged or stored + failed < len(dataset.videos):
        return StageStatus("features", "partial", detail, next_command="extract")
    damage = _damage_of(workspace.root / record.output, record.made_at)
    if damage:
        return StageStatus("features", "damaged", damage, record.made_at, "extract")
    return StageStatus("features", "done", f"{detail} · {record.summary.get('extractor', '')}", record.made_at)


def _damage_of(features: Path, made_at: str) -> str:
    """Say that a features.h5 is damaged; empty if it is whole.

    Its tables are read. All of it is read only if it was written after its stage ended, because it may be large.
    """
    try:
        with open_store(features) as store:
            if _modified(features) > made_at:
                store.check(store.features("visual"), store.features("audio"))
            return ""
    except DamagedFileError as error:
        return str(error)


def _features_not_extracted_here(workspace: Workspace, dataset: Dataset, record: StageRecord | None) -> StageStatus:
    """Describe features that were not extracted in this workspace: imported, generated or missing ones."""
    if record is None or not (workspace.root / record.output).exists():
        return StageStatus("features", "missing", f"0 of {len(dataset.videos)} videos", next_command="extract")
    imported_from = record.summary.get("dataset")
    if imported_from not in {None, dataset_record(workspace.dataset_folder).get("source")}:
        return StageStatus(
            "features",
            "stale",
            f"imported from {imported_from}, but the dataset is another",
            record.made_at,
            "extract",
        )
    damage = _damage_of(workspace.root / record.output, record.made_at)
    if damage:
        return StageStatus("features", "damaged", damage, record.made_at, "import --help")
    detail = (
        f"{record.summary.get('videos', '?')} of {len(dataset.videos)} videos · {record.summary.get('extractor', '')}"
    )
    return StageStatus("features", "done", detail, record.made_at)


def _model(workspace: Workspace, stages: dict[str, StageRecord]) -> StageStatus:
    record = stages.get(Stage.MODEL)
    unfinished = [path.parent for path in workspace.root.glob("models/*/config.yaml")]
    unfinished = [folder for folder in unfinished if not (folder / "model.json").exists()]
    newest = max(unfinished, key=lambda folder: (folder / "config.yaml").stat().st_mtime, default=None)
    if newest is not None and (record is None or _modified(newest / "config.yaml") > record.made_at):
        finished = f" · {record.summary['run']} is done" if record else ""
        command = f"train --config {shell_quoted(str(newest / 'config.yaml'))}"  # it contains all settings of the run
        return StageStatus("model", "partial", _progress_of(newest) + finished, next_command=command)
    if record is None:
        return StageStatus("model", "missing", "not trained", next_command="train")
    metrics = [f"{name} {record.summary[name]:.1f}" for name in ("HM", "ZSL") if record.summary.get(name) is not None]
    runs = record.summary.get("runs", ())
    others = f", the first of {len(runs)} seeds" if runs else ""
    source = "mean validation" if runs else "validation"
    detail = f"{record.summary['run']}{others}" + (f": {source} {', '.join(metrics)}" if metrics else "")
    features = stages.get(Stage.FEATURES)
    if features and record.inputs.get("features") != features.fingerprint:
        return StageStatus("model", "stale", f"the features are newer · {detail}", record.made_at, "train")
    damage = damage_of(workspace.root / record.output)
    if damage:
        return StageStatus("model", "damaged", damage, record.made_at, "train")
    return StageStatus("model", "done", detail, record.made_at)


def _progress_of(folder: Path) -> str:
    """Describe how many epochs of an unfinished run are done."""
    for stage in ("stage2", "stage1"):
        history = folder / stage / "history.csv"
        if history.exists():
            epochs = max(0, len(read_text(history).splitlines()) - 1)
            return f"{folder.name}: stage {stage[-1]} of 2, epochs done: {epochs}"
    return f"{folder.name}: no epoch done yet"


def _evaluation(stages: dict[str, StageRecord]) -> StageStatus:
    record, model = stages.get(Stage.REPORT), stages.get(Stage.MODEL)
    if record is None:
        return StageStatus("evaluation", "missing", "not evaluated", next_command="evaluate")
    metrics = ", ".join(
        f"{name} {record.summary[name]:.1f}"
        for name in ("S", "U", "HM", "ZSL")
        if isinstance(record.summary.get(name), float)
    )
    if model and record.inputs.get("model") != model.fingerprint:
        return StageStatus("evaluation", "stale", "the model is newer", record.made_at, "evaluate")
    return StageStatus("evaluation", "done", f"{metrics} · {record.output}", record.made_at)


def _report(workspace: Workspace, stages: dict[str, StageRecord]) -> StageStatus:
    """Describe the page of `avzsl report` about the present model. It is for reading, so no stage waits for it."""
    model, evaluation = stages.get(Stage.MODEL), stages.get(Stage.REPORT)
    page = workspace.report_folder(Path(model.output).name) / "report.html" if model else None
    if page is None or not page.exists():
        return StageStatus("report", "missing", "no page; avzsl report writes one")
    made_at, shown = _modified(page), str(page.relative_to(workspace.root))
    newest = max(entry.made_at for entry in (model, evaluation) if entry)
    if made_at < newest:
        return StageStatus("report", "stale", f"the model or its evaluation is newer · {shown}", made_at)
    return StageStatus("report", "done", shown, made_at)
