"""Which videos are for training, validation and test; classes seen and unseen (benchmark.md, Splits)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.errors import UsageError
from pipeline.base.files import read_text, write_text
from pipeline.base.wording import did_you_mean
from pipeline.datasets.dataset import Dataset

# Parts of seen classes, and the parts that train those.
_TRAINED_BEFORE = {"val_seen": ("train",), "test_seen": ("train", "val_seen", "val_unseen")}

# Those of libyaml read 100,000 videos in half a second instead of five, and write every character so that it is read.
_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SAFE_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class Splits:
    """Five disjoint sets of video keys; no class is both seen and unseen at one stage.

    Stage 1 trains on `train` and validates on `val_seen` and `val_unseen`; stage 2 trains on all three; the test
    is on `test_seen` and `test_unseen`.
    """

    train: tuple[str, ...]
    val_seen: tuple[str, ...]
    val_unseen: tuple[str, ...]
    test_seen: tuple[str, ...]
    test_unseen: tuple[str, ...]
    origin: Mapping[str, Any] = field(default_factory=dict)  # how they were made; empty: given by the user

    @property
    def by_name(self) -> dict[str, tuple[str, ...]]:
        """The five sets by name."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "origin"}

    def restricted_to(self, keys: Sequence[str]) -> "Splits":
        """The same splits without videos that are not among `keys`, such as those whose extraction failed."""
        known = set(keys)
        parts = {name: tuple(key for key in part if key in known) for name, part in self.by_name.items()}
        return Splits(**parts, origin=self.origin)

    def without_strangers(self, class_of: Mapping[str, str]) -> "Splits":
        """The same splits without videos of seen classes that no video is left of to train on.

        Args:
            class_of: video -> class, of every video of the splits.
        """
        parts = self.by_name
        for part, trained in _TRAINED_BEFORE.items():
            known = {class_of[key] for other in trained for key in parts[other]}
            parts[part] = tuple(key for key in parts[part] if class_of[key] in known)
        return Splits(**parts, origin=self.origin)


def read_splits(path: Path, dataset: Dataset) -> Splits:
    """Splits of a dataset, as `parse_splits` reads them.

    Raises:
        UsageError: not such a file, an unknown video, a video in two parts, or a class both seen and unseen.
    """
    splits = parse_splits(path)
    check_splits(splits, dataset, str(path))
    return splits


def parse_splits(path: Path) -> Splits:
    """Splits from YAML: a list of video keys for each of train, val_seen, val_unseen, test_seen, test_unseen.

    Raises:
        UsageError: not such a file.
    """
    try:
        document = yaml.load(read_text(path), Loader=_SAFE_LOADER)  # noqa: S506 -- it is one of the safe ones
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}: expected the lists train, val_seen, val_unseen, test_seen and test_unseen")
    names = [entry.name for entry in fields(Splits)]
    for name in document:
        if name not in names:
            raise UsageError(f"{path}: unknown part {name!r}.{did_you_mean(str(name), names)}")
    parts = {name: _keys(document.get(name), f"{path}: {name}") for name in names if name != "origin"}
    origin = document.get("origin") or {}
    if not isinstance(origin, dict):
        raise UsageError(f"{path}: origin is {origin!r}; it says how splits were made, so leave it out")
    return Splits(**parts, origin=origin)


def _keys(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{where} must be a list of videos, each in 'quotes' where it looks like a number")
    return tuple(value)


def check_splits(splits: Splits, dataset: Dataset, where: str) -> None:
    """Refuse unknown videos, a video in two parts, and classes that are seen and unseen at once."""
    class_of = {video.key: video.class_name for video in dataset.videos}
    part_of: dict[str, str] = {}
    for name, part in splits.by_name.items():
        for key in part:
            if key not in class_of:
                raise UsageError(
                    f"{where}: {name} lists {key!r}, which is no video of the dataset.{did_you_mean(key, class_of)}"
                )
            if key in part_of:
                raise UsageError(f"{where}: {key!r} is in {part_of[key]} and in {name}; a video belongs to one part")
            part_of[key] = name
    classes = {name: {class_of[key] for key in part} for name, part in splits.by_name.items()}
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
        strangers = sorted(classes[tested] - {name for other in trained for name in classes[other]})
        if strangers:
            raise UsageError(
                f"{where}: class {strangers[0]!r} is in {tested} but has no video in {' or '.join(trained)}; "
                "a seen class is one that is trained on"
            )


def write_splits(splits: Splits, path: Path) -> None:
    """Write splits as YAML, a video a line."""
    document = {
        name: list(value) if isinstance(value, tuple) else dict(value) for name, value in asdict(splits).items()
    }
    text = yaml.dump(document, Dumper=_SAFE_DUMPER, sort_keys=False, allow_unicode=True, default_flow_style=False)
    write_text(path, text)
