"""The numbers of classes and videos of the benchmarks. Legend: C classes."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The numbers of classes and videos of a benchmark.

    Raises:
        ValueError: a split with fewer videos than classes, or fewer than two classes to train on.
    """

    train_classes: int
    val_unseen_classes: int
    test_unseen_classes: int
    train: int  # videos, as in the fields below
    val_seen: int
    val_unseen: int
    test_seen: int  # from the classes of train and val_unseen
    test_unseen: int
    seconds: tuple[int, int] = (10, 10)  # the shortest and the longest video

    def __post_init__(self) -> None:
        if self.train_classes < 2 or self.val_unseen_classes < 0 or self.test_unseen_classes < 0:
            raise ValueError(
                f"train_classes is {self.train_classes}, must be at least 2; the other numbers of classes at least 0"
            )
        for split, classes in self.classes_of_splits.items():
            videos = getattr(self, split)
            if videos and videos < len(classes):
                raise ValueError(f"{split} is {videos}, must be 0 or at least {len(classes)}, one video per class")
        if not 1 <= self.seconds[0] <= self.seconds[1]:
            raise ValueError(f"seconds are {self.seconds}, must be (shortest, longest), at least 1 each")

    @property
    def classes(self) -> int:
        """The number of classes C."""
        return self.train_classes + self.val_unseen_classes + self.test_unseen_classes

    @property
    def classes_of_splits(self) -> dict[str, range]:
        """The indices of the classes of each split, in the order train, val_unseen, test_unseen."""
        train, seen = self.train_classes, self.train_classes + self.val_unseen_classes
        return {
            "train": range(train),
            "val_seen": range(train),
            "val_unseen": range(train, seen),
            "test_seen": range(seen),
            "test_unseen": range(seen, self.classes),
        }

    def videos_of_class(self, index: int) -> dict[str, int]:
        """Map each split to its number of videos of the class with this index; classes differ by at most one video."""
        return {
            split: getattr(self, split) // len(classes) + (index - classes.start < getattr(self, split) % len(classes))
            for split, classes in self.classes_of_splits.items()
            if index in classes
        }


# Classes and videos of main_split (pipeline/avgzsl_benchmark/README.md). The numbers of videos of VGGSound are rounded,
# and all seconds are chosen by this project.
SHAPES: Mapping[str, Shape] = {
    "ucf": Shape(
        train_classes=30,
        val_unseen_classes=12,
        test_unseen_classes=9,
        train=3174,
        val_seen=353,
        val_unseen=1467,
        test_seen=555,
        test_unseen=1267,
        seconds=(2, 12),
    ),
    "activitynet": Shape(
        train_classes=99,
        val_unseen_classes=51,
        test_unseen_classes=50,
        train=9204,
        val_seen=1023,
        val_unseen=4307,
        test_seen=1615,
        test_unseen=4199,
        seconds=(5, 30),
    ),
    "vggsound": Shape(
        train_classes=138,
        val_unseen_classes=69,
        test_unseen_classes=69,
        train=70_000,
        val_seen=8_000,
        val_unseen=3_000,
        test_seen=9_000,
        test_unseen=3_000,
    ),
}
