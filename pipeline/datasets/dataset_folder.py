"""Where a prepared dataset is written: a workspace's folder, or one of the user's; nothing that was edited is lost."""

import contextlib
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.csv_tables import write_table
from pipeline.base.errors import StorageError, UsageError
from pipeline.base.files import fingerprint, read_json, replacing, storage_errors, write_json
from pipeline.base.progress import Reporter
from pipeline.base.system import collector_paused
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import Dataset, load_dataset, read_phrases, read_source, save_dataset
from pipeline.datasets.splits import Splits, check_splits, parse_splits, write_splits

LISTS = ("missing.csv", "unmatched.csv")

FILES = ("manifest.csv", "classes.csv", "splits.yaml")
SOURCE_FILE = "source.json"


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


@collector_paused()
def named_dataset(source: Path | None, folder: Path) -> Dataset:
    """The dataset that a user means.

    Args:
        source: what was given; None: what the workspace was made from, as it is today, or what is left of it here.
            The source of a dataset that `avzsl prepare` made means that dataset, with its splits and phrases.
        folder: of the workspace's dataset.

    Raises:
        PipelineError: the source is wrong, or nothing was given and the workspace holds nothing or generated features.
    """
    record = source_record(folder)
    if record.get("generated") and source is None:
        raise UsageError(
            f"{folder.parent} holds generated features and no videos: go on with avzsl train, "
            "or extract videos into another folder with --workspace"
        )
    prepared_from = record.get("prepared_from")
    if source is not None and prepared_from != str(source.resolve()):
        return read_source(source)
    if "source" not in record or prepared_from is not None or not Path(record["source"]).exists():
        return load_dataset(folder)
    return read_source(Path(record["source"]))


def keep_dataset(folder: Path, dataset: Dataset, reporter: Reporter) -> Dataset:
    """Write manifest.csv, classes.csv and the source's splits.yaml into a workspace.

    Phrases that were edited here stay, where the source brings no classes.csv of its own. The dataset of another source
    is set aside as a whole, as it may hold splits made by hand.

    Returns:
        The dataset as kept.
    """
    if dataset.source == (folder / "manifest.csv").resolve():
        return dataset
    set_aside_others(folder, str(dataset.source), reporter)
    root = dataset.source if dataset.source.is_dir() else dataset.source.parent
    if not (root / "classes.csv").is_file() and (folder / "classes.csv").is_file():
        edited = read_phrases(folder / "classes.csv")
        phrases = {name: edited.get(name) or phrase for name, phrase in dataset.phrases.items()}
        dataset = replace(dataset, phrases=phrases)
    before, record = kept_files(folder), source_record(folder)
    save_dataset(dataset, folder)
    # Splits that `avzsl prepare splits` made here were asked for after those of the source.
    if "made_splits" not in record or not (folder / "splits.yaml").is_file():
        _copy_splits(root / "splits.yaml", folder)
    keep_edits(folder, before, record or {"written": {}}, reporter)  # without a record nothing here is ours
    splits = (root / "splits.yaml").is_file()
    write_record(folder, {**record, "source": str(dataset.source), "splits": splits})
    return dataset


def source_record(folder: Path) -> dict[str, Any]:
    """What is remembered of a kept dataset: its source and the hashes of its files as they were written.

    A file of that name which somebody else wrote remembers nothing.
    """
    file = folder / SOURCE_FILE
    record = read_json(file) if file.exists() else {}
    return record if isinstance(record, dict) and isinstance(record.get("written"), dict) else {}


def write_record(folder: Path, record: dict[str, Any], edited: Collection[str] = ()) -> None:
    """Remember what a dataset was made from, and its files as they are now.

    Args:
        folder: of the dataset.
        record: what to remember beside the files.
        edited: files that hold what somebody typed here, which is never replaced without a word.
    """
    written = {name: "" if name in edited else content_hash(text) for name, text in kept_files(folder).items()}
    write_json(folder / SOURCE_FILE, {**record, "written": written})


def kept_files(folder: Path) -> dict[str, bytes]:
    """The files of a kept dataset, as far as there are any."""
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}


def content_hash(content: bytes) -> str:
    """What a file is recognised by."""
    return hashlib.sha256(content).hexdigest()


def keep_edits(folder: Path, before: dict[str, bytes], record: dict[str, Any], reporter: Reporter) -> None:
    """Put what was edited here, and was just replaced, beside its file.

    Args:
        folder: of the dataset.
        before: its files before they were replaced.
        record: what was remembered of them; a file that it does not know is an edit. Without any record they were
            not ours, and were put beside before.
        reporter: hears of every edit.
    """
    written = record.get("written")
    for name, content in before.items():
        edited = written is not None and content_hash(content) != written.get(name)
        if edited and content != kept_files(folder).get(name):
            aside = keep_beside(folder / name, content)
            reporter.warn(
                f"{folder / name} was edited here, and its source says otherwise: the source counts, "
                f"your edit lies in {aside}"
            )


def keep_beside(path: Path, content: bytes) -> Path:
    """Write what a file held under another name beside it; which name that is."""
    aside = path.with_name(f"{path.name}.edited")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}-")
    with replacing(aside) as temporary:
        temporary.write_bytes(content)
    return aside


def set_aside_others(folder: Path, source: str, reporter: Reporter) -> None:
    """Give a dataset that was made from something else another name, as a whole."""
    former = source_record(folder).get("source")
    if former is None or former == source:
        return
    aside = folder.with_name(f"dataset-{fingerprint(former)}")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}-")
    folder.rename(aside)
    reporter.warn(f"the workspace's dataset was {former} and is now {source}; the former lies in {aside}")


def _copy_splits(given: Path, folder: Path) -> None:
    """Take over the source's splits; forget those that it brought once and brings no more."""
    kept = folder / "splits.yaml"
    if given.is_file():
        with replacing(kept) as temporary:
            temporary.write_bytes(given.read_bytes())
    elif source_record(folder).get("splits"):
        kept.unlink(missing_ok=True)
