"""Make splits by holding out classes and videos from training."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace

from pipeline.base.errors import UsageError
from pipeline.base.wording import counted, did_you_mean
from pipeline.datasets.dataset import Video
from pipeline.datasets.splits.amounts import LEAST_TRAINED_CLASSES, Amounts
from pipeline.datasets.splits.recordings import recordings_of
from pipeline.datasets.splits.splits import Splits
from pipeline.datasets.splits.video_splitter import VideoSplitter


def hold_out(
    videos_of: Mapping[str, Sequence[str]],
    *,
    unseen: Sequence[str] | None = None,
    unseen_fraction: float = 0.25,
    amounts: Amounts | None = None,
    seed: int = 0,
    recording_of: Mapping[str, str] | None = None,
) -> Splits:
    """Make splits for a dataset that has none: hold out some classes for test and some of the rest for validation.

    The videos of a recording are all in training, all in validation or all in test. If a recording shows several
    classes, its videos of seen classes follow those of unseen classes, and are left out if their class then has no
    video to train on.

    Args:
        videos_of: class name -> keys of its videos.
        unseen: classes to hold out for test; None to choose `unseen_fraction` of the classes at random, at least one.
        unseen_fraction: fraction of the classes held out for test, and of the remaining ones for validation.
        amounts: least amounts to hold out. If it gives none, the fraction above and a fifth of the videos are used.
        seed: random seed. The videos of each class are shuffled with a generator of their own, so adding a class does
            not reshuffle the others.
        recording_of: video key -> its recording; a video that is not in it, or None, is a recording of its own.

    Raises:
        UsageError: an unknown class in `unseen`, fewer than two classes left to train on, or less to hold out than
            asked for.
    """
    amounts = amounts or Amounts()
    classes = sorted(videos_of)
    if unseen is not None and not unseen:
        raise UsageError('--unseen names no class; give names such as --unseen "yoga, drumming"')
    test_unseen = (
        _named_classes(unseen, classes)
        if unseen is not None
        else _random_classes(classes, amounts.of_classes("unseen_test", len(classes), unseen_fraction), f"{seed}/test")
    )
    seen = [name for name in classes if name not in test_unseen]
    _refuse_too_few(classes, test_unseen)
    validation = amounts.of_classes("unseen_val", len(seen), unseen_fraction)
    val_unseen = _random_classes(seen, validation, f"{seed}/validation") if len(seen) > LEAST_TRAINED_CLASSES else []
    splits = VideoSplitter(videos_of, recording_of or {}, amounts, seed).split(test_unseen, val_unseen)
    if recording_of is not None:
        class_of = {key: name for name, keys in videos_of.items() for key in keys}
        splits = splits.without_untrained_classes(class_of)
        trained = {class_of[key] for key in splits.train}
        untrained = set(seen) - set(val_unseen) - trained
        _refuse_too_few_trained(trained, untrained, class_of, recording_of)
    amounts.check_videos({name: len(keys) for name, keys in splits.by_name.items()})
    origin = {"unseen": list(unseen)} if unseen is not None else {"unseen_fraction": unseen_fraction}
    origin |= {name: value for name, value in asdict(amounts).items() if value is not None}
    return replace(splits, origin={**origin, "seed": seed})


def _named_classes(names: Sequence[str], classes: Sequence[str]) -> list[str]:
    for name in names:
        if name not in classes:
            raise UsageError(
                f"--unseen names {name!r}, which is not a class of the dataset.{did_you_mean(name, classes)}"
            )
    return list(dict.fromkeys(names))


def _refuse_too_few(classes: Sequence[str], unseen: Sequence[str]) -> None:
    left = len(classes) - len(unseen)
    if left < LEAST_TRAINED_CLASSES:
        raise UsageError(
            f"{len(classes)} classes, {len(unseen)} of them unseen, leave {left} to train on: "
            f"at least {LEAST_TRAINED_CLASSES} seen classes are needed. "
            "Add videos of other classes, or hold out fewer with --unseen"
        )


def _random_classes(classes: Sequence[str], count: int, seed: str) -> list[str]:
    return random.Random(seed).sample(list(classes), count)


def _refuse_too_few_trained(
    trained: Collection[str], untrained: Collection[str], class_of: Mapping[str, str], recording_of: Mapping[str, str]
) -> None:
    if len(trained) < LEAST_TRAINED_CLASSES:
        raise UsageError(
            f"{counted(len(trained), 'class')} left to train on, and {LEAST_TRAINED_CLASSES} are needed: the "
            "recordings of the others are held out, because they also show other classes"
            f"{_example(untrained, class_of, recording_of)}. Hold out other classes, or add videos of other recordings"
        )


def _example(untrained: Collection[str], class_of: Mapping[str, str], recording_of: Mapping[str, str]) -> str:
    """Name a recording of an untrained class, and two of its classes."""
    classes: dict[str, set[str]] = {}  # recording -> its classes
    for key, name in class_of.items():
        classes.setdefault(recording_of.get(key, key), set()).add(name)
    for recording, names in classes.items():
        of_recording = sorted(names, key=lambda name: (name not in untrained, name))
        if of_recording[0] in untrained and len(names) > 1:
            return f", such as {recording!r}, a recording of {of_recording[0]!r} and {of_recording[-1]!r}"
    return ""


def make_splits(videos: Sequence[Video], amounts: Amounts, *, seed: int, least_videos: int = 1) -> Splits:
    """Hold out classes and videos. Equal arguments give equal splits; the order of the videos does not matter.

    Args:
        videos: videos of the dataset.
        amounts: least amounts to hold out.
        seed: random seed.
        least_videos: classes with fewer videos are in no split.

    Raises:
        UsageError: a dataset that is too small for the amounts.
    """
    videos_of: dict[str, list[str]] = {}
    for video in videos:
        videos_of.setdefault(video.class_name, []).append(video.key)
    kept = {name: keys for name, keys in videos_of.items() if len(keys) >= least_videos}
    if not kept:
        most = max((len(keys) for keys in videos_of.values()), default=0)
        raise UsageError(f"--least-videos {least_videos}: no class has that many, the largest has {most}")
    needed = LEAST_TRAINED_CLASSES + 1
    if len(kept) < needed:
        raise UsageError(
            f"{counted(len(kept), 'class')}, and at least {needed} are needed, "
            f"to train on {LEAST_TRAINED_CLASSES} and test on an unseen one: add videos of other classes"
        )
    splits = hold_out(kept, amounts=amounts, seed=seed, recording_of=recordings_of(videos))
    return replace(
        splits, origin={**splits.origin, "least_videos": least_videos} if least_videos > 1 else splits.origin
    )
