"""The workspace: where each stage's files lie, what each was made from, and who may write."""

import contextlib
import datetime as dt
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import platformdirs

from pipeline.base.errors import MissingStageError, StorageError, UsageError, WorkspaceInUseError
from pipeline.base.files import checked_document, read_json, write_json
from pipeline.base.locks import LockHeldError, held


class Stage(StrEnum):
    """The stages that stages.json records."""

    FEATURES = "features"
    TEXT = "text"
    MODEL = "model"
    REPORT = "report"


@dataclass(frozen=True)
class StageRecord:
    """One entry of stages.json: what a stage made, from what, and when."""

    fingerprint: str
    output: str  # relative to the workspace
    made_at: str = ""  # ISO 8601, UTC
    inputs: Mapping[str, str] = field(default_factory=dict)  # stage -> fingerprint it was made from
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workspace:
    """The paths of one workspace; nothing is created until a stage writes."""

    root: Path

    @property
    def dataset_folder(self) -> Path:
        """manifest.csv, classes.csv, splits.yaml."""
        return self.root / "dataset"

    @property
    def stages_file(self) -> Path:
        """What each stage was made from."""
        return self.root / "stages.json"

    def feature_folder(self, fingerprint: str) -> Path:
        """Part files, features.h5 and failures.csv of one extractor."""
        return self.root / "features" / fingerprint

    @property
    def extractor_file(self) -> Path:
        """Which extractor this workspace uses, written before its first video."""
        return self.root / "features" / "extractor.json"

    @property
    def shards_folder(self) -> Path:
        """Locks of the processes that share an extraction."""
        return self.root / "features" / "shares"

    @property
    def text_folder(self) -> Path:
        """class_embeddings.h5."""
        return self.root / "text"

    def model_folder(self, run: str) -> Path:
        """Checkpoints and the final model of one run."""
        return self.root / "models" / run

    def report_folder(self, run: str) -> Path:
        """metrics.json and pictures of one run."""
        return self.root / "reports" / run

    def stages(self) -> dict[str, StageRecord]:
        """Every recorded stage; empty in a fresh workspace."""
        if not self.stages_file.exists():
            return {}
        return checked_document(read_json(self.stages_file), dict[str, StageRecord], self._damaged_stages)

    def _damaged_stages(self, fault: str) -> StorageError:
        return StorageError(
            f"{self.stages_file} is damaged ({fault}): delete it and run the stages again; finished work is kept"
        )

    def record(self, stage: str, record: StageRecord) -> None:
        """Remember that a stage is done; its time is filled in."""
        stages = self.stages()
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        stages[stage] = StageRecord(**{**asdict(record), "made_at": now})
        write_json(self.stages_file, {name: asdict(entry) for name, entry in stages.items()})

    def current_features(self) -> Path:
        """The features.h5 that the last extraction made.

        Raises:
            MissingStageError: there is none.
        """
        record = self.stages().get(Stage.FEATURES)
        if record is None or not (self.root / record.output).exists():
            raise MissingStageError(f"{self.root} holds no features yet: run avzsl extract VIDEOS first")
        return self.root / record.output

    def current_model(self, run: str | None = None) -> Path:
        """The folder of a run, or of the newest model.

        Raises:
            UsageError: no such run.
            MissingStageError: nothing trained yet.
        """
        if run is not None:
            folder = self.model_folder(run)
            if not folder.is_dir():
                known = sorted(entry.parent.name for entry in self.root.glob("models/*/model.json"))
                raise UsageError(f"{self.root} has no run {run!r}; it has {', '.join(known) or 'none'}")
            return folder
        record = self.stages().get(Stage.MODEL)
        if record is None or not (self.root / record.output).exists():
            raise MissingStageError(f"{self.root} holds no trained model yet: run avzsl train first")
        return self.root / record.output

    @contextlib.contextmanager
    def locked(self, command: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
        """Keep other processes from writing here while the context lasts.

        Args:
            command: what this process does, for the message that another one gets.
            wait_seconds: how long to wait for a process that writes.

        Raises:
            WorkspaceInUseError: another process holds the lock.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(held(self.root / "lock", command, wait_seconds=wait_seconds))
            except LockHeldError as error:
                raise WorkspaceInUseError(
                    f"{self.root} is in use by {error}: wait for it, or choose another with --workspace"
                ) from error
            yield


def cache_folder() -> Path:
    """AVZSL_CACHE where it is set, else the user's cache folder."""
    given = os.environ.get("AVZSL_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("avzsl", appauthor=False))
