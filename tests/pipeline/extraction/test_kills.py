"""pipeline/extraction/extract.py: killed or interrupted extractions can be continued and give the same features."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.base.workspace import Workspace
from pipeline.features.store import open_store
from pipeline.status import workspace_status

# The number of kills at random moments; a run overnight can do thousands.
KILLS = int(os.environ.get("AVZSL_TEST_KILLS", "8"))
SAMPLES = Path(__file__).resolve().parents[3] / "sample_videos"
CLIPS = ("red_ball_bouncing/000.mp4", "blue_ball_blinking/000.mp4", "green_star_sliding/000.mp4")
# A program that imports the packages once. For each order that it reads, it forks a process with its own process group,
# which runs one command. An order may change the command in two ways:
# - "die_at": the process kills itself at this file that it renames: after the rename ("after"), or before it, with half
#   of the file.
# - "hold": after the first finished video the process creates this file and waits for signals; after 120 s it fails.
FORKING = """
import json, os, signal, sys, time
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

def hold_after_a_video(held):
    add = pipeline.features.parts.PartWriter.add
    def adding(self, *arguments):
        add(self, *arguments)
        Path(held).touch()
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            time.sleep(0.01)
        raise TimeoutError("no signal ended the hold")
    pipeline.features.parts.PartWriter.add = adding

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
        if order["hold"]:
            hold_after_a_video(order["hold"])
        os._exit(run_command(order["arguments"]))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills by signal")


class Commands:
    """Runs `avzsl extract` on the clips, each time in a new process."""

    def __init__(self, forking: subprocess.Popen[str], videos: Path, root: Path) -> None:
        self._forking, self.workspace, self._output = forking, Workspace(root / "work"), root / "output.txt"
        fast = ("--weights", "untrained", "--width", "2", "--workers", "2")
        self._arguments = ["extract", str(videos), "-w", str(self.workspace.root), *fast]
        self._held = root / "held"

    def start(self, *, die_at: int = 0, after: bool = False, hold: bool = False) -> int:
        """Start a command and return its process id.

        Args:
            die_at: number of the renamed file at which the process kills itself; 0 for never.
            after: whether it kills itself after the rename.
            hold: whether it waits for signals after its first finished video.
        """
        order = {
            "arguments": self._arguments,
            "die_at": die_at,
            "after": after,
            "hold": str(self._held) if hold else "",
            "output": str(self._output),
        }
        assert self._forking.stdin is not None
        self._forking.stdin.write(json.dumps(order) + "\n")
        self._forking.stdin.flush()
        return self.end()

    def end(self) -> int:
        """Wait until the command ends; return its exit code, or minus the signal that ended it."""
        assert self._forking.stdout is not None
        return int(self._forking.stdout.readline())

    def run(self, *, die_at: int = 0, after: bool = False) -> int:
        """Start a command, wait until it ends and return its exit code."""
        self.start(die_at=die_at, after=after)
        return self.end()

    @property
    def messages(self) -> list[str]:
        """The lines so far that begin with `avzsl: `."""
        return [line for line in self._output.read_text().splitlines() if line.startswith("avzsl: ")]

    @property
    def holds(self) -> bool:
        """Whether a command started with `hold` waits."""
        return self._held.exists()

    @property
    def parts(self) -> list[Path]:
        """The part files."""
        return list(self.workspace.root.glob("features/*/parts/part-*.h5"))

    @property
    def features(self) -> dict[str, np.ndarray]:
        """The visual and audio features (T, 2 D) of each video."""
        with open_store(self.workspace.current_features()) as store:
            visual, audio = store.features("visual"), store.features("audio")
            store.check(visual, audio)
            rows = np.hstack([visual, audio])
            ranges = zip(store.videos(), store.offsets().tolist(), strict=True)
            return {video.video: rows[offset : offset + video.seconds] for video, offset in ranges}

    def assert_undamaged(self) -> None:
        """Check that every file with its final name is whole, and that the status can be read."""
        for path in self.workspace.root.glob("features/**/[!.]*.h5"):
            with h5py.File(path) as file:
                assert len(file["visual"][...]) == len(file["audio"][...]) == file["index"][...]["seconds"].sum()
        for path in self.workspace.root.glob("**/[!.]*.json"):
            if path.parent != self.workspace.shards_folder and path.name != "lock.json":
                json.loads(path.read_text())
        assert workspace_status(self.workspace)


@pytest.fixture(scope="module")
def forking() -> Iterator[subprocess.Popen[str]]:
    """Start a process that has imported everything and forks commands."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy some clips into class folders."""
    folder = tmp_path_factory.mktemp("videos")
    for clip in CLIPS:
        (folder / clip).parent.mkdir()
        shutil.copy(SAMPLES / clip, folder / clip)
    return folder


