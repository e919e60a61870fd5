"""cli/main.py: errors that users cause give one line with advice, and exit code 2 (usage) or 1 (failed work)."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import _with_values_of_classes, run_command
from pipeline.base.workspace import Workspace

SAMPLES = Path(__file__).resolve().parents[2] / "sample_videos"
CLIP = SAMPLES / "red_ball_bouncing" / "000.mp4"
UNTRAINED = ["--weights", "untrained", "--width", "2"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands in an empty folder, as a newcomer would."""
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """Run a command that must fail with `code`, and return its error line from standard error."""
    assert run_command(list(arguments)) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("avzsl: ")]
    assert len(lines) == 1
    return lines[0]


def videos(folder: Path, **content: bytes) -> Path:
    """Make a folder of one class with the given files; underscores in the names stand for dots."""
    target = folder / "videos" / "dogs"
    target.mkdir(parents=True)
    for name, data in content.items():
        (target / name.replace("_", ".")).write_bytes(data)
    return folder / "videos"


def test_the_error_about_a_missing_path_names_a_similar_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A typing error in a path gives a suggestion."""
    (tmp_path / "videos").mkdir()

    assert refused(capsys, 2, "extract", "vidoes") == "avzsl: vidoes does not exist. Did you mean videos?"


def test_the_error_about_an_empty_folder_shows_the_expected_layout(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An empty folder is wrong usage."""
    (tmp_path / "videos").mkdir()

    assert "videos contains no videos: expected videos/<class>/<file>" in refused(capsys, 2, "extract", "videos")


