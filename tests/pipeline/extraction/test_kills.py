"""Real extractions that are killed at any moment, or interrupted, go on to the same features."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.base.workspace import Workspace
from pipeline.features.store import open_store
from pipeline.status import workspace_status

KILLS = int(os.environ.get("AVZSL_TEST_KILLS", "8"))  # at random moments; a night can take thousands
SAMPLES = Path(__file__).resolve().parents[3] / "sample_videos"
CLIPS = ("red_ball_bouncing/000.mp4", "blue_ball_blinking/000.mp4", "green_star_sliding/000.mp4")
# Imports what a command needs once, and forks a process, and process group, for each command that it reads; one that
# is told so kills itself when it puts its so-many-th file in place: before, with the half of it, or after.
FORKING = """
import json, os, signal, sys
from pathlib import Path
import torch
import pipeline.extraction.extract, pipeline.features.parts
from cli.main import run_command

def die_at_file(number, after):
    replace, done = Path.replace, 0
    def replacing(self, target):
        nonlocal done
        done += 1
        if done < number:
            return replace(self, target)
        if after:
            replace(self, target)
        else:
            os.truncate(self, os.path.getsize(self) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    Path.replace = replacing

torch.set_num_threads(1)
pipeline.features.parts.MAX_PART_VIDEOS = 1
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        os.setsid()
        for stream in (1, 2):
            os.dup2(os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        if order["die_at"]:
            die_at_file(order["die_at"], order["after"])
        os._exit(run_command(order["arguments"]))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills by signal")


class Commands:
    """Runs `avzsl extract` on the clips, each time as a process of its own."""

    def __init__(self, forking: subprocess.Popen[str], videos: Path, root: Path) -> None:
        self._forking, self.workspace, self._output = forking, Workspace(root / "work"), root / "output.txt"
        fast = ("--weights", "untrained", "--width", "2", "--workers", "2")
        self._arguments = ["extract", str(videos), "-w", str(self.workspace.root), *fast]

    def start(self, *, die_at: int = 0, after: bool = False) -> int:
        """Start one; its process id."""
        order = {"arguments": self._arguments, "die_at": die_at, "after": after, "output": str(self._output)}
        assert self._forking.stdin is not None
        self._forking.stdin.write(json.dumps(order) + "\n")
        self._forking.stdin.flush()
        return self.end()

    def end(self) -> int:
        """Wait until it ends; its exit code, or minus the signal that ended it."""
        assert self._forking.stdout is not None
        return int(self._forking.stdout.readline())

    def run(self, *, die_at: int = 0, after: bool = False) -> int:
        """Start one and wait until it ends."""
        self.start(die_at=die_at, after=after)
        return self.end()

    @property
    def said(self) -> list[str]:
        """The lines on standard error so far that are the command's own."""
        return [line for line in self._output.read_text().splitlines() if line.startswith("avzsl: ")]

    @property
    def parts(self) -> list[Path]:
        """The part files."""
        return list(self.workspace.root.glob("features/*/parts/part-*.h5"))

    @property
    def features(self) -> dict[str, np.ndarray]:
        """Picture and sound, (T, 2 D), of each video."""
        with open_store(self.workspace.current_features()) as store:
            visual, audio = store.features("visual"), store.features("audio")
            store.check(visual, audio)
            rows = np.hstack([visual, audio])
            ranges = zip(store.videos(), store.offsets().tolist(), strict=True)
            return {video.video: rows[offset : offset + video.seconds] for video, offset in ranges}

    def assert_sound(self) -> None:
        """Every file under its own name is whole, and `status` can be asked."""
        for path in self.workspace.root.glob("features/**/[!.]*.h5"):
            with h5py.File(path) as file:
                assert len(file["visual"][...]) == len(file["audio"][...]) == file["index"][...]["seconds"].sum()
        for path in self.workspace.root.glob("**/[!.]*.json"):
            if path.parent != self.workspace.shards_folder and path.name != "lock.json":
                json.loads(path.read_text())
        assert workspace_status(self.workspace)


@pytest.fixture(scope="module")
def forking() -> Iterator[subprocess.Popen[str]]:
    """A process that has everything imported and forks commands."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some clips in class folders."""
    folder = tmp_path_factory.mktemp("videos")
    for clip in CLIPS:
        (folder / clip).parent.mkdir()
        shutil.copy(SAMPLES / clip, folder / clip)
    return folder


@pytest.fixture(scope="module")
def expected(
    forking: subprocess.Popen[str], videos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, np.ndarray], float]:
    """The features of an extraction that nothing interrupts, and how long it takes in seconds."""
    commands, began = Commands(forking, videos, tmp_path_factory.mktemp("through")), time.monotonic()
    assert commands.run() == 0
    return commands.features, time.monotonic() - began


@pytest.fixture
def commands(forking: subprocess.Popen[str], videos: Path, tmp_path: Path) -> Commands:
    """Commands in an empty workspace."""
    return Commands(forking, videos, tmp_path)


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """The same videos in the same order with the same features, to 1e-5."""
    assert list(found) == list(expected)
    for key, rows in expected.items():
        np.testing.assert_allclose(found[key], rows, atol=1e-5, rtol=1e-5)


def test_killed_at_random_moments_it_goes_on_to_the_same_features(
    commands: Commands, expected: tuple[dict[str, np.ndarray], float]
) -> None:
    """Where a round came to its end, the next begins with nothing and is killed earlier; each ends whole."""
    features, seconds = expected
    chance, kills = random.Random(4), 0
    while kills < KILLS:
        process, began = commands.start(), time.monotonic()
        time.sleep(chance.uniform(0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        code = commands.end()
        commands.assert_sound()
        if code == 0:
            assert_same(commands.features, features)
            shutil.rmtree(commands.workspace.root)
            seconds = 0.8 * min(seconds, time.monotonic() - began)
        else:
            assert code == -signal.SIGKILL
            kills += 1

    assert commands.run() == 0
    assert_same(commands.features, features)


def test_killed_at_every_file_it_writes_it_goes_on_to_the_same_features(
    commands: Commands, expected: tuple[dict[str, np.ndarray], float]
) -> None:
    """Each start dies one file later than the one before, first with half of it written, then with all of it."""
    deaths = 0
    while (code := commands.run(die_at=1 + deaths // 2, after=deaths % 2 == 1)) != 0:
        assert code == -signal.SIGKILL
        deaths += 1
        commands.assert_sound()

    assert deaths >= 12
    assert_same(commands.features, expected[0])
    assert not list(commands.workspace.root.glob("**/.*.tmp"))
    assert len(commands.parts) == len(CLIPS)


def wait_for_a_part(commands: Commands) -> None:
    """Until the extraction has written one."""
    limit = time.monotonic() + 60
    while not commands.parts:
        assert time.monotonic() < limit, "the extraction makes no progress"
        time.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_finishes_the_part_and_says_how_to_go_on(
    commands: Commands, expected: tuple[dict[str, np.ndarray], float], number: signal.Signals
) -> None:
    """Every process hears it, as in a terminal; no video counts as failed for that."""
    process = commands.start()
    wait_for_a_part(commands)
    os.killpg(process, number)
    code = commands.end()

    assert code == 130, commands.said
    assert commands.said[0] == "avzsl: finishing the current work and saving; press Ctrl-C again to stop immediately"
    assert commands.said[1].startswith("avzsl: stopped: ")
    assert commands.said[1].endswith(" of 3 videos are extracted and kept; the same command goes on from there")
    assert commands.run() == 0
    assert_same(commands.features, expected[0])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_signal_while_the_decoders_start_fails_no_video(
    commands: Commands, expected: tuple[dict[str, np.ndarray], float]
) -> None:
    """A process that has hardly begun dies of Ctrl-C; its video is due at the next start."""
    process = commands.start()
    limit = time.monotonic() + 60
    while not Path(f"/proc/{process}/task/{process}/children").read_text():
        assert time.monotonic() < limit, "no decoder starts"
        time.sleep(0.001)
    os.killpg(process, signal.SIGINT)

    assert commands.end() == 130
    assert commands.run() == 0
    assert_same(commands.features, expected[0])


def test_a_second_signal_interrupts_at_once(commands: Commands, expected: tuple[dict[str, np.ndarray], float]) -> None:
    """What was finished before is kept all the same."""
    process = commands.start()
    wait_for_a_part(commands)
    for _ in range(2):
        os.kill(process, signal.SIGINT)
        time.sleep(0.02)

    assert commands.end() == 130
    assert commands.said[-1].startswith(("avzsl: interrupted. Finished work is saved", "avzsl: stopped: "))
    commands.assert_sound()
    assert commands.run() == 0
    assert_same(commands.features, expected[0])