@pytest.fixture(scope="module")
def expected(
    forking: subprocess.Popen[str], videos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, np.ndarray], float]:
    """Run an extraction without interruption; return its features and its time in seconds."""
    commands, started = Commands(forking, videos, tmp_path_factory.mktemp("uninterrupted")), time.monotonic()
    assert commands.run() == 0
    return commands.features, time.monotonic() - started


@pytest.fixture
def commands(forking: subprocess.Popen[str], videos: Path, tmp_path: Path) -> Commands:
    """Make a runner of commands in a new workspace."""
    return Commands(forking, videos, tmp_path)


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Check that both have the same videos in the same order with the same features, to 1e-5."""
    assert list(found) == list(expected)
    for key, rows in expected.items():
        np.testing.assert_allclose(found[key], rows, atol=1e-5, rtol=1e-5)


def test_an_extraction_killed_at_random_moments_gives_the_same_features(
    commands: Commands, expected: tuple[dict[str, np.ndarray], float]
) -> None:
    """If an extraction ends before its kill, the next one starts in a new workspace and is killed earlier."""
    features, seconds = expected
    chance, kills = random.Random(4), 0
    while kills < KILLS:
        process, started = commands.start(), time.monotonic()
        time.sleep(chance.uniform(0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        code = commands.end()
        commands.assert_undamaged()
        if code == 0:
            assert_same(commands.features, features)
            shutil.rmtree(commands.workspace.root)
            seconds = 0.8 * min(seconds, time.monotonic() - started)
        else:
            assert code == -signal.SIGKILL
            kills += 1

    assert commands.run() == 0
    assert_same(commands.features, features)


def test_an_extraction_killed_at_every_file_gives_the_same_features(
    commands: Commands, expected: tuple[dict[str, np.ndarray], float]
) -> None:
    """Each file is written by two starts: one is killed with half of the file, one with the whole file."""
    deaths = 0
    while (code := commands.run(die_at=1 + deaths // 2, after=deaths % 2 == 1)) != 0:
        assert code == -signal.SIGKILL
        deaths += 1
        commands.assert_undamaged()

    assert deaths >= 12
    assert_same(commands.features, expected[0])
    assert not list(commands.workspace.root.glob("**/.*.tmp"))
    assert len(commands.parts) == len(CLIPS)


def wait_until(condition: Callable[[], object], failure: str) -> None:
    """Wait up to 60 s until a condition holds."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, failure
        time.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_finishes_the_part_and_says_how_to_continue(
    commands: Commands, expected: tuple[dict[str, np.ndarray], float], number: signal.Signals
) -> None:
    """Every process of the group receives it, as in a terminal; no video counts as failed."""
    process = commands.start()
    wait_until(lambda: commands.parts, "no part file is written")
    os.killpg(process, number)
    code = commands.end()

    assert code == 130, commands.messages
    first, second = commands.messages[:2]
    assert first == "avzsl: finishing the current work and saving; press Ctrl-C again to stop immediately"
    assert second.startswith("avzsl: stopped: ")
    assert second.endswith(" of 3 videos are extracted and kept; the same command goes on from there")
    assert commands.run() == 0
    assert_same(commands.features, expected[0])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_signal_during_the_start_of_the_decoders_fails_no_video(
    commands: Commands, expected: tuple[dict[str, np.ndarray], float]
) -> None:
    """Ctrl-C may end a decoding process that has just started; its video is extracted by the next start."""
    process = commands.start()
    wait_until(Path(f"/proc/{process}/task/{process}/children").read_text, "no decoding process starts")
    os.killpg(process, signal.SIGINT)

    assert commands.end() == 130
    assert commands.run() == 0
    assert_same(commands.features, expected[0])


def test_a_second_signal_interrupts_at_once(commands: Commands, expected: tuple[dict[str, np.ndarray], float]) -> None:
    """The extraction waits after its first video, so only the second signal can end it; the video is kept."""
    process = commands.start(hold=True)
    wait_until(lambda: commands.holds, "no video is finished")
    os.kill(process, signal.SIGINT)
    wait_until(lambda: commands.messages, "the first signal is not answered")
    os.kill(process, signal.SIGINT)

    assert commands.end() == 130
    assert len(commands.messages) == 2
    assert commands.messages[1].startswith("avzsl: interrupted. Finished work is saved")
    assert len(commands.parts) == 1
    commands.assert_undamaged()
    assert commands.run() == 0
    assert_same(commands.features, expected[0])
