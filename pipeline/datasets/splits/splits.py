"""Splits: training, validation and test videos of seen and unseen classes (pipeline/avgzsl_benchmark/README.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.csv_tables import escape_undecodable
from pipeline.base.errors import UsageError
from pipeline.base.files import read_text, write_text
from pipeline.base.wording import did_you_mean
from pipeline.base.yaml_text import parse_yaml
from pipeline.datasets.dataset import Dataset
from pipeline.datasets.split_folders import keys_by_split

# Split of seen classes -> the splits that are trained on before it is used.
_TRAINED_BEFORE = {"val_seen": ("train",), "test_seen": ("train", "val_seen", "val_unseen")}

# The version of libyaml writes every character so that it can be read again.
_SAFE_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class Splits:
    """Five disjoint splits of video keys; no class is both seen and unseen in the same training stage.

    Training stage 1 trains on `train` and validates on `val_seen` and `val_unseen`. Training stage 2 trains on all
    three. The test uses `test_seen` and `test_unseen`.
    """

    train: tuple[str, ...]
    val_seen: tuple[str, ...]
    val_unseen: tuple[str, ...]
    test_seen: tuple[str, ...]
    test_unseen: tuple[str, ...]
    origin: Mapping[str, Any] = field(default_factory=dict)  # how they were made; empty if the user wrote them

    @property
    def by_name(self) -> dict[str, tuple[str, ...]]:
        """The five splits by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "origin"}

    def restricted_to(self, keys: Sequence[str]) -> "Splits":
        """Keep only the videos among `keys`; this drops, for example, videos whose extraction failed."""
        known = set(keys)
        restricted = {name: tuple(key for key in split if key in known) for name, split in self.by_name.items()}
        return Splits(**restricted, origin=self.origin)

    def without_untrained_classes(self, class_of: Mapping[str, str]) -> "Splits":
        """Drop videos from the seen splits if their class has no video to train on.

        Args:
            class_of: video key -> class, for every video of the splits.
        """
        by_name = self.by_name
        for name, trained in _TRAINED_BEFORE.items():
            known = {class_of[key] for other in trained for key in by_name[other]}
            by_name[name] = tuple(key for key in by_name[name] if class_of[key] in known)
        return Splits(**by_name, origin=self.origin)


def splits_of_folders(dataset: Dataset) -> Splits | None:
    """Make splits of the folders train, val and test that the dataset was read from; None if there are none.

    Raises:
        UsageError: folders such as test_unseen hold classes that do not belong there.
    """
    if not dataset.split_of:
        return None
    class_of = {video.key: video.class_name for video in dataset.videos}
    split_of = {key: split for key, split in dataset.split_of.items() if key in class_of}
    splits = Splits(**keys_by_split(split_of, class_of), origin={"folders": str(dataset.source)})
    check_splits(splits, dataset, str(dataset.source))
    return splits


def read_splits(path: Path, dataset: Dataset) -> Splits:
    """Read splits with `parse_splits` and check that they fit a dataset.

    Raises:
        UsageError: a file of another format, an unknown video, a video in two splits, or a class that is both seen
            and unseen.
    """
    splits = parse_splits(path)
    check_splits(splits, dataset, str(path))
    return splits


def parse_splits(path: Path) -> Splits:
    """Parse splits from YAML: a list of video keys for each of train, val_seen, val_unseen, test_seen, test_unseen.

    Raises:
        UsageError: a file of another format.
    """
    document = parse_yaml(read_text(path), str(path))
    if not isinstance(document, dict):
        raise UsageError(f"{path}: expected the lists train, val_seen, val_unseen, test_seen and test_unseen")
    names = [entry.name for entry in fields(Splits)]
    for name in document:
        if name not in names:
            raise UsageError(f"{path}: unknown split {name!r}.{did_you_mean(str(name), names)}")
    by_name = {name: _keys(document.get(name), f"{path}: {name}") for name in names if name != "origin"}
    origin = document.get("origin") or {}
    if not isinstance(origin, dict):
        raise UsageError(f"{path}: origin is for avzsl, which records there how it made the splits: leave it out")
    return Splits(**by_name, origin=origin)


def _keys(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{where} must be a list of videos, each in 'quotes' if it looks like a number")
    return tuple(map(escape_undecodable, value))


def check_splits(splits: Splits, dataset: Dataset, where: str) -> None:
    """Refuse splits with unknown videos, a video in two splits, or classes that are both seen and unseen."""
    class_of = {video.key: video.class_name for video in dataset.videos}
    split_of: dict[str, str] = {}
    for name, split in splits.by_name.items():
        for key in split:
            if key not in class_of:
                raise UsageError(
                    f"{where}: {name} lists {key!r}, which is not a video of the dataset.{did_you_mean(key, class_of)}"
                )
            if key in split_of:
                raise UsageError(f"{where}: {key!r} is in {split_of[key]} and in {name}; a video belongs to one split")
            split_of[key] = name
    classes = {name: {class_of[key] for key in split} for name, split in splits.by_name.items()}
    for unseen, seen in (
        ("test_unseen", ("train", "val_seen", "val_unseen", "test_seen")),
        ("val_unseen", ("train", "val_seen")),
    ):
        for other in seen:
            both = sorted(classes[unseen] & classes[other])
            if both:
                raise UsageError(
                    f"{where}: class {both[0]!r} is in {unseen} and in {other}; an unseen class is never trained on"
                )
    for tested, trained in _TRAINED_BEFORE.items():
        untrained = sorted(classes[tested] - {name for other in trained for name in classes[other]})
        if untrained:
            raise UsageError(
                f"{where}: class {untrained[0]!r} is in {tested} but has no video in {' or '.join(trained)}; "
                "a seen class needs videos to train on"
            )


def write_splits(splits: Splits, path: Path) -> None:
    """Write splits as YAML, one line per video."""
    document = {
        name: list(value) if isinstance(value, tuple) else dict(value) for name, value in asdict(splits).items()
    }
    text = yaml.dump(document, Dumper=_SAFE_DUMPER, sort_keys=False, allow_unicode=True, default_flow_style=False)
    write_text(path, text)
