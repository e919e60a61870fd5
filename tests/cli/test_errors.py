"""Every error a user can cause: one line with what to do, exit code 2 for usage and 1 for work, never a traceback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import run_command
from pipeline.base.workspace import Workspace

SAMPLES = Path(__file__).resolve().parents[2] / "sample_videos"
CLIP = SAMPLES / "red_ball_bouncing" / "000.mp4"
UNTRAINED = ["--weights", "untrained", "--width", "2"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run where a newcomer would: nothing is there yet."""
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """Run a command that must fail with `code`; its one line on standard error, without the notes before it."""
    assert run_command(list(arguments)) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("avzsl: ")]
    assert len(lines) == 1
    return lines[0]


def videos(folder: Path, **content: bytes) -> Path:
    """A folder of one class with files of given content, the names' underscores standing for dots."""
    target = folder / "videos" / "dogs"
    target.mkdir(parents=True)
    for name, data in content.items():
        (target / name.replace("_", ".")).write_bytes(data)
    return folder / "videos"


def test_a_path_that_does_not_exist_names_its_neighbour(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A typing error in a path is answered with what was probably meant."""
    (tmp_path / "videos").mkdir()

    assert refused(capsys, 2, "extract", "vidoes") == "avzsl: vidoes does not exist. Did you mean videos?"


def test_a_folder_without_videos_says_what_was_expected(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An empty folder is wrong usage."""
    (tmp_path / "videos").mkdir()

    assert "videos holds no videos: expected videos/<class>/<file>" in refused(capsys, 2, "extract", "videos")


def test_videos_without_class_folders_say_how_to_sort_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A flat folder has no classes to learn."""
    (tmp_path / "videos").mkdir()
    shutil.copy(CLIP, tmp_path / "videos" / "clip.mp4")

    assert "lie in no class folder. Sort them as videos/<class>/<file>" in refused(capsys, 2, "extract", "videos")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"this is a text\n" * 100, "not a video"), (CLIP.read_bytes()[:5000], "")],
    ids=["zero bytes", "text named .mp4", "cut short"],
)
def test_a_broken_video_fails_alone_with_its_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, reason: str
) -> None:
    """The other video is extracted; the broken one is in the document with a reason; exit code 1."""
    folder = videos(tmp_path, bad_mp4=content, good_mp4=CLIP.read_bytes())

    code = run_command(["extract", str(folder), *UNTRAINED, "--json"])

    document = json.loads(capsys.readouterr().out)
    assert code == 1
    assert (document["extracted"], document["failed"]) == (1, 1)
    (failure,) = document["failures"]
    assert failure["video"] == "dogs/bad.mp4"
    assert reason in failure["reason"]
    assert failure["reason"]


def test_an_unknown_class_in_a_manifest_is_named_with_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """classes.csv beside the manifest says which classes there are."""
    (tmp_path / "classes.csv").write_text("class,phrase\ndog barking,\n")
    (tmp_path / "manifest.csv").write_text("path,class\na.mp4,dog barkin\n")

    line = refused(capsys, 2, "extract", "manifest.csv")

    assert "manifest.csv, line 2: unknown class 'dog barkin'" in line
    assert "Did you mean dog barking?" in line


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("dog,,cat", "a class name is empty"),
        ("dog, Dog", "duplicate class names"),
        ("no such.txt", "no such.txt does not exist"),
    ],
)
def test_bad_class_names_are_refused_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, names: str, message: str
) -> None:
    """Empty and repeated names, and a list that is not there."""
    shutil.copy(CLIP, tmp_path / "clip.mp4")

    assert message in refused(capsys, 2, "predict", "clip.mp4", "--classes", names)


def test_duplicate_class_folders_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two folders that read the same would share one embedding."""
    for name in ("dog_barking", "DogBarking"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        shutil.copy(CLIP, tmp_path / "videos" / name / "clip.mp4")

    assert "duplicate class names" in refused(capsys, 2, "extract", "videos")


def test_fewer_than_two_seen_classes_are_refused(
    capsys: pytest.CaptureFixture[str], extracted: Callable[..., Workspace]
) -> None:
    """Two classes of which one is held out leave a single one to train on."""
    workspace = extracted(classes=2)

    assert "at least 2 seen classes" in refused(capsys, 2, "train", "-w", str(workspace.root))


def test_an_unknown_setting_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """--set with a typing error."""
    line = refused(capsys, 2, "train", "--set", "daan.betta=0.4")

    assert (
        line == "avzsl: unknown setting daan.betta. Did you mean daan.beta? (all settings: avzsl train --show-config)"
    )


@pytest.mark.parametrize(
    ("assignment", "key"),
    [
        ("training.epochs=many", "training.epochs"),
        ("training.epochs=0", "epochs"),
        ("daan.score=sound", "daan.score"),
        ("epochs", "section.key=value"),
    ],
)
def test_a_setting_of_the_wrong_type_or_range_is_named(
    capsys: pytest.CaptureFixture[str], assignment: str, key: str
) -> None:
    """The message names the key and the value."""
    line = refused(capsys, 2, "train", "--set", assignment)

    assert key in line
    assert assignment.rsplit("=", maxsplit=1)[-1] in line


def test_a_workspace_in_use_is_refused_with_who_uses_it(
    capsys: pytest.CaptureFixture[str], extracted: Callable[..., Workspace]
) -> None:
    """Another process holds the lock; the message names it."""
    workspace = extracted()
    program = (
        "import sys, time; from pathlib import Path; from pipeline.base.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).locked('extract'):\n    print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(workspace.root)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        line = refused(capsys, 1, "train", "-w", str(workspace.root))
        holder.kill()

    assert f"is in use by avzsl extract (process {holder.pid} on " in line


def test_a_lock_left_by_a_killed_process_is_no_obstacle(extracted: Callable[..., Workspace]) -> None:
    """Its file lies there, its process does not live: the next command goes ahead."""
    workspace = extracted()
    (workspace.root / "lock").touch()
    (workspace.root / "lock.json").write_text(json.dumps({"pid": 999999, "host": "here", "command": "train"}))

    with workspace.locked("train"):
        assert json.loads((workspace.root / "lock.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_stage_before_the_one_it_builds_on_says_what_to_run(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """A fresh folder has nothing to train on or to evaluate."""
    assert "run avzsl " in refused(capsys, 1, command)


def test_predicting_without_a_model_says_what_to_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No model in the workspace, or none in the folder given."""
    shutil.copy(CLIP, tmp_path / "clip.mp4")

    assert "run avzsl train first" in refused(capsys, 1, "predict", "clip.mp4")
    assert "run avzsl train first" in refused(capsys, 1, "predict", "clip.mp4", "--model", "nowhere")


def test_a_device_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what there is."""
    assert "use --device auto or cpu" in refused(capsys, 2, "train", "--device", "cuda:77")


def test_what_runs_nowhere_or_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A runtime in a precision that it does not have; a store and a run that do not exist."""
    folder = videos(tmp_path, good_mp4=CLIP.read_bytes())

    line = refused(capsys, 2, "extract", str(folder), "--runtime", "openvino", "--precision", "float16")

    assert "runtime openvino" in line
    assert "does not exist" in refused(capsys, 2, "inspect", "nowhere.h5")
    assert "is a folder" in refused(capsys, 2, "inspect", str(folder))
    assert "has no run 'nope'" in refused(capsys, 2, "evaluate", "--run", "nope")


def test_published_weights_without_a_network_say_how_to_bring_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVZSL_OFFLINE stands for a machine without a network."""
    monkeypatch.setenv("AVZSL_OFFLINE", "1")
    monkeypatch.setenv("AVZSL_CACHE", str(tmp_path / "cache"))
    folder = videos(tmp_path, good_mp4=CLIP.read_bytes())

    line = refused(capsys, 1, "extract", str(folder), "--weights", "vgg_sound")

    assert "cannot fetch the vgg_sound weights" in line
    assert "--weights FILE" in line


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["extract", "--nonsense"], ["predict"], ["train", "--epochs", "many"]]
)
def test_wrong_usage_is_one_line_and_exit_code_two(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Unknown commands and options, missing arguments, values of the wrong type."""
    assert "avzsl --help" in refused(capsys, 2, *arguments)


def test_weights_that_do_not_exist_are_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Neither a name nor a file: nothing is fetched, the choices are named."""
    folder = videos(tmp_path, good_mp4=CLIP.read_bytes())

    line = refused(capsys, 2, "extract", str(folder), "--weights", "vgg_sond.pth")

    assert "vgg_sond.pth does not exist" in line
    assert "kinetics_sound" in line


def test_published_weights_of_another_width_are_refused_before_any_download(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Only untrained networks come in other widths."""
    folder = videos(tmp_path, good_mp4=CLIP.read_bytes())

    line = refused(capsys, 2, "extract", str(folder), "--weights", "vgg_sound", "--width", "16")

    assert "width 16 goes with untrained weights only" in line


def test_a_folder_is_no_list_of_classes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A forgotten argument must not become a class of that name."""
    shutil.copy(CLIP, tmp_path / "clip.mp4")
    (tmp_path / "names").mkdir()

    assert "names is a folder" in refused(capsys, 2, "predict", "clip.mp4", "--classes", "names")


def test_an_interrupt_says_that_what_is_finished_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is no traceback and no silence; its exit code is the shell's custom."""

    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.settings.tree.load_settings", interrupted)

    assert "interrupted; what is finished is kept" in refused(capsys, 130, "train")
