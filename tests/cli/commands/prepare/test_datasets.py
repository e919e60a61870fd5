"""cli/commands/prepare: the subcommands, their tables and documents, and the commands that follow."""

import json
import re
import shutil
from pathlib import Path

import pytest

from cli.main import run_command
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.status import workspace_status

SAMPLES = Path(__file__).resolve().parents[4] / "sample_videos"
NAMES = ("red_ball_bouncing", "blue_ball_blinking", "yellow_heart_sliding", "red_star_blinking")
SMALL = [
    *("--set", "daan.hidden_width=16", "--set", "daan.output_width=8", "--set", "daan.heads=2"),
    *("--set", "training.epochs=1", "--set", "training.steps_per_epoch=1", "--set", "training.batch_pairs=8"),
]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the default workspace in a temporary folder, and a terminal so wide that no line is folded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AVZSL_WORKSPACE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with two clips of each of four classes."""
    for name in NAMES:
        (tmp_path / "videos" / name).mkdir(parents=True)
        for clip in ("000.mp4", "001.mp4"):
            shutil.copy(SAMPLES / name / clip, tmp_path / "videos" / name / clip)
    return tmp_path / "videos"


def document(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, object]:
    """Run a command with --json and return its document."""
    assert run_command([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert isinstance(printed, dict)
    return printed


def test_commands_without_a_source_use_the_prepared_folder(capsys: pytest.CaptureFixture[str], clips: Path) -> None:
    """After `prepare`, the commands extract, prepare splits and train find the dataset in the workspace."""
    assert run_command(["prepare", "folder", str(clips), "--probe", "--workers", "1"]) == 0
    table = capsys.readouterr().out
    assert run_command(["extract", "--weights", "untrained", "--width", "2", "-q"]) == 0
    assert run_command(["prepare", "splits", "--unseen-test", "1", "--unseen-val", "0", "--seed", "2"]) == 0
    assert run_command(["train", *SMALL]) == 0
    out = capsys.readouterr().out

    assert "unreadable" in table
    assert table.rstrip().endswith("Next: avzsl extract")
    assert "of 1 class" in out
    assert re.search(r"3 seen, 1 unseen: \w+ \(by the dataset's splits\)", out)


def test_with_to_the_next_command_names_the_manifest(capsys: pytest.CaptureFixture[str], clips: Path) -> None:
    """--to writes into the given folder and leaves the workspace unchanged."""
    assert run_command(["prepare", "folder", str(clips), "--to", "out"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[-1] == "Next: avzsl extract out/manifest.csv"
    assert not Path("avzsl-workspace").exists()
    assert len(load_dataset(Path("out")).videos) == 8
    assert document(capsys, "prepare", "splits", "--to", "out", "--unseen-test", "2")["file"] == "out/splits.yaml"


def test_the_document_contains_what_the_table_shows(capsys: pytest.CaptureFixture[str], clips: Path) -> None:
    """The document contains the counts, the excluded videos with reasons, and the path of the manifest."""
    (clips / NAMES[0] / "page.mp4").write_text("<html></html>")

    printed = document(capsys, "prepare", "folder", str(clips), "--probe", "--workers", "1")

    assert (printed["videos"], printed["classes"], printed["unreadable"], printed["soundless"]) == (8, 4, 1, 0)
    assert printed["left_out"] == [
        {
            "video": f"{NAMES[0]}/page.mp4",
            "reason": "not a video but a web page saved under a video's name; fetch it again",
        }
    ]
    assert printed["manifest"] == "avzsl-workspace/dataset/manifest.csv"


def test_the_files_of_the_benchmarks_are_prepared(capsys: pytest.CaptureFixture[str], clips: Path) -> None:
    """UCF101, ActivityNet and VGGSound are read as published; hours of segments are known without --probe."""
    clip = clips / NAMES[0] / "000.mp4"
    for path in ("ucf/Archery/v_Archery_g01_c01.avi", "anet/v_abc.mp4", "vgg/x_000010.mp4", "vgg/y.mp4"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)
    entry = {
        "duration": 9,
        "annotations": [{"label": "Tai chi", "segment": [0, 1.5]}, {"label": "BMX", "segment": [2, 3]}],
    }
    Path("a.json").write_text(json.dumps({"database": {"abc": entry}}))
    Path("vggsound.csv").write_text("x,10,dog,train\ny,3,cat,test\nz,3,cat,test\n")

    ucf = document(capsys, "prepare", "ucf101", "--videos", "ucf", "-w", "u")
    anet = document(capsys, "prepare", "activitynet", "--videos", "anet", "--annotations", "a.json", "-w", "a")
    vgg = document(capsys, "prepare", "vggsound", "--videos", "vgg", "--csv", "vggsound.csv", "-w", "v")

    assert (ucf["videos"], ucf["hours"]) == (1, None)
    assert (anet["videos"], anet["hours"]) == (2, 2.5 / 3600)
    assert (vgg["videos"], vgg["missing"], vgg["videos_of_known_length"]) == (2, 1, 1)
    assert Path("v/dataset/missing.csv").read_text().splitlines()[1] == "z_000003,no file z_000003.mp4"


def test_a_generated_workspace_can_be_trained_without_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Training uses the generated class vectors, and status shows dataset and features as done."""
    narrow = ["--set", "audio_width=8", "--set", "visual_width=8"]
    assert run_command(["prepare", "synthetic", *narrow, "--audio-strength", "0.2"]) == 0
    shown = capsys.readouterr().out
    states = {entry.stage: entry.state for entry in workspace_status(Workspace(Path("avzsl-workspace")))}

    assert run_command(["train", *SMALL]) == 0
    capsys.readouterr()
    assert shown.rstrip().endswith("Next: avzsl train")
    assert (states["dataset"], states["features"]) == ("done", "done")
    assert document(capsys, "prepare", "synthetic", *narrow, "-w", "other")["videos"] == 456


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "folder", "nowhere"], "nowhere does not exist."),
        (["prepare", "ucf101"], "Missing option '--videos'"),
        (["prepare", "csv", "t.csv"], "t.csv: expected a column of paths"),
        (["prepare", "folder", "videos", "--splits", "nowhere"], "nowhere does not exist."),
        (["prepare", "folder", "videos", "--splits", "videos"], "videos contains no official splits"),
        (["prepare", "splits", "-w", "none"], "none/dataset contains no manifest.csv: make one with avzsl prepare, or"),
        (["prepare", "splits", "--to", "t.csv"], "--to t.csv is a file: give a folder to write into"),
        (["prepare", "splits", "--unseen-test", "many"], "--unseen-test 'many': give a number of classes"),
        (["prepare", "synthetic", "--set", "nois=1"], "--set nois=1: unknown value 'nois'. Did you mean noise?"),
        (["prepare"], "Missing command"),
    ],
)
def test_wrong_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], clips: Path, arguments: list[str], message: str
) -> None:
    """Each error gives exit code 2 and one line with advice."""
    Path("t.csv").write_text("name,colour\na,b\n")

    assert run_command(arguments) == 2

    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    assert message in err[0]


