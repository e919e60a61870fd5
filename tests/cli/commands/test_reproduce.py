"""`avzsl reproduce`, `import` and `export` in-process: what they print, and that nothing is done twice."""

import json
import re
from pathlib import Path

import pytest

from cli.main import run_command
from pipeline.avgzsl_benchmark.reproduction.published import PUBLISHED
from pipeline.avgzsl_benchmark.synthetic.generate import Recipe, synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.shapes import Shape
from pipeline.avgzsl_benchmark.synthetic.workspace import write_benchmark
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import read_spec, record_spec

SHAPE = Shape(
    train_classes=4,
    val_unseen_classes=2,
    test_unseen_classes=3,
    train=24,
    val_seen=8,
    val_unseen=12,
    test_seen=12,
    test_unseen=12,
    seconds=(1, 3),
)
CLIP = Path(__file__).parents[3] / "sample_videos" / "yellow_ball_spinning" / "000.mp4"
TINY = [
    *("--set", "training.epochs=1", "--set", "training.steps_per_epoch=2", "--set", "training.batch_pairs=8"),
    *("--set", "daan.hidden_width=8", "--set", "daan.heads=2", "--set", "daan.output_width=6", "--device", "cpu"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generated set in a workspace; commands run beside it in a terminal of 80 columns."""
    place = Workspace(tmp_path / "generated")
    benchmark = synthetic_benchmark(SHAPE, Recipe(audio_width=6, visual_width=6, text_width=300, missing_audio=0.2))
    record_spec(place, read_spec(str(write_benchmark(benchmark, place))))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return place.root


def test_a_reproduction_runs_prints_and_goes_on(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Export, import, two seeds, then the ablation: what is trained and evaluated already is left as it is."""
    assert run_command(["export", "tcaf", "UCF", "-w", str(workspace)]) == 0
    command = ["reproduce", "ucf", "--features", "UCF", *TINY]
    assert run_command([*command, "--seeds", "0,1", "--no-ablation"]) == 0
    first = capsys.readouterr().out
    written = {path: path.stat().st_mtime_ns for path in Path("avzsl-ucf").glob("*/daan-*/m*.json")}

    assert run_command([*command, "--seeds", "0"]) == 0
    second = capsys.readouterr().out
    assert run_command([*command, "--seeds", "0,1", "--no-ablation"]) == 0
    again = capsys.readouterr().out

    assert len(written) == 4  # a model.json and a metrics.json each
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert [text.count("trained already") for text in (first, second, again)] == [0, 1, 2]
    assert "imported before: 68 videos in 9 classes" in second
    assert all("…" not in line and len(line) <= 80 for line in _table_lines(first + second))
    assert re.search(r"DAAN +52\.38 +23\.48 +32\.42 +31\.09", second)
    assert second.count("published  ") == 4
    assert again.endswith(first[first.index("ucf: published") :])


def _table_lines(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if re.search(r"\d\.\d\d .*\d\.\d\d", line)]


def test_the_document_says_what_the_tables_say(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Means and deviations over the seeds, every run, and what they were made from."""
    command = ["reproduce", "ucf", "--features", str(workspace), "--seeds", "0,1", "--no-ablation", *TINY]
    assert run_command(command) == 0
    shown = capsys.readouterr().out
    assert run_command([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    configured = document["variants"]["configured"]
    mean, deviation = configured["mean"]["sum"]["ZSL"], configured["deviation"]["sum"]["ZSL"]
    runs = list(configured["runs"].values())
    assert f"{mean:.2f} ± {deviation:.2f}" in next(line for line in shown.splitlines() if "avzsl, sum" in line)
    assert [run["seed"] for run in runs] == [0, 1]
    assert mean == pytest.approx(sum(run["sum"]["ZSL"] for run in runs) / 2)
    assert document["data"]["videos"] == {
        "train": 24,
        "val_seen": 8,
        "val_unseen": 12,
        "test_seen": 12,
        "test_unseen": 12,
    }


def test_the_report_holds_every_row_setting_and_hash(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Markdown and HTML say the same; the settings read back as they were."""
    command = ["reproduce", "vggsound", "--features", str(workspace), "--seeds", "3", "--no-ablation", *TINY]
    assert run_command([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    folder = workspace / "reports" / "reproduction-vggsound"
    markdown, page = ((folder / f"reproduction.{ending}").read_text() for ending in ("md", "html"))

    for text in (markdown, page):
        assert all(row.method in text and f"{row.ZSL:.2f}" in text for row in PUBLISHED["vggsound"])
        assert "gamma: 0.6" in text
        assert "batch_pairs: 8" in text
        assert document["data"]["features_content"] in text
        assert document["data"]["text"]["sha256"] in text
        assert "These features were generated" in text
        assert next(iter(document["variants"]["configured"]["runs"])) in text
    assert page.startswith("<!doctype html>")
    assert page.count("<table>") == page.count("</table>") == 3
    assert document == json.loads((folder / "reproduction.json").read_text())
    assert document["variants"]["configured"]["deviation"]["sum"]["HM"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ucff", "--features", "generated"], "unknown benchmark 'ucff': choose one of ucf, activitynet, vggsound"),
        (["ucf", "--features", "generatd"], "generatd does not exist. Did you mean generated?"),
        (["ucf", "--features", "empty"], "empty is neither an avzsl workspace"),
        (["ucf", "--features", "generated", "--seeds", "0,0"], "--seeds '0,0': expected different whole numbers"),
        (["activitynet", "--features", "UCF"], "UCF holds features of ucf: run avzsl reproduce ucf"),
        (
            ["ucf", "--features", "generated", "-w", "mine"],
            "generated is a workspace and is used as it is: leave --wor",
        ),
        (["ucf", "--features", "generated", "--method", "cls"], "its features are chosen: leave --method out"),
        (
            ["ucf", "--features", "generated", "--set", "daan.csgm=off", "--set", "daan.qdma=off"],
            "daan.qdma is off and daan.csgm off, but the ablation trains every row of both: leave them out, or train",
        ),
    ],
)
def test_wrong_usage_is_one_line(
    workspace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Exit code 2, and nothing is made."""
    Path("empty").mkdir()
    if "UCF" in arguments:
        assert run_command(["export", "avca", "UCF", "-w", str(workspace)]) == 0
    assert run_command(["reproduce", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(Path().glob("avzsl-*"))


def test_a_workspace_of_another_benchmark_is_refused(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether it was imported or generated as one; what nobody knows of is taken."""
    assert run_command(["export", "avca", "UCF", "-w", str(workspace)]) == 0
    assert run_command(["import", "avca", "UCF", "-w", "imported"]) == 0
    assert (
        run_command(
            [
                "prepare",
                "synthetic",
                "--shape",
                "small",
                "-w",
                "other",
                "--set",
                "audio_width=4",
                "--set",
                "visual_width=4",
            ]
        )
        == 0
    )
    note = Path("other/dataset/source.json")
    note.write_text(note.read_text().replace("--shape small", "--shape vggsound"))
    capsys.readouterr()

    assert run_command(["reproduce", "activitynet", "--features", "imported", *TINY]) == 2
    assert "imported holds features of ucf: run avzsl reproduce ucf" in capsys.readouterr().err
    assert run_command(["reproduce", "ucf", "--features", "other", *TINY]) == 2
    assert "other holds features of vggsound: run avzsl reproduce vggsound" in capsys.readouterr().err


def test_the_users_model_stays_the_workspaces(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reproduction's own is named; with the ablation, the settings reported are those of its last row."""
    assert run_command(["train", "-w", str(workspace), "--seed", "9", *TINY]) == 0
    mine = Workspace(workspace).current_model()
    capsys.readouterr()
    command = ["reproduce", "ucf", "--features", str(workspace), "--seeds", "0", "--no-ablation", *TINY]
    assert run_command([*command, "--set", "daan.csgm=off"]) == 0
    shown = capsys.readouterr().out

    assert Workspace(workspace).current_model() == mine
    assert f"the workspace's model stays {mine.name}; this one predicts with avzsl predict --model" in shown
    assert max(map(len, _notes(shown))) <= 80
    document = json.loads((workspace / "reports" / "reproduction-ucf" / "reproduction.json").read_text())
    assert "csgm: 'off'" in document["settings"] or "csgm: off" in document["settings"]


def _notes(shown: str) -> list[str]:
    """The lines below the tables that are not places."""
    lines = shown[shown.index("Published figures") :].splitlines()
    return [line for line in lines if not line.startswith(" ")]


def test_clips_have_no_generated_or_unknown_features(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model of imported features takes weights at the user's word, if they can have made such features."""
    assert run_command(["export", "avca", "UCF", "-w", str(workspace)]) == 0
    Path("UCF/avzsl.json").unlink()
    assert run_command(["import", "avca", "UCF", "-w", "imported"]) == 0
    for place in (str(workspace), "imported"):
        assert run_command(["train", "-w", place, *TINY]) == 0
    Path("clip.mp4").write_bytes(b"no clip")
    capsys.readouterr()

    for place, options, message in (
        (str(workspace), (), "trained on generated features, which no clip has"),
        ("imported", (), "nothing says how they were extracted: name the weights with --weights NAME|FILE"),
        ("imported", ("--weights", "vgg_sound"), "visual 6 and audio 6 wide, they are not SeLaVi's (512)"),
    ):
        assert run_command(["predict", "clip.mp4", "-w", place, "--device", "cpu", *options]) == 2
        assert message in capsys.readouterr().err


def test_an_import_is_shown_and_trains(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bare train takes splits and vectors of the import; the second import says that there is nothing to do."""
    assert run_command(["export", "avca", "UCF", "-w", str(workspace), "--json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert run_command(["import", "avca", "UCF", "-w", "work"]) == 0
    shown = capsys.readouterr().out
    assert run_command(["import", "avca", "UCF", "-w", "work", "--json"]) == 0
    imported = json.loads(capsys.readouterr().out)
    assert run_command(["train", "-w", "work", "--preset", "ucf", *TINY]) == 0
    trained = capsys.readouterr().out

    assert exported["videos"] == imported["videos"] == 68
    assert imported["did_nothing"]
    assert "Next: avzsl train --preset ucf" in shown
    assert "by the dataset's splits: class_006, class_007, class_008" in trained
    assert run_command(["inspect", "-w", "work"]) == 0


def test_a_model_of_imported_features_predicts_by_weights_that_the_user_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a warning, where they make features of that width."""
    monkeypatch.chdir(tmp_path)
    place = Workspace(tmp_path / "generated")
    benchmark = synthetic_benchmark(SHAPE, Recipe(audio_width=16, visual_width=16, text_width=300))
    record_spec(place, read_spec(str(write_benchmark(benchmark, place))))
    assert run_command(["export", "tcaf", "UCF", "-w", "generated"]) == 0
    Path("UCF/avzsl.json").unlink()
    assert run_command(["import", "tcaf", "UCF", "-w", "imported"]) == 0
    assert run_command(["train", "-w", "imported", *TINY]) == 0
    capsys.readouterr()

    command = ["predict", str(CLIP), "-w", "imported", "--device", "cpu", "--json"]
    assert run_command([*command, "--weights", "untrained"]) == 0
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)["predictions"][0]["classes"]) == 9
    assert "nothing says how they were extracted: as you say, the untrained weights are taken for theirs" in shown.err