def test_the_error_about_a_flat_folder_shows_how_to_sort_the_videos(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Videos outside class folders have no classes."""
    (tmp_path / "videos").mkdir()
    shutil.copy(CLIP, tmp_path / "videos" / "clip.mp4")

    assert "not in class folders. Sort them as videos/<class>/<file>" in refused(capsys, 2, "extract", "videos")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"this is a text\n" * 100, "not a video"), (CLIP.read_bytes()[:5000], "")],
    ids=["zero bytes", "text named .mp4", "cut short"],
)
def test_a_broken_video_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, reason: str
) -> None:
    """The other video is extracted, the document gives the reason for the broken one, and the exit code is 1."""
    folder = videos(tmp_path, bad_mp4=content, good_mp4=CLIP.read_bytes())

    code = run_command(["extract", str(folder), *UNTRAINED, "--json"])

    document = json.loads(capsys.readouterr().out)
    assert code == 1
    assert (document["extracted"], document["failed"]) == (1, 1)
    (failure,) = document["failures"]
    assert failure["video"] == "dogs/bad.mp4"
    assert reason in failure["reason"]
    assert failure["reason"]


def test_the_error_about_an_unknown_class_gives_the_line_of_the_manifest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """classes.csv next to the manifest lists the valid classes."""
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
    """Empty names, repeated names and a missing list are refused."""
    shutil.copy(CLIP, tmp_path / "clip.mp4")

    assert message in refused(capsys, 2, "predict", "clip.mp4", "--classes", names)


def test_duplicate_class_folders_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two folders whose names mean the same class are an error."""
    for name in ("dog_barking", "DogBarking"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        shutil.copy(CLIP, tmp_path / "videos" / name / "clip.mp4")

    assert "duplicate class names" in refused(capsys, 2, "extract", "videos")


def test_fewer_than_two_seen_classes_are_refused(
    capsys: pytest.CaptureFixture[str], extracted: Callable[..., Workspace]
) -> None:
    """Holding out one of two classes leaves too few for training."""
    workspace = extracted(classes=2)

    assert "at least 2 seen classes" in refused(capsys, 2, "train", "-w", str(workspace.root))


def test_the_error_about_an_unknown_setting_suggests_a_similar_one(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error in --set gives a suggestion."""
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
    """The message contains the key and the value."""
    line = refused(capsys, 2, "train", "--set", assignment)

    assert key in line
    assert assignment.rsplit("=", maxsplit=1)[-1] in line


def test_the_error_about_a_workspace_in_use_names_the_process(
    capsys: pytest.CaptureFixture[str], extracted: Callable[..., Workspace]
) -> None:
    """The message contains the command and the process that hold the lock."""
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


def test_a_lock_left_by_a_killed_process_does_not_block(extracted: Callable[..., Workspace]) -> None:
    """If the process of a lock file has ended, the next command takes the lock."""
    workspace = extracted()
    (workspace.root / "lock").touch()
    (workspace.root / "lock.json").write_text(json.dumps({"pid": 999999, "host": "here", "command": "train"}))

    with workspace.locked("train"):
        assert json.loads((workspace.root / "lock.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_the_error_about_a_missing_stage_says_what_to_run(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """An empty folder has no features to train on and no model to evaluate."""
    assert "run avzsl " in refused(capsys, 1, command)


def test_predicting_without_a_model_says_what_to_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Both a workspace and a given folder may have no model."""
    shutil.copy(CLIP, tmp_path / "clip.mp4")

    assert "or run avzsl train first" in refused(capsys, 2, "predict", "clip.mp4")
    assert "run avzsl train first" in refused(capsys, 1, "predict", "clip.mp4", "--model", "nowhere")


def test_a_missing_device_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The message suggests devices that exist."""
    assert "use --device auto or cpu" in refused(capsys, 2, "train", "--device", "cuda:77")


def test_impossible_options_and_missing_inputs_are_wrong_usage(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A runtime without the given precision, a missing feature file, a folder and a missing run are refused."""
    folder = videos(tmp_path, good_mp4=CLIP.read_bytes())

    line = refused(capsys, 2, "extract", str(folder), "--runtime", "openvino", "--precision", "float16")

    assert "runtime openvino" in line
    assert "does not exist" in refused(capsys, 2, "inspect", "nowhere.h5")
    assert "is a folder" in refused(capsys, 2, "inspect", str(folder))
    assert "has no run 'nope'" in refused(capsys, 2, "evaluate", "--run", "nope")


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
@pytest.mark.parametrize(
    "command",
    [
        ("train", "--config"),
        ("extract", str(CLIP.parents[1]), "--weights"),
        ("extract",),
        ("prepare", "csv"),
        ("inspect",),
        ("embed", "--classes", "a, b", "--text"),
        ("predict", str(CLIP), "--classes"),
    ],
    ids=" ".join,
)
def test_a_pipe_is_refused_by_every_option_that_takes_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Reading it could wait for ever, and the same name is no suggestion."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    line = refused(capsys, 2, *command, str(pipe))
    assert f"{pipe} is not a regular file" in line
    assert "Did you mean" not in line


def test_the_error_about_weights_without_a_network_says_how_to_give_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVZSL_OFFLINE simulates a machine without a network."""
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
    """This holds for unknown commands and options, missing arguments and values of the wrong type."""
    assert "avzsl --help" in refused(capsys, 2, *arguments)


def test_weights_that_do_not_exist_are_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The message lists the valid names, and nothing is fetched."""
    folder = videos(tmp_path, good_mp4=CLIP.read_bytes())

    line = refused(capsys, 2, "extract", str(folder), "--weights", "vgg_sond.pth")

    assert "vgg_sond.pth does not exist" in line
    assert "kinetics_sound" in line


def test_published_weights_of_another_width_are_refused_before_any_download(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Only untrained networks can have another width."""
    folder = videos(tmp_path, good_mp4=CLIP.read_bytes())

    line = refused(capsys, 2, "extract", str(folder), "--weights", "vgg_sound", "--width", "16")

    assert "width 16 goes with untrained weights only" in line


def test_a_folder_is_refused_as_a_list_of_classes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """If the names are forgotten after --classes, the next path must not become a class."""
    shutil.copy(CLIP, tmp_path / "clip.mp4")
    (tmp_path / "names").mkdir()

    assert "names is a folder" in refused(capsys, 2, "predict", "clip.mp4", "--classes", "names")


def test_an_interrupt_says_that_finished_work_is_saved(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C gives one line without a traceback, and the exit code 130 that is usual in shells."""

    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.settings.tree.load_settings", interrupted)

    assert "interrupted. Finished work is saved" in refused(capsys, 130, "train")


@pytest.mark.parametrize(
    "arguments",
    [
        ["extract", "clips", "--workspace", "dead"],
        ["status", "--workspace", "dead"],
        ["embed", "--text", "dead", "--classes", "a, b"],
        ["predict", "clip.mp4", "--classes", "dead"],
        ["predict", "clip.mp4", "--model", "dead"],
    ],
)
def test_a_link_that_leads_nowhere_is_named_as_such(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """It is neither a missing file nor a name of a class, of a text encoder or of a workspace."""
    monkeypatch.chdir(tmp_path)
    Path("dead").symlink_to("/nowhere")
    Path("clip.mp4").write_bytes(b"?")
    Path("clips").mkdir()
    assert run_command(arguments) in {1, 2}
    assert "dead is a link to /nowhere, which does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["predict", "a.mp4", "--classes", "-dog, cat", "-k", "1"],
            ["predict", "a.mp4", "--classes=-dog, cat", "-k", "1"],
        ),
        (["predict", "a.mp4", "--classes"], ["predict", "a.mp4"]),
        (["predict", "a.mp4", "--classes", "--json"], ["predict", "a.mp4", "--json"]),
        (["predict", "a.mp4", "--classes", "-w", "x"], ["predict", "a.mp4", "-w", "x"]),
        (["predict", "a.mp4", "--classes", ""], ["predict", "a.mp4", "--classes="]),
    ],
)
def test_the_value_of_classes_may_begin_with_a_dash_or_be_missing(arguments: list[str], expected: list[str]) -> None:
    """A missing value means all classes; an option after --classes stays an option."""
    assert _with_values_of_classes(arguments) == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
@pytest.mark.parametrize(
    "name", ["stages.json", "dataset/splits.yaml", "features/*/features.h5", "dataset/manifest.csv"]
)
def test_a_pipe_in_a_workspace_is_refused_and_never_waited_for(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """To open a pipe may take for ever."""
    root = extracted().root
    path = next(iter(root.glob(name)), root / name)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert run_command(["train", "--workspace", str(root)]) in {1, 2}
    assert "is not a regular file, but a pipe or a device" in capsys.readouterr().err
