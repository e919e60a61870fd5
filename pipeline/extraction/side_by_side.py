"""The features of several extractors in one workspace: which there are, and which one commands use."""

from dataclasses import asdict
from pathlib import Path

from extractors.registry import EXTRACTORS, unknown_extractor
from pipeline.base.errors import MissingStageError, UsageError
from pipeline.base.files import read_document, read_json, write_json
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Stage, StageRecord, Workspace
from pipeline.extraction.extractor_choice import recorded_fingerprint

_RECORD = "stage.json"  # in the folder of the features


def keep_record(features_folder: Path, record: StageRecord) -> None:
    """Keep the record of features next to them, so that commands can return to them later."""
    write_json(features_folder / _RECORD, asdict(record))


def features_here(workspace: Workspace) -> dict[str, StageRecord]:
    """Return the record of the features of every extractor that was used: name -> record."""
    found = {}
    for name in EXTRACTORS:
        fingerprint = recorded_fingerprint(workspace, name)
        file = workspace.feature_folder(fingerprint) / _RECORD if fingerprint else None
        if file is not None and file.is_file():
            record = read_document(file, StageRecord, workspace.damaged_extractor)
            if (workspace.root / record.output).is_file():
                found[name] = record
    return found


def features_file(workspace: Workspace, name: str | None) -> Path:
    """Return the features.h5 of an extractor; without a name, the one that commands use.

    Raises:
        UsageError: there is no such extractor.
        MissingStageError: the workspace has no features, or none of this extractor.
    """
    if name is None:
        return workspace.current_features()
    return workspace.root / _record_named(workspace, name).output


def _record_named(workspace: Workspace, name: str) -> StageRecord:
    if name not in EXTRACTORS:
        raise UsageError(unknown_extractor(name))
    here = features_here(workspace)
    if name not in here:
        raise MissingStageError(
            f"{workspace.root} has no features of {name}; it has {', '.join(here) or 'none'}: run avzsl extract "
            f"--extractor {name} first"
        )
    return here[name]


def use_features_of(workspace: Workspace, name: str | None, reporter: Reporter) -> None:
    """Let this command and later ones use the features of an extractor, and say which they are if there are several.

    The caller must hold the workspace's lock.

    Args:
        workspace: the workspace.
        name: name of the extractor; None for the one that was used last.
        reporter: receives a line if the workspace holds features of several extractors.

    Raises:
        UsageError: there is no such extractor.
        MissingStageError: the workspace has no features of it.
    """
    current = workspace.stages().get(Stage.FEATURES)
    if name is not None:
        wanted = _record_named(workspace, name)
        if current is None or current.fingerprint != wanted.fingerprint:
            write_json(workspace.extractor_file, read_json(workspace.extractor_file_of(name)))
            workspace.record(Stage.FEATURES, wanted)
            current = wanted
    here = features_here(workspace)
    if current is not None and len(here) > 1:
        used = next((each for each, record in here.items() if record.fingerprint == current.fingerprint), "others")
        others = ", ".join(each for each in here if each != used)
        reporter.say(f"features of {used}: {current.summary.get('extractor', used)}; also here: {others} (--extractor)")
