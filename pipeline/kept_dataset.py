"""The dataset a workspace keeps: taken over from its source, without losing what was edited here."""

import hashlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.base.errors import UsageError
from pipeline.base.files import fingerprint, read_json, replacing, write_json
from pipeline.base.progress import Reporter
from pipeline.base.system import collector_paused
from pipeline.datasets.dataset import Dataset, load_dataset, read_phrases, read_source, save_dataset

FILES = ("manifest.csv", "classes.csv", "splits.yaml")
SOURCE_FILE = "source.json"


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
