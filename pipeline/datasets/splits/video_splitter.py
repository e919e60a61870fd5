"""Split the videos of classes by their recordings: all videos of a recording go to the same side."""

import random
from collections.abc import Mapping, Sequence

from pipeline.datasets.splits.amounts import Amounts
from pipeline.datasets.splits.splits import Splits


class VideoSplitter:
    """Assigns the recordings of classes to the sides train, val and test, one class after the other.

    Classes that leave less choice come first: all videos of a class that is unseen in the test are on the side test,
    and no video of a class that is unseen in validation is on the side train.

    Args:
        videos_of: class name -> keys of its videos.
        recording_of: video key -> its recording; a video that is not in it is a recording of its own.
        amounts: how many videos of a class to hold out.
        seed: random seed; each class has a generator of its own.
    """

    def __init__(
        self, videos_of: Mapping[str, Sequence[str]], recording_of: Mapping[str, str], amounts: Amounts, seed: int
    ) -> None:
        self._videos_of, self._recording_of, self._amounts, self._seed = videos_of, recording_of, amounts, seed
        self._side_of: dict[str, str] = {}  # of the recordings that are assigned

    def split(self, test_unseen: Sequence[str], val_unseen: Sequence[str]) -> Splits:
        """Assign the videos of every class to the splits; each split is sorted."""
        names = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
        by_name: dict[str, list[str]] = {name: [] for name in names}
        for name in sorted(test_unseen):
            by_name["test_unseen"] += self._assigned(name, ("test",))["test"]
        for name in sorted(val_unseen):
            sides = self._assigned(name, ("test", "val"))
            by_name["test_seen"] += sides["test"]
            by_name["val_unseen"] += sides["val"]
        for name in sorted(set(self._videos_of) - set(test_unseen) - set(val_unseen)):
            sides = self._assigned(name, ("test", "val", "train"))
            by_name["test_seen"] += sides["test"]
            by_name["val_seen"] += sides["val"]
            by_name["train"] += sides["train"]
        return Splits(**{name: tuple(sorted(keys)) for name, keys in by_name.items()}, origin={})

    def _assigned(self, name: str, sides: tuple[str, ...]) -> dict[str, list[str]]:
        """Hold out recordings of a class that have no side yet; what is left goes to the last side.

        Returns:
            Side -> videos of the class.
        """
        recordings: dict[str, list[str]] = {}
        for key in sorted(self._videos_of[name]):
            recordings.setdefault(self._recording_of.get(key, key), []).append(key)
        free = [recording for recording in recordings if recording not in self._side_of]
        random.Random(f"{self._seed}/{name}").shuffle(free)
        left = sum(map(len, recordings.values()))
        for side, amount in zip(sides[:-1], ("seen_test", "seen_val"), strict=False):
            wanted = self._amounts.of_videos(amount, left) - self._on(side, recordings)
            sizes = {recording: len(recordings[recording]) for recording in free}
            asked = getattr(self._amounts, amount) is not None
            self._side_of |= dict.fromkeys(_held_out_recordings(sizes, wanted, at_least=asked), side)
            free = [recording for recording in free if recording not in self._side_of]
            left -= self._on(side, recordings)
        self._side_of |= dict.fromkeys(free, sides[-1])
        assigned: dict[str, list[str]] = {side: [] for side in ("train", "val", "test")}
        for recording, keys in recordings.items():
            assigned[self._side_of[recording]] += keys
        return assigned

    def _on(self, side: str, recordings: Mapping[str, Sequence[str]]) -> int:
        """Count the videos of the recordings that are assigned to a side."""
        return sum(len(keys) for recording, keys in recordings.items() if self._side_of.get(recording) == side)


def _held_out_recordings(sizes: Mapping[str, int], wanted: int, *, at_least: bool) -> list[str]:
    """Choose recordings with about `wanted` videos together; one recording always stays.

    Args:
        sizes: recording -> number of its videos; the first ones are preferred.
        wanted: number of videos; none is chosen if it is below 1.
        at_least: whether to choose at least this many videos, if there are enough, and not the nearest number.
    """
    chosen: list[str] = []
    total = 0
    for recording, size in sizes.items():
        if len(chosen) + 1 < len(sizes) and abs(total + size - wanted) < abs(total - wanted):
            if at_least and total + size > wanted:
                continue
            chosen.append(recording)
            total += size
    others = sorted((recording for recording in sizes if recording not in chosen), key=sizes.__getitem__)
    while len(others) > 1 and total < wanted and (at_least or not chosen):
        chosen.append(others.pop(0))
        total += sizes[chosen[-1]]
    return chosen
