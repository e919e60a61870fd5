"""recordings.py and video_splitter.py of pipeline/datasets/splits: no recording is on two sides of made splits."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.base.errors import UsageError
from pipeline.datasets.dataset import Video
from pipeline.datasets.official.split_lists import read_official_splits
from pipeline.datasets.splits.amounts import Amounts
from pipeline.datasets.splits.hold_out import hold_out, make_splits
from pipeline.datasets.splits.recordings import recordings_of, shared_recordings
from pipeline.datasets.splits.splits import Splits

SIDES = {"train": "train", "val_seen": "val", "val_unseen": "val", "test_seen": "test", "test_unseen": "test"}
# For each class, the sizes of its recordings.
CLASSES = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), min_size=3, max_size=8)
FRACTIONS = st.one_of(st.none(), st.floats(0, 0.6))


def videos_of(classes: list[list[int]]) -> list[Video]:
    """Make videos with names as in UCF101."""
    return [
        Video(
            f"c{index}/v_C{index}_g{group:02d}_c{clip:02d}",
            f"/ucf/c{index}/v_C{index}_g{group:02d}_c{clip:02d}.avi",
            f"c{index}",
        )
        for index, groups in enumerate(classes)
        for group, size in enumerate(groups)
        for clip in range(size)
    ]


def sides_of(splits: Splits, recording_of: dict[str, str]) -> dict[str, set[str]]:
    """Map each recording to the sides that have one of its videos."""
    sides: dict[str, set[str]] = defaultdict(set)
    for name, keys in splits.by_name.items():
        for key in keys:
            sides[recording_of[key]].add(SIDES[name])
    return sides


def test_segments_of_one_file_and_clips_of_one_group_have_one_recording() -> None:
    """The names of UCF101 contain the class, so the folder of their groups does not count."""
    videos = [
        Video("a", "/v/yoga/long.mp4", "yoga", 0.0, 4.0),
        Video("b", "/v/yoga/long.mp4", "yoga", 4.0, None),
        Video("c", "/v/Archery/v_Archery_g01_c01.avi", "Archery"),
        Video("d", "/v/Archery/v_Archery_g01_c02.AVI", "Archery"),
        Video("e", "/v/Archery/v_Archery_g02_c01.avi", "Archery"),
        Video("f", "/v/YoYo/v_YoYo_g01_c01.avi", "YoYo"),
        Video("g", "C:\\v\\YoYo\\v_YoYo_g01_c02", "YoYo"),
        Video("h", "/v/yoga/other.mp4", "yoga"),
    ]

    found = recordings_of(videos)

    groups = defaultdict(set)
    for key, recording in found.items():
        groups[recording].add(key)
    assert sorted(map(sorted, groups.values())) == [["a", "b"], ["c", "d"], ["e"], ["f", "g"], ["h"]]


def test_equal_names_in_other_folders_are_other_recordings() -> None:
    """Only a name that contains a class, as in UCF101, means the same in every folder; case and signs do not count."""
    names = ("clip_g01_c01.mp4", "clip_g01_c02.mp4", "v_HandStandPushups_g01_c01.avi")
    videos = [
        Video(f"{part}/{name}/{file}", f"/v/{part}/{name}/{file}", name)
        for name in ("yoga", "dog", "handstand_pushups")
        for part in ("a", "b")
        for file in names
    ]

    found = recordings_of(videos)

    groups = defaultdict(set)
    for key, recording in found.items():
        groups[recording].add(key)
    in_folders = [{f"{video.key.rpartition('/')[0]}/{file}" for file in names[:2]} for video in videos[::3]]
    everywhere = {video.key for video in videos if video.key.endswith(names[2])}
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, [*in_folders, everywhere]))


def test_class_folders_with_equal_names_can_be_split() -> None:
    """Five classes with one group of the same name each; every class is in the splits."""
    videos = [
        Video(f"c{index}/clip_g01_c{clip:02d}.mp4", f"/v/c{index}/clip_g01_c{clip:02d}.mp4", f"c{index}")
        for index in range(5)
        for clip in range(4)
    ]

    splits = make_splits(videos, Amounts(), seed=0)

    assert {key.split("/")[0] for keys in splits.by_name.values() for key in keys} == {f"c{n}" for n in range(5)}
    assert len({key.split("/")[0] for key in splits.train}) >= 2


def test_too_few_trained_classes_are_explained_by_a_recording() -> None:
    """All classes are segments of one file; the message names it and two of its classes, one of them unseen."""
    videos = [Video(f"{name}{n}", "/v/long.mp4", name, n, n + 1.0) for n, name in enumerate(("cat", "dog", "yoga"))]
    keys = {video.class_name: [video.key] for video in videos}

    with pytest.raises(UsageError) as caught:
        hold_out(keys, unseen=["yoga"], recording_of=recordings_of(videos))

    assert str(caught.value) == (
        "0 classes left to train on, and 2 are needed: the recordings of the others are held out, because they also "
        "show other classes, such as '/v/long.mp4', a recording of 'cat' and 'yoga'. Hold out other classes, or add "
        "videos of other recordings"
    )


def test_imported_segments_of_one_file_have_one_recording() -> None:
    """They have no file of their own; their location is made from their key, which contains their times."""
    videos = [Video(f"a.mp4#{at}-{at + 2}", f"/w/videos/a.mp4#{at}-{at + 2}", "a", at, at + 2.0) for at in (0, 2)]

    assert set(recordings_of(videos).values()) == {"/w/videos/a.mp4"}


def test_names_of_youtube_are_recognised_if_most_videos_have_them() -> None:
    """Class names of eleven letters are not taken for ids, and one other name does not rule ids out."""
    youtube = [Video(name, f"/v/{name}.mp4", "yoga") for name in ("-IkL9Kq9zfQ_0", "-IkL9Kq9zfQ_1", "0NfmccuL9Qx_0")]
    words = [Video(name, f"/v/{name}.mp4", "dog") for name in ("dog_barking_001", "dog_barking_002", "cat_meowing_001")]

    assert sorted(recordings_of(youtube).values()) == ["-IkL9Kq9zfQ", "-IkL9Kq9zfQ", "0NfmccuL9Qx"]
    assert len(set(recordings_of(words).values())) == 3
    other = Video("yoga_1", "/v/yoga_1.mp4", "yoga")
    assert len(set(recordings_of([*youtube, other]).values())) == 3
    assert len(set(recordings_of([*youtube, *[other] * 3, *words]).values())) == 7


@pytest.mark.parametrize(
    "names",
    [
        ("v_Q0lSCBRmfWY_0", "v_Q0lSCBRmfWY_1", "v_0NfmccuL9Qx_0"),
        ("Q0lSCBRmfWY_000030_000040", "Q0lSCBRmfWY_000050_000060", "0NfmccuL9Qx_000001_000011"),
    ],
)
def test_clips_of_activitynet_and_kinetics_are_grouped_by_their_video(names: tuple[str, ...]) -> None:
    """ActivityNet puts `v_` before the id, and Kinetics puts two times after it."""
    videos = [Video(name, f"/v/{name}.mp4", "yoga") for name in names]
    assert sorted(recordings_of(videos).values()) == ["0NfmccuL9Qx", "Q0lSCBRmfWY", "Q0lSCBRmfWY"]


@given(CLASSES, st.builds(Amounts, seen_test=FRACTIONS, seen_val=FRACTIONS), st.integers(0, 5))
def test_no_recording_is_on_two_sides(classes: list[list[int]], amounts: Amounts, seed: int) -> None:
    """Every video is in one split, and each trained class keeps a recording for training."""
    videos = videos_of(classes)
    try:
        splits = make_splits(videos, amounts, seed=seed)
    except UsageError:
        assume(False)
        raise

    assert all(len(sides) == 1 for sides in sides_of(splits, recordings_of(videos)).values())
    assert shared_recordings(splits, videos) is None
    assert sorted(key for keys in splits.by_name.values() for key in keys) == sorted(video.key for video in videos)


@given(CLASSES, st.integers(0, 5))
def test_the_number_of_held_out_videos_is_near_a_fifth(classes: list[list[int]], seed: int) -> None:
    """It differs by less than the largest recording; a class with one recording gives none, with two it gives one."""
    videos = videos_of(classes)

    splits = make_splits(videos, Amounts(), seed=seed)

    for index, sizes in enumerate(classes):
        name = f"c{index}/"
        tested = sum(key.startswith(name) for key in splits.test_seen)
        if any(key.startswith(name) for key in splits.test_unseen):
            continue
        assert (tested > 0) == (len(sizes) > 1)
        if len(sizes) > 1:
            assert abs(tested - max(1, round(0.2 * sum(sizes)))) < max(sizes)


@given(CLASSES, st.floats(0, 0.9), st.integers(0, 5))
def test_at_least_the_fraction_asked_for_is_held_out(classes: list[list[int]], fraction: float, seed: int) -> None:
    """Unless only one recording would be left; it is less than one recording too much."""
    videos = videos_of(classes)
    try:
        splits = make_splits(videos, Amounts(seen_test=fraction), seed=seed)
    except UsageError:
        assume(False)
        raise

    for index, sizes in enumerate(classes):
        tested = [key for key in splits.test_seen if key.startswith(f"c{index}/")]
        if any(key.startswith(f"c{index}/") for key in splits.test_unseen):
            continue
        recordings = len({re.sub(r"_c\d+$", "", key) for key in tested})
        assert len(tested) >= fraction * sum(sizes) - 1e-6 or recordings == len(sizes) - 1
        assert len(tested) < fraction * sum(sizes) + max(sizes)


@given(st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=8), min_size=3, max_size=7), st.integers(0, 20))
def test_a_recording_of_several_classes_is_on_one_side(classes: list[list[int]], seed: int) -> None:
    """Class i has one video of each listed recording; its videos may be left out, but never cross."""
    given_videos = {f"c{index}": [f"c{index}/{n}" for n in range(len(of))] for index, of in enumerate(classes)}
    recording_of = {f"c{index}/{n}": str(one) for index, of in enumerate(classes) for n, one in enumerate(of)}
    try:
        splits = hold_out(given_videos, seed=seed, recording_of=recording_of)
    except UsageError as error:
        assert "they also show other classes, such as" in str(error)  # noqa: PT017 - else the splits count
        return

    assert all(len(sides) == 1 for sides in sides_of(splits, recording_of).values())
    trained = {key.split("/")[0] for key in splits.train}
    known = trained | {key.split("/")[0] for key in splits.val_unseen}
    assert {key.split("/")[0] for key in splits.val_seen} <= trained
    assert {key.split("/")[0] for key in splits.test_seen} <= known
    assert len(trained) >= 2


@given(st.lists(st.integers(1, 9), min_size=3, max_size=8), st.integers(0, 20))
def test_videos_that_are_recordings_of_their_own_are_split_as_without_recordings(sizes: list[int], seed: int) -> None:
    """So the splits of earlier versions stay the same."""
    keys = {f"c{index}": [f"c{index}/{n}" for n in range(size)] for index, size in enumerate(sizes)}
    own = {key: key for of_class in keys.values() for key in of_class}

    assert hold_out(keys, seed=seed, recording_of=own) == hold_out(keys, seed=seed)


def test_earlier_splits_stay_the_same() -> None:
    """The held-out videos of version 0.1.0 for twelve classes of ten videos."""
    keys = {f"c{index:02d}": [f"c{index:02d}/{n}" for n in range(10)] for index in range(12)}

    splits = hold_out(keys, seed=3)

    assert sorted({key[:3] for key in splits.test_unseen}) == ["c02", "c03", "c08"]
    assert list(splits.test_seen[:6]) == ["c00/7", "c00/8", "c01/3", "c01/7", "c04/7", "c04/9"]


def test_given_splits_with_shared_recordings_are_described() -> None:
    """The line gives counts and an example; two test splits are one side."""
    videos = videos_of([[2, 2], [3], [2]])
    crossing = Splits(
        train=("c0/v_C0_g00_c00",),
        val_seen=("c0/v_C0_g00_c01",),
        val_unseen=(),
        test_seen=("c0/v_C0_g01_c00", "c0/v_C0_g01_c01"),
        test_unseen=("c1/v_C1_g00_c00",),
    )

    line = shared_recordings(crossing, videos)

    assert line == (
        "1 of 3 recordings have videos on two sides of the splits (1 in train and in val, 0 in test and in one of "
        "these), such as c0/v_C0_g00_c00 in train and c0/v_C0_g00_c01 in val: the metrics of seen classes are higher "
        "than for new recordings"
    )


@pytest.mark.needs_shared
@pytest.mark.parametrize(("benchmark", "shared_count", "count"), [("UCF", 640, 1271), ("ActivityNet", 1006, 13453)])
def test_official_splits_share_recordings(benchmark: str, shared_count: int, count: int, shared: Path) -> None:
    """The numbers were counted by the names of the lists: 640 of the 1271 groups of UCF."""
    official = read_official_splits(shared / "benchmark" / benchmark / "class-split")
    videos = [
        Video(name, f"/videos/{name}", official.class_of[name]) for keys in official.by_name.values() for name in keys
    ]

    line = shared_recordings(Splits(**official.by_name), videos)

    assert line is not None
    assert line.replace(" ", "").startswith(f"{shared_count}of{count}recordingshave")
