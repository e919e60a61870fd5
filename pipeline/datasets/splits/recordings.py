"""Which videos come from the same recording, so that no split has a recording in training and in a test.

Videos of one recording show the same place, people and sound. A network that was trained on some of them recognises the
others too easily.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from pipeline.base.wording import counted, grouped
from pipeline.datasets.dataset import Video, segment_key
from pipeline.datasets.splits.splits import Splits

# UCF101 cut the clips v_Archery_g01_c01.avi, v_Archery_g01_c02.avi, ... out of one recording.
_GROUP = re.compile(
    r"(?P<folder>.*[/\\])?(?P<group>(?P<name>[^/\\]*)_g\d+)_c\d+(\.[^./\\]+)?", re.IGNORECASE | re.DOTALL
)
# ActivityNet, VGGSound and Kinetics name a clip by the 11 characters of its video on YouTube and one or two numbers.
_YOUTUBE = re.compile(r"(.*[/\\])?(v_)?(?P<recording>[\w-]{11})(_\d+){1,2}(\.[^./\\]+)?", re.ASCII | re.DOTALL)
_SIDES = {"train": "train", "val_seen": "val", "val_unseen": "val", "test_seen": "test", "test_unseen": "test"}


def recordings_of(videos: Sequence[Video]) -> dict[str, str]:
    """Map the key of every video to the name of its recording.

    Segments of one file have one recording. So have files of one folder whose names are the same up to the group
    (`clip_g01_`). If the name contains a class, as in UCF101 (`v_Archery_g01_`), the folder does not count, because no
    other class has this group. If most files have names as in ActivityNet, VGGSound or Kinetics, the id of the video on
    YouTube is the recording of these. Any other file is a recording of its own.
    """
    files = {video.key: _file_of(video) for video in videos}
    ids = {key: match["recording"] for key, file in files.items() if (match := _YOUTUBE.fullmatch(file))}
    if 2 * len(ids) <= len(files) or not _are_from_youtube(ids.values()):
        ids = {}
    classes = {_letters(video.class_name) for video in videos}
    groups = {key: _group(match, classes) for key, file in files.items() if (match := _GROUP.fullmatch(file))}
    return {**files, **groups, **ids}


def _group(match: re.Match[str], classes: Collection[str]) -> str:
    """Return the group of a file; unless its name contains a class, every folder may have a group of this name."""
    names_class = _letters(match["name"].removeprefix("v_")) in classes
    return match["group"] if names_class else f"{match['folder'] or ''}{match['group']}"


def _letters(name: str) -> str:
    """Leave out what differs between the name of a class and its name in files: case, spaces and signs."""
    return "".join(filter(str.isalnum, name.lower()))


def _file_of(video: Video) -> str:
    """Return the location of the file; imported segments have no file, and their location contains their times."""
    return video.location.removesuffix(segment_key("", video.start_seconds, video.end_seconds))


def _are_from_youtube(ids: Iterable[str]) -> bool:
    """Whether names look random, as ids of YouTube do; `dog_barking` has 11 characters too."""
    random = [bool(re.search("[A-Z]", name) and re.search("[0-9]", name)) for name in set(ids)]
    return 2 * sum(random) > len(random)


def shared_recordings(splits: Splits, videos: Sequence[Video]) -> str | None:
    """Describe the recordings with videos on two sides of the splits: training, validation, test; None if none has."""
    recording_of = recordings_of(videos)
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))  # recording -> side -> videos
    for split, keys in splits.by_name.items():
        for key in keys:
            found[recording_of[key]][_SIDES[split]].append(key)
    shared = [sides for sides in found.values() if len(sides) > 1]
    if not shared:
        return None
    validated = sum({"train", "val"} <= set(sides) for sides in shared)
    tested = sum("test" in sides for sides in shared)
    (first, (video, *_)), (second, (other, *_)), *_ = shared[0].items()
    return (
        f"{grouped(len(shared))} of {counted(len(found), 'recording')} have videos on two sides of the splits "
        f"({grouped(validated)} in train and in val, {grouped(tested)} in test and in one of these), such as {video} "
        f"in {first} and {other} in {second}: the metrics of seen classes are higher than for new recordings"
    )
