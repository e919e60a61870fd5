"""Where a prepared dataset is written: a workspace's folder, or one of the user's; nothing that was edited is lost."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.csv_tables import write_table
from pipeline.base.errors import StorageError, UsageError
from pipeline.base.files import storage_errors, write_json
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import Dataset, read_phrases, save_dataset
from pipeline.datasets.splits import Splits, check_splits, parse_splits, write_splits
from pipeline.kept_dataset import (
    FILES,
    SOURCE_FILE,
    content_hash,
    keep_beside,
    keep_edits,
    kept_files,
    set_aside_others,
    source_record,
    write_record,
)

LISTS = ("missing.csv", "unmatched.csv")


@dataclass(frozen=True)
class PreparedFolder:
    """A folder that a dataset is prepared into.

    Attributes:
        path: holds manifest.csv, classes.csv, splits.yaml, and what was left out.
        origin: in words what the dataset is made from; another origin is another dataset.
        source: what the user pointed at.
        in_workspace: whether a workspace owns the folder, so that it may be renamed as a whole.
    """

    path: Path
    origin: str
    source: Path
    in_workspace: bool

    def refuse_strangers(self) -> None:
        """Leave files of another origin alone where they lie in a folder of the user's.

        Raises:
            UsageError: there is one of a name that would be written.
        """
        if self.in_workspace:
            return
        there = [name for name in (*FILES, *LISTS, SOURCE_FILE) if (self.path / name).exists()]
        try:
            former = source_record(self.path).get("source")
        except StorageError:  # no JSON, so none of ours
            former = None
        if there and former != self.origin:
            raise UsageError(
                f"{self.path} holds a {there[0]} already, made by {former or 'somebody else'}: "
                "choose another folder with --to"
            )

    def make_room(self, reporter: Reporter) -> None:
        """Set a workspace's dataset of another origin aside."""
        set_aside_others(self.path, self.origin, reporter)
        if source_record(self.path).get("source") == self.origin:
            return
        # What stands there still came with no note of its source.
        for name in (*FILES, SOURCE_FILE):
            if (self.path / name).is_file():
                self._put_beside(name, reporter)

    def _put_beside(self, name: str, reporter: Reporter) -> None:
        path = self.path / name
        with storage_errors(path):
            content = path.read_bytes()
        reporter.warn(f"{path} was there before: it lies in {keep_beside(path, content)} now")

    def edited_phrases(self) -> Mapping[str, str]:
        """The phrases of a classes.csv that was edited since it was written here."""
        return read_phrases(self.path / "classes.csv") if self._is_edited("classes.csv") else {}

    def edited_splits(self, dataset: Dataset) -> Splits | None:
        """Splits that were edited or made here since the dataset was prepared, where they fit it still."""
        if not self._is_edited("splits.yaml"):
            return None
        path = self.path / "splits.yaml"
        try:
            splits = parse_splits(path)
            check_splits(splits, dataset, str(path))
        except UsageError:
            return None  # keep_edits puts it beside the new one, and says so
        return splits

    def _is_edited(self, name: str) -> bool:
        record, content = source_record(self.path), kept_files(self.path).get(name)
        return (
            record.get("source") == self.origin
            and content is not None
            and content_hash(content) != record.get("written", {}).get(name)
        )

    def write(self, dataset: Dataset, splits: Splits | None, reporter: Reporter, *, edited: Collection[str]) -> None:
        """Write the dataset, and its splits where there are any.

        Args:
            dataset: what was prepared.
            splits: None: there are none, and none may stay from before.
            reporter: hears of edits that are put beside the new files.
            edited: files whose edits are in the dataset and the splits already; such splits stay as they are.
        """
        before, record, path = kept_files(self.path), source_record(self.path), self.path / "splits.yaml"
        save_dataset(dataset, self.path)
        if splits is None:
            path.unlink(missing_ok=True)
        elif path.name not in edited:
            write_splits(splits, path)
        keep_edits(self.path, {name: text for name, text in before.items() if name not in edited}, record, reporter)
        made_splits = record.get("made_splits") if path.name in edited else None
        self.note(edited=edited, made_splits=made_splits, lists=record.get("lists"))

    def note(self, *, edited: Collection[str] = (), **more: object) -> None:
        """Remember what the files were made from.

        Args:
            edited: files that hold edits.
            more: what else to remember; None: nothing.
        """
        record = {"source": self.origin, "prepared_from": str(self.source.resolve()), **more}
        write_record(self.path, {name: value for name, value in record.items() if value is not None}, edited)

    def list_file(self, name: str, rows: Sequence[Mapping[str, object]], reporter: Reporter) -> Path | None:
        """Write a list beside the manifest; without rows there is none, also none from before.

        Args:
            name: one of `LISTS`.
            rows: of the list.
            reporter: hears of a file of that name that is not as it was written here; it is put beside.
        """
        path, record = self.path / name, source_record(self.path)
        lists = dict(record.get("lists", {}))
        if path.is_file() and _hash_of(path) != lists.pop(name, None):
            self._put_beside(name, reporter)
        if rows:
            write_table(path, rows)
            lists[name] = _hash_of(path)
        else:
            with storage_errors(path):
                path.unlink(missing_ok=True)
        write_json(self.path / SOURCE_FILE, {**record, "lists": lists})
        return path if rows else None


def _hash_of(path: Path) -> str:
    with storage_errors(path):
        return content_hash(path.read_bytes())


@contextlib.contextmanager
def locked_folder(workspace: Workspace, to: Path | None, origin: str, source: Path) -> Iterator[PreparedFolder]:
    """The folder to prepare into; a workspace is locked while the context lasts.

    Args:
        workspace: where its dataset goes.
        to: a folder of the user's instead; None: there is none.
        origin: in words what the dataset is made from.
        source: what the user pointed at.

    Raises:
        UsageError: `to` is a file.
        WorkspaceInUseError: another process writes in the workspace.
    """
    if to is not None:
        if to.exists() and not to.is_dir():
            raise UsageError(f"--to {to} is a file: give a folder to write into")
        yield PreparedFolder(to, origin, source, in_workspace=False)
        return
    with workspace.locked("prepare"):
        yield PreparedFolder(workspace.dataset_folder, origin, source, in_workspace=True)
