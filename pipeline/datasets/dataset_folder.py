"""The folder that a dataset is written into: in a workspace, or chosen by the user. Hand edits are never lost."""

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.csv_tables import write_table
from pipeline.base.errors import StorageError, UsageError
from pipeline.base.files import fingerprint, read_bytes, replacing, storage_errors, write_json
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import RECORD, Dataset, dataset_record, read_phrases, save_dataset
from pipeline.datasets.origin import is_same_origin
from pipeline.datasets.phrases import Phrases
from pipeline.datasets.splits.splits import Splits, check_splits, parse_splits, splits_of_folders, write_splits

MANIFEST, CLASSES, SPLITS = "manifest.csv", "classes.csv", "splits.yaml"
FILES = (MANIFEST, CLASSES, SPLITS)
LISTS = ("missing.csv", "unmatched.csv")


@dataclass(frozen=True)
class DatasetFolder:
    """A folder that holds, or will hold, one dataset.

    Attributes:
        path: the folder of manifest.csv, classes.csv, splits.yaml and source.json.
        origin: what the dataset is made from, in words; a dataset of another origin is another dataset.
        prepared_from: what the user pointed `avzsl prepare` at; None if no such command made the dataset.
        in_workspace: whether a workspace owns the folder, so that avzsl may rename it.
    """

    path: Path
    origin: str
    prepared_from: Path | None = None
    in_workspace: bool = True

    @property
    def record(self) -> dict[str, Any]:
        """The content of source.json; see `dataset_record`."""
        return dataset_record(self.path)

    def files(self) -> dict[str, bytes]:
        """Read the dataset's files that exist."""
        return {name: (self.path / name).read_bytes() for name in FILES if (self.path / name).is_file()}

    def refuse_foreign_files(self) -> None:
        """Refuse to write into a user's folder that holds files of another origin.

        Raises:
            UsageError: a file with a name that would be written exists.
        """
        if self.in_workspace:
            return
        existing = [name for name in (*FILES, *LISTS, RECORD) if (self.path / name).exists()]
        try:
            former = self.record.get("source")
        except StorageError:  # not JSON, so avzsl did not write it
            former = None
        if existing and not is_same_origin(former, self.origin):
            made_by = former or "another program or by hand"
            raise UsageError(
                f"{self.path} holds a {existing[0]} already, made by {made_by}: choose another folder with --to"
            )

    def make_room(self, reporter: Reporter) -> None:
        """Move away a recorded dataset of another origin as a whole, and a record that avzsl did not write.

        Other files stay until they are replaced: they may be what a killed run of the same command wrote.

        Args:
            reporter: receives a warning for everything that is moved.
        """
        self.move_other_dataset(reporter)
        if (self.path / RECORD).is_file() and self.record.get("source") is None:
            self._back_up_existing(RECORD, reporter)

    def move_other_dataset(self, reporter: Reporter) -> None:
        """Rename the folder if its record names another origin."""
        former = self.record.get("source")
        if former is None or is_same_origin(former, self.origin):
            return
        saved = _free_name(self.path.with_name(f"dataset-{fingerprint(former)}"))
        self.path.rename(saved)
        reporter.warn(
            f"the workspace's dataset was {former} and is now {self.origin}; the former dataset is saved as {saved}"
        )

    @contextlib.contextmanager
    def rewriting(
        self, record: Mapping[str, Any], reporter: Reporter, *, with_edits: Collection[str] = ()
    ) -> Iterator[None]:
        """Replace files inside the `with` block; afterwards back up the hand edits that were replaced.

        Args:
            record: entries of source.json besides the origin; those that are None are left out.
            reporter: receives a warning for every edit that is backed up.
            with_edits: files whose edits are part of what is written.
        """
        before, former = self.files(), self.record
        written = former.get("written", {})
        try:
            yield
        finally:  # also if writing failed halfway, so that no edit is lost
            now = self.files()
            for name, content in before.items():
                edited = name not in with_edits and content_hash(content) != written.get(name)
                if edited and _lines(content) != _lines(now.get(name, b"")):
                    self._back_up_edit(name, content, reporter, was_written=bool(former))
        self._write_record(record, with_edits)

    def keep(self, dataset: Dataset, reporter: Reporter) -> Dataset:
        """Write the dataset of an extraction with the splits of its source.

        Phrases that were edited in the workspace stay if the source has no classes.csv. A dataset of another origin
        is moved away as a whole, as it may hold splits made by hand.

        Returns:
            The dataset as written.
        """
        if dataset.source == (self.path / MANIFEST).resolve():
            return dataset
        self.move_other_dataset(reporter)
        root = dataset.source if dataset.source.is_dir() else dataset.source.parent
        if not (root / CLASSES).is_file() and (self.path / CLASSES).is_file():
            edited = read_phrases(self.path / CLASSES)
            phrases = {name: edited.get(name) or phrase for name, phrase in dataset.phrases.items()}
            dataset = replace(dataset, phrases=phrases)
        record = self.record
        of_folders = None if (root / SPLITS).is_file() else splits_of_folders(dataset)
        has_splits = of_folders is not None or (root / SPLITS).is_file()
        # Splits of `avzsl prepare splits` are newer than those of the source: the user asked for them later.
        keeps_splits = "made_splits" in record and (self.path / SPLITS).is_file()
        with self.rewriting({**record, "splits": has_splits}, reporter):
            save_dataset(dataset, self.path)
            if of_folders is not None and not keeps_splits:
                write_splits(of_folders, self.path / SPLITS)
            elif not keeps_splits:
                self._copy_splits(root / SPLITS, had_splits=bool(record.get("splits")))
        return dataset

    def write(
        self,
        dataset: Dataset,
        splits: Splits | None,
        reporter: Reporter,
        *,
        record: Mapping[str, Any] | None = None,
        with_edits: Collection[str] = (),
    ) -> None:
        """Write a dataset and its splits.

        Args:
            dataset: the dataset.
            splits: its splits; None to write none and to remove earlier ones.
            reporter: receives a warning for every hand edit that is backed up.
            record: entries of source.json besides the origin.
            with_edits: files whose edits are in the dataset and the splits already; such splits stay as they are.
        """
        path = self.path / SPLITS
        former = self.record
        kept = {
            "lists": former.get("lists"),
            "made_splits": former.get("made_splits") if SPLITS in with_edits else None,
        }
        with self.rewriting({**kept, **(record or {})}, reporter, with_edits=with_edits):
            save_dataset(dataset, self.path)
            if splits is None:
                path.unlink(missing_ok=True)
            elif SPLITS not in with_edits:
                write_splits(splits, path)

    def write_made_splits(self, splits: Splits, reporter: Reporter) -> Path:
        """Write the splits of `avzsl prepare splits`; from now on they are used instead of those of the source.

        Splits made by hand are backed up.

        Returns:
            The file.
        """
        record, before, file = self.record, self.files(), self.path / SPLITS
        write_splits(splits, file)
        made = content_hash(file.read_bytes())
        # Splits that a command can make again need no backup.
        prepared = record.get("written", {}).get(SPLITS) if "prepared_from" in record else None
        reproducible = {made, record.get("made_splits"), prepared}
        if SPLITS in before and content_hash(before[SPLITS]) not in reproducible and not record.get("splits"):
            saved = back_up(file, before[SPLITS])
            reporter.warn(f"{file} already existed; saved as {saved}")
        if record:
            edited = {name for name, content in before.items() if self._differs(name, content, record)}
            self._write_record({**record, "made_splits": made}, {*edited, SPLITS}, keep_origin=True)
        return file

    def edited_phrases(self) -> Mapping[str, Phrases]:
        """Read the phrases of classes.csv if the file was edited since avzsl wrote it, else none."""
        return read_phrases(self.path / CLASSES) if self._is_edited(CLASSES) else {}

    def edited_splits(self, dataset: Dataset) -> Splits | None:
        """Read the splits if they were edited or made here since avzsl wrote the dataset, and still fit it."""
        if not self._is_edited(SPLITS):
            return None
        path = self.path / SPLITS
        try:
            splits = parse_splits(path)
            check_splits(splits, dataset, str(path))
        except UsageError:
            return None  # `rewriting` backs the file up and warns
        return splits

    def write_list(self, name: str, rows: Sequence[Mapping[str, object]], reporter: Reporter) -> Path | None:
        """Write a list next to the manifest; without rows, remove the one from before.

        Args:
            name: one of `LISTS`.
            rows: the rows of the list.
            reporter: receives a warning if the file is not as avzsl wrote it; it is then backed up.

        Returns:
            The file; None without rows.
        """
        path, record = self.path / name, self.record
        lists = dict(record.get("lists", {}))
        with storage_errors(path):
            before = path.read_bytes() if path.is_file() else None
        was_ours = before is None or content_hash(before) == lists.pop(name, None)
        if rows:
            write_table(path, rows)
            lists[name] = _hash_of_file(path)
        else:
            with storage_errors(path):
                path.unlink(missing_ok=True)
        # The same list without a record is what a killed run of the same command wrote.
        if before is not None and not was_ours and content_hash(before) != lists.get(name):
            reporter.warn(f"{path} already existed; saved as {back_up(path, before)}")
        write_json(self.path / RECORD, {**record, "lists": lists})
        return path if rows else None

    def _is_edited(self, name: str) -> bool:
        record, content = self.record, self.files().get(name)
        is_ours = is_same_origin(record.get("source"), self.origin)
        return is_ours and content is not None and self._differs(name, content, record)

    @staticmethod
    def _differs(name: str, content: bytes, record: Mapping[str, Any]) -> bool:
        """Whether a file is not as it was recorded."""
        return bool(content_hash(content) != record.get("written", {}).get(name))

    def _write_record(
        self, record: Mapping[str, Any], with_edits: Collection[str], *, keep_origin: bool = False
    ) -> None:
        """Record what the dataset was made from, and its files as they are now.

        Args:
            record: further entries; those that are None are left out.
            with_edits: files that hold something a user typed; their hash stays empty, so that they count as edited.
            keep_origin: whether `record` names the origin already.
        """
        prepared = {} if self.prepared_from is None else {"prepared_from": str(self.prepared_from.resolve())}
        origin = {} if keep_origin else {"source": self.origin, **prepared, **self._relative_source()}
        entries = {name: value for name, value in {**record, **origin}.items() if value is not None}
        written = {name: "" if name in with_edits else content_hash(text) for name, text in self.files().items()}
        write_json(self.path / RECORD, {**entries, "written": written})

    def _relative_source(self) -> dict[str, str]:
        """Return where the source is as seen from the workspace, in case both are moved together."""
        source = Path(self.origin) if self.prepared_from is None else self.prepared_from.resolve()
        if not (self.in_workspace and source.is_absolute()):
            return {}
        with contextlib.suppress(ValueError):  # on another drive
            return {"relative_source": os.path.relpath(source, self.path.resolve().parent)}
        return {}

    def _copy_splits(self, given: Path, *, had_splits: bool) -> None:
        """Copy the source's splits; remove those that the source had once and has no longer."""
        kept = self.path / SPLITS
        if given.is_file():
            with replacing(kept) as temporary:
                temporary.write_bytes(given.read_bytes())
        elif had_splits:
            kept.unlink(missing_ok=True)

    def _back_up_edit(self, name: str, content: bytes, reporter: Reporter, *, was_written: bool) -> None:
        """Save what a file had before it was replaced; `was_written`: whether avzsl had written the dataset before."""
        path = self.path / name
        saved = back_up(path, content)
        reporter.warn(
            f"{path} was edited by hand and differs from its source. Using the source; your version is saved as {saved}"
            if was_written
            else f"{path} already existed; saved as {saved}"
        )

    def _back_up_existing(self, name: str, reporter: Reporter) -> None:
        """Move a file that avzsl did not write, or not like this, out of the way."""
        path = self.path / name
        saved = _free_name(path.with_name(f"{name}.edited"))
        with storage_errors(path):
            path.replace(saved)
        reporter.warn(f"{path} already existed; saved as {saved}")


