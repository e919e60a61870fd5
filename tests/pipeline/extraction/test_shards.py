"""pipeline/extraction/shards.py: processes with `extract --part` divide an extraction, and `--merge` joins it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.main import run_command
from pipeline.base.errors import UsageError, WorkspaceInUseError
from pipeline.base.workspace import Workspace
from pipeline.extraction.shards import Shard, parse_shard, refuse_running_shards, running_shards, working_on
from pipeline.features.store import open_store

SAMPLES = Path(__file__).resolve().parents[3] / "sample_videos"
CLIPS = (
    "red_ball_bouncing/000.mp4",
    "red_ball_bouncing/001.mp4",
    "blue_ball_blinking/000.mp4",
    "blue_ball_blinking/001.mp4",
)
FAST = ("--weights", "untrained", "--width", "2", "--workers", "1")


@given(st.integers(1, 9), st.text(max_size=30))
def test_every_video_is_in_exactly_one_shard(count: int, key: str) -> None:
    """This holds for every name and every number of shards."""
    assert sum(Shard(number, count).takes(key) for number in range(1, count + 1)) == 1


def test_shards_have_about_the_same_size_and_do_not_depend_on_other_videos() -> None:
    """The shard of a video depends only on its name."""
    keys = [f"class_{number % 7}/video_{number}.mp4" for number in range(4000)]

    sizes = [sum(Shard(number, 4).takes(key) for key in keys) for number in (1, 2, 3, 4)]

    assert sum(sizes) == 4000
    assert min(sizes) > 900
    # The shard must not change with the version, as some shards may be extracted already.
    assert [n for n in (1, 2, 3, 4) if Shard(n, 4).takes("red_ball_bouncing/000.mp4")] == [4]


@pytest.mark.parametrize("text", ["1/1", " 2/4 ", "4/4", "17/200"])
def test_a_shard_is_written_as_it_is_read(text: str) -> None:
    """The form is i/n."""
    assert str(parse_shard(text)) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "1", "0/4", "5/4", "-1/4", "1/0", "1/4/2", "a/b", "1.5/4", "²/4", "1 / 4", "9999999999/9999999999"]
)
def test_a_text_of_another_form_is_refused(text: str) -> None:
    """The message shows an example."""
    with pytest.raises(UsageError, match="must be i/n with i from 1 to n, such as 2/4"):
        parse_shard(text)


def test_a_shard_is_taken_once_and_all_shards_have_the_same_count(tmp_path: Path) -> None:
    """Other shards with the same count may run; each refusal names the running process."""
    workspace = Workspace(tmp_path)
    with working_on(workspace, Shard(1, 2)), working_on(workspace, Shard(2, 2)):
        assert set(running_shards(workspace)) == {Shard(1, 2), Shard(2, 2)}
        with (
            pytest.raises(
                WorkspaceInUseError, match=r"shard 2/2 is being extracted by avzsl extract --part 2/2 \(process"
            ),
            working_on(workspace, Shard(2, 2)),
        ):
            pass
        with pytest.raises(WorkspaceInUseError, match="divide by 2 too"), working_on(workspace, Shard(3, 3)):
            pass
        with pytest.raises(WorkspaceInUseError, match=r"shard 1/2 is being extracted by .* and 1 more: wait for all"):
            refuse_running_shards(workspace)

    assert running_shards(workspace) == {}
    refuse_running_shards(workspace)
    with working_on(workspace, Shard(3, 3)):
        pass


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy some clips into class folders and add a broken one."""
    folder = tmp_path_factory.mktemp("videos")
    for clip in CLIPS:
        (folder / clip).parent.mkdir(exist_ok=True)
        shutil.copy(SAMPLES / clip, folder / clip)
    (folder / "blue_ball_blinking" / "broken.mp4").write_text("no video")
    return folder


