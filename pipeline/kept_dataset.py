"""The dataset a workspace keeps: taken over from its source, without losing what was edited here."""

import hashlib
from dataclasses import replace
from pathlib import Path

from pipeline.collector import collector_paused
from pipeline.dataset import Dataset, load_dataset, read_phrases, read_source, save_dataset
from pipeline.files import fingerprint, read_json, replacing, write_json
from pipeline.progress import Reporter

_FILES = ("manifest.csv", "classes.csv", "splits.yaml")


@collector_paused()
def named_dataset(source: Path | None, folder: Path) -> Dataset:
    """The dataset that a user means.

    Args:
        source: what was given; None: what the workspace was made from, as it is today, or what is left of it here.
        folder: of the workspace's dataset.

    Raises:
        PipelineError: the source is wrong, or nothing was given and the workspace holds nothing.
    """
    if source is not None:
        return read_source(source)
    remembered = _source_of(folder)
    return read_source(remembered) if remembered and remembered.exists() else load_dataset(folder)


def keep_dataset(folder: Path, dataset: Dataset, reporter: Reporter) -> Dataset:
    """Write manifest.csv, classes.csv and the source's splits.yaml into a workspace.

    Phrases that were edited here stay, where the source brings no classes.csv of its own. The dataset of another source
    is set aside as a whole, as it may hold splits made by hand.

    Returns:
        The dataset as kept.
    """
    if dataset.source == (folder / "manifest.csv").resolve():
        return dataset
    former = _source_of(folder)
    if former is not None and former != dataset.source:
        _set_aside(folder, former, dataset.source, reporter)
    root = dataset.source if dataset.source.is_dir() else dataset.source.parent
    if not (root / "classes.csv").is_file() and (folder / "classes.csv").is_file():
        edited = read_phrases(folder / "classes.csv")
        phrases = {name: edited.get(name) or phrase for name, phrase in dataset.phrases.items()}
        dataset = replace(dataset, phrases=phrases)
    before, source_file = _contents(folder), folder / "source.json"
    written = read_json(source_file).get("written", {}) if source_file.exists() else {}
    save_dataset(dataset, folder)
    _copy_splits(root / "splits.yaml", folder)
    for name, content in before.items():
        edited = _hash(content) != written.get(name, _hash(content))
        if edited and content != _contents(folder).get(name):
            _keep_edit(folder / name, content, reporter)
    now = {name: _hash(content) for name, content in _contents(folder).items()}
    splits = (root / "splits.yaml").is_file()
    write_json(source_file, {"source": str(dataset.source), "splits": splits, "written": now})
    return dataset


def _contents(folder: Path) -> dict[str, bytes]:
    """The files of a kept dataset, as far as there are any."""
    return {name: (folder / name).read_bytes() for name in _FILES if (folder / name).is_file()}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _keep_edit(path: Path, content: bytes, reporter: Reporter) -> None:
    """What was edited here by hand gives way to the source, but stays beside it under another name."""
    aside = path.with_name(f"{path.name}.edited")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}-")
    with replacing(aside) as temporary:
        temporary.write_bytes(content)
    reporter.warn(
        f"{path} was edited here, and its source says otherwise: the source counts, your edit lies in {aside}"
    )


def _source_of(folder: Path) -> Path | None:
    file = folder / "source.json"
    return Path(str(read_json(file)["source"])) if file.exists() else None


def _copy_splits(given: Path, folder: Path) -> None:
    """Take over the source's splits; forget those that it brought once and brings no more."""
    kept = folder / "splits.yaml"
    if given.is_file():
        with replacing(kept) as temporary:
            temporary.write_bytes(given.read_bytes())
    elif (folder / "source.json").exists() and read_json(folder / "source.json").get("splits"):
        kept.unlink(missing_ok=True)


def _set_aside(folder: Path, former: Path, now: Path, reporter: Reporter) -> None:
    aside = folder.with_name(f"dataset-{fingerprint(str(former))}")
    while aside.exists():
        aside = aside.with_name(f"{aside.name}-")
    folder.rename(aside)
    reporter.warn(f"the workspace's dataset was {former} and is now {now}; the former lies in {aside}")