def _lines(content: bytes) -> bytes:
    """Return a text without differences of line ends, which some editors change."""
    return content.replace(b"\r\n", b"\n").rstrip(b"\n")


def content_hash(content: bytes) -> str:
    """Hash the content of a file, to recognise it later."""
    return hashlib.sha256(content).hexdigest()


def back_up(path: Path, content: bytes) -> Path:
    """Write the content a file had under a new name next to it; return that name."""
    saved = _free_name(path.with_name(f"{path.name}.edited"))
    with replacing(saved) as temporary:
        temporary.write_bytes(content)
    return saved


def _free_name(path: Path) -> Path:
    """Append hyphens to a path until nothing of that name exists."""
    while path.exists():
        path = path.with_name(f"{path.name}-")
    return path


def _hash_of_file(path: Path) -> str:
    return content_hash(read_bytes(path))


@contextlib.contextmanager
def locked_folder(workspace: Workspace, to: Path | None, origin: str, source: Path) -> Iterator[DatasetFolder]:
    """Yield the folder to prepare a dataset into; lock the workspace inside the `with` block.

    Args:
        workspace: the workspace whose dataset is prepared.
        to: folder that the user chose to write into; None to write into the workspace.
        origin: what the dataset is made from, in words.
        source: what the user pointed at.

    Raises:
        UsageError: `to` is a file.
        WorkspaceInUseError: another process writes in the workspace.
    """
    if to is not None:
        if to.exists() and not to.is_dir():
            raise UsageError(f"--to {to} is a file: give a folder to write into")
        yield DatasetFolder(to, origin, source, in_workspace=False)
        return
    with workspace.locked("prepare"):
        yield DatasetFolder(workspace.dataset_folder, origin, source)