@pytest.fixture
def avzsl(videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "Commands":
    """Make a runner of `avzsl extract` for the clips and a new workspace."""
    return Commands(videos, tmp_path / "work", capsys)


class Commands:
    """Runs `avzsl extract` and keeps the last output."""

    def __init__(self, videos: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.videos, self.workspace, self._capsys = videos, Workspace(work), capsys
        self.err = ""

    def extract(self, *arguments: str) -> int:
        """Run the command and return its exit code."""
        command = ["extract", str(self.videos), "-w", str(self.workspace.root), *FAST, "--json", *arguments]
        self._capsys.readouterr()
        code = run_command(command)
        self._out, self.err = self._capsys.readouterr()
        return code

    @property
    def document(self) -> dict[str, object]:
        """The document on standard output."""
        parsed: dict[str, object] = json.loads(self._out)
        return parsed

    @property
    def features(self) -> dict[str, np.ndarray]:
        """The visual and audio features (T, 2 D) of each video."""
        with open_store(self.workspace.current_features()) as store:
            rows = np.hstack([store.features("visual"), store.features("audio")])
            ends = zip(store.videos(), store.offsets().tolist(), strict=True)
            return {video.video: rows[offset : offset + video.seconds] for video, offset in ends}


def test_shards_that_are_merged_equal_one_extraction(avzsl: Commands, tmp_path: Path) -> None:
    """The features are equal to 1e-5 and the failures are the same; merging too early reports what is missing."""
    assert avzsl.extract("--merge") == 1
    assert "5 of 5 videos are not extracted yet" in avzsl.err
    assert "--allow-missing" not in avzsl.err

    codes = [avzsl.extract("--part", "1/3")]
    first = avzsl.document
    assert not list(avzsl.workspace.root.glob("**/features.h5"))
    missing = 5 - int(str(first["videos"]))
    assert avzsl.extract("--merge") == 1
    assert f"{missing} of 5 videos are not extracted yet" in avzsl.err
    assert avzsl.extract("--merge", "--allow-missing", "--allow-failures") == 0
    assert avzsl.document["missing"] == missing
    assert len(avzsl.features) == first["extracted"]

    codes += [avzsl.extract("--part", part) for part in ("2/3", "3/3")]
    assert sorted(codes) == [0, 0, 1]  # one shard has the broken clip
    assert avzsl.extract("--merge") == 1
    merged = {**avzsl.document, "features": ""}
    features = avzsl.features

    alone = Commands(avzsl.videos, tmp_path / "alone", avzsl._capsys)
    assert alone.extract() == 1
    assert merged == {**alone.document, "features": "", "extracted": 0, "reused": 4}
    assert list(features) == list(alone.features)
    for key, rows in alone.features.items():
        np.testing.assert_allclose(features[key], rows, atol=1e-5, rtol=1e-5)
    assert avzsl.extract() == 1
    assert avzsl.document["reused"] == 4


def test_a_shard_that_is_done_does_nothing_again(avzsl: Commands) -> None:
    """Its videos are reused, also those of an extraction without shards."""
    avzsl.extract()
    parts = sorted(avzsl.workspace.root.glob("features/*/parts/part-*.h5"))

    avzsl.extract("--part", "1/1")

    assert (avzsl.document["extracted"], avzsl.document["reused"], avzsl.document["failed"]) == (0, 4, 1)
    assert sorted(avzsl.workspace.root.glob("features/*/parts/part-*.h5")) == parts


def test_during_a_shard_only_other_shards_may_be_extracted(avzsl: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extraction of all videos, a merge and the same shard are refused; another shard is not."""
    monkeypatch.setattr("pipeline.extraction.shards._WAIT_SECONDS", 0.1)
    with working_on(avzsl.workspace, Shard(1, 2)):
        for arguments in ((), ("--merge",), ("--merge", "--allow-missing")):
            assert avzsl.extract(*arguments) == 1
            assert "shard 1/2 is being extracted by avzsl extract --part 1/2 (process " in avzsl.err
        assert avzsl.extract("--part", "1/2") == 1
        assert "shard 1/2 is being extracted by" in avzsl.err
        assert avzsl.extract("--part", "2/2", "--allow-failures") == 0
    with avzsl.workspace.locked("train"):
        assert avzsl.extract("--part", "1/2") == 1
        assert "is in use by avzsl train" in avzsl.err


def test_a_shard_does_not_rename_damaged_parts(avzsl: Commands) -> None:
    """Other processes may use these files; the videos of a damaged part file are still extracted again."""
    avzsl.extract("--part", "1/1")
    (part,) = avzsl.workspace.root.glob("features/*/parts/part-*.h5")
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    avzsl.extract("--part", "1/1")

    assert "is damaged: its videos are extracted again" in avzsl.err
    assert avzsl.document["extracted"] == 4
    assert part.exists()
    assert avzsl.extract("--merge", "--allow-failures") == 0
    assert part.with_suffix(".damaged").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--part", "3/2"), "part '3/2': must be i/n"),
        (("--part", "1/2", "--merge"), "--merge extracts nothing"),
        (("--merge", "--retry-failed"), "--merge extracts nothing"),
        (("--allow-missing",), "--allow-missing works only with --merge"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    avzsl: Commands, arguments: tuple[str, ...], message: str
) -> None:
    """This is wrong usage, found before any file is read."""
    assert avzsl.extract(*arguments) == 2
    assert message in avzsl.err
