"""The workspace: the paths of each stage's files, the record of how they were made, and the lock for writing."""

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
from pipeline.base.files import may_not_be_written, read_document, storage_error, to_json, write_json
from pipeline.base.leftovers import leftovers_in, remove_leftovers
from pipeline.base.locks import LockHeldError, held, held_for_reading
from pipeline.base.system import stand_in_home

_FOLDERS = ("*", "features/*", "features/*/parts", "models/*", "models/*/*", "reports/*", "reports/*/*")


class Stage(StrEnum):
    """The names of the stages in stages.json."""

    FEATURES = "features"
    TEXT = "text"
    MODEL = "model"
    REPORT = "report"


@dataclass(frozen=True)
class StageRecord:
    """One entry of stages.json: the output of a stage, its inputs and its time."""

    fingerprint: str
    output: str  # relative to the workspace
    made_at: str = ""  # ISO 8601, UTC
    inputs: Mapping[str, str] = field(default_factory=dict)  # stage -> fingerprint of its output that was used
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _ExtractorName:
    """The part of features/extractor.json that names the folder of the features."""

    fingerprint: str


@dataclass(frozen=True)
class Workspace:
    """The paths of one workspace; no folder is created until a stage writes."""

    root: Path

    @property
    def dataset_folder(self) -> Path:
        """The folder of manifest.csv, classes.csv and splits.yaml."""
        return self.root / "dataset"

    @property
    def stages_file(self) -> Path:
        """The file that records each stage's output and inputs."""
        return self.root / "stages.json"

    def feature_folder(self, fingerprint: str) -> Path:
        """Return the folder of the part files, features.h5 and failures.csv of one extractor."""
        return self.root / "features" / fingerprint

    @property
    def extractor_file(self) -> Path:
        """The file that records the extractor of this workspace; it is written before the first video is extracted."""
        return self.root / "features" / "extractor.json"

    def extractor_file_of(self, name: str) -> Path:
        """Return the file that records how an extractor was last used in this workspace."""
        return self.root / "features" / f"extractor-{name}.json"

    def extractor_fingerprint(self) -> str | None:
        """Return the fingerprint of the extractor of this workspace; None in a new workspace.

        Raises:
            StorageError: the record is damaged.
        """
        if not self.extractor_file.exists():
            return None
        return read_document(self.extractor_file, _ExtractorName, self.damaged_extractor).fingerprint

    def damaged_extractor(self, fault: str, file: Path | None = None) -> StorageError:
        """Make the error about a damaged record of an extractor; without a file, of the one that was used last."""
        return StorageError(f"{file or self.extractor_file} is damaged ({fault}): delete it and run the command again")

    @property
    def shards_folder(self) -> Path:
        """The folder of the locks of the shards that are being extracted."""
        return self.root / "features" / "shares"

    @property
    def text_folder(self) -> Path:
        """The folder of class_embeddings.h5."""
        return self.root / "text"

    def model_folder(self, run: str) -> Path:
        """Return the folder of the checkpoints and the final model of one run."""
        return self.root / "models" / run

    def report_folder(self, run: str) -> Path:
        """Return the folder of metrics.json and the figures of one run."""
        return self.root / "reports" / run

    def stages(self) -> dict[str, StageRecord]:
        """Read every recorded stage; a new workspace has none.

        Raises:
            StorageError: stages.json is damaged.
        """
        if not self.stages_file.exists():
            return {}
        return read_document(self.stages_file, dict[str, StageRecord], self._damaged_stages)

    def _damaged_stages(self, fault: str) -> StorageError:
        return StorageError(
            f"{self.stages_file} is damaged ({fault}): delete it and run the stages again; finished work is kept"
        )

    def record(self, stage: str, record: StageRecord) -> None:
        """Record that a stage is done, with the present time."""
        stages = self.stages()
        now, former = dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), stages.get(stage)
        stages[stage] = StageRecord(**{**asdict(record), "made_at": now})
        try:
            write_json(self.stages_file, {name: asdict(entry) for name, entry in stages.items()})
        except StorageError as error:
            is_recorded = former is not None and to_json(asdict(former) | {"made_at": now}) == to_json(
                asdict(stages[stage])
            )
            if not (is_recorded and may_not_be_written(error)):
                raise

    def current_features(self) -> Path:
        """Return the features.h5 that the last extraction made.

        Raises:
            MissingStageError: no features exist yet.
        """
        record = self.stages().get(Stage.FEATURES)
        if record is None or not (self.root / record.output).exists():
            raise MissingStageError(f"{self.root} has no features yet: run avzsl extract VIDEOS first")
        return self.root / record.output

    def current_model(self, run: str | None = None) -> Path:
        """Return the folder of a run; without a name, that of the newest model.

        Raises:
            UsageError: the run does not exist.
            MissingStageError: no model is trained yet.
        """
        if run is not None:
            folder = self.model_folder(run)
            if not folder.is_dir():
                known = sorted(entry.parent.name for entry in self.root.glob("models/*/model.json"))
                raise UsageError(f"{self.root} has no run {run!r}; it has {', '.join(known) or 'none'}")
            return folder
        record = self.stages().get(Stage.MODEL)
        if record is None or not (self.root / record.output).exists():
            raise MissingStageError(f"{self.root} has no trained model yet: run avzsl train first")
        return self.root / record.output

    @contextlib.contextmanager
    def locked(self, command: str, *, wait_seconds: float = 0.0, reads_only: bool = False) -> Iterator[bool]:
        """Prevent other processes from writing to the workspace during the context; first remove what killed ones left.

        A workspace whose folders this process may not write can be entered too: a command may find its work done.

        Args:
            command: the command of this process, for the message that another process shows.
            wait_seconds: longest time to wait for a process that writes.
            reads_only: whether the command only reads; then it needs no right to write.

        Yields:
            Whether the lock for writing is held. If not, each attempt to write fails, or the command only reads.

        Raises:
            WorkspaceInUseError: another process still holds the lock after `wait_seconds`.
            StorageError: the lock may not be written, but some folder of the workspace may.
        """
        lock = self.root / "lock"
        with contextlib.ExitStack() as stack:
            try:
                try:
                    stack.enter_context(held(lock, command, wait_seconds=wait_seconds))
                    may_write = True
                except StorageError as error:
                    if not may_not_be_written(error) or not (reads_only or self._is_for_reading()):
                        raise
                    stack.enter_context(held_for_reading(lock))
                    may_write = False
            except LockHeldError as error:
                raise WorkspaceInUseError(
                    f"{self.root} is in use by {error}: wait for it, or choose another with --workspace"
                ) from error
            if may_write:
                remove_leftovers(self.root, self.shards_folder)
                yield True
                return
            try:
                yield False
            except OSError as error:  # the first attempt to write, wherever it was
                where = error.filename if isinstance(error.filename, str) else self.root
                raise storage_error(error, Path(where)) from error

    def _is_for_reading(self) -> bool:
        """Return whether this is a workspace of which the system lets this process write no folder."""
        folders = [self.root, *(folder for pattern in _FOLDERS for folder in self.root.glob(pattern))]
        return self.stages_file.exists() and not any(
            os.access(folder, os.W_OK) for folder in folders if folder.is_dir()
        )

    def sweep(self) -> None:
        """Remove what killed processes left, if no other process writes; a command that only reads calls this.

        A workspace that may not be changed stays as it is.
        """
        if any(leftovers_in(self.root)):
            with contextlib.suppress(WorkspaceInUseError, StorageError), self.locked("sweep"):
                pass


def cache_folder() -> Path:
    """Return the folder AVZSL_CACHE if it is set, else the user's cache folder.

    A user without a home, as in containers started with `--user 12345`, gets one in the folder of temporary files.
    """
    given = os.environ.get("AVZSL_CACHE")
    try:
        return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("avzsl", appauthor=False))
    except RuntimeError:
        return stand_in_home() / ".cache" / "avzsl"