@pytest.mark.parametrize("name", ["folder", "csv", "ucf101", "activitynet", "vggsound", "splits", "synthetic"])
def test_the_help_of_every_subcommand_shows_an_example(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """The help contains an example that calls the subcommand."""
    assert run_command(["prepare", name, "--help"]) == 0

    assert f"Example: avzsl prepare {name}" in capsys.readouterr().out


@pytest.mark.needs_shared
def test_names_without_a_match_in_the_official_splits_are_shown(
    capsys: pytest.CaptureFixture[str], shared: Path
) -> None:
    """Only a few videos of UCF101 exist here, and one of them is in no official list."""
    names = ("Archery/v_Archery_g01_c01", "Archery/v_Archery_g01_c03", "BalanceBeam/v_BalanceBeam_g01_c01")
    for name in (*names, "Typing/v_Typing_g01_c01", "Archery/v_Archery_g99_c01"):
        Path("ucf", name).parent.mkdir(parents=True, exist_ok=True)
        Path("ucf", f"{name}.avi").touch()

    splits = str(shared / "benchmark/UCF/class-split")
    assert run_command(["prepare", "ucf101", "--videos", "ucf", "--splits", splits]) == 0
    shown = capsys.readouterr()
    printed = document(capsys, "prepare", "ucf101", "--videos", "ucf", "--splits", splits)

    assert "48 classes listed but not here" in shown.out
    assert "1 video here but in no split" in shown.out
    assert "main_split (also there: cls_split)" in shown.err
    assert len(printed["classes_without_videos"]) == 98  # type: ignore[arg-type] -- a list, by the keys above
    assert Path("avzsl-workspace/dataset/unmatched.csv").exists()
