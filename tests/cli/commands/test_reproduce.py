"""cli/commands/reproduce.py, import_features.py and export.py: their output, and that nothing is done twice."""

import json
import math
import re
from pathlib import Path

import pytest

from cli.main import run_command
from pipeline.avgzsl_benchmark.reproduction.published import PUBLISHED
from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import Shape
from pipeline.avgzsl_benchmark.synthetic.workspace import write_benchmark
from pipeline.base.files import read_json, write_json
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
    """A workspace with generated data; commands run in the folder above it, in a terminal of 80 columns."""
    generated = Workspace(tmp_path / "generated")
    benchmark = synthetic_benchmark(
        SHAPE, SyntheticRecipe(audio_width=6, visual_width=6, text_width=300, missing_audio=0.2)
    )
    record_spec(generated, read_spec(str(write_benchmark(benchmark, generated))))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return generated.root


def test_a_reproduction_continues_from_finished_runs(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A reproduction runs two seeds and the ablation; finished trainings and evaluations are not repeated."""
    assert run_command(["export", "tcaf", "UCF", "-w", str(workspace)]) == 0
    command = ["reproduce", "ucf", "--features", "UCF", *TINY]
    assert run_command([*command, "--seeds", "0,1", "--no-ablation"]) == 0
    first = capsys.readouterr().out
    written = {path: path.stat().st_mtime_ns for path in Path("avzsl-ucf").glob("*/daan-*/m*.json")}

    assert run_command([*command, "--seeds", "0"]) == 0
    second = capsys.readouterr().out
    assert run_command([*command, "--seeds", "0,1", "--no-ablation"]) == 0
    again = capsys.readouterr().out

    assert len(written) == 4  # model.json and metrics.json of both runs
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert [text.count("trained already") for text in (first, second, again)] == [0, 1, 2]
    assert "imported before: 68 videos in 9 classes" in second
    assert all("…" not in line and len(line) <= 80 for line in _table_lines(first + second))
    assert re.search(r"DAAN +52\.38 +23\.48 +32\.42 +31\.09", second)
    assert second.count("published  ") == 4
    assert again.endswith(first[first.index("ucf: published results") :])


def _table_lines(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if re.search(r"\d\.\d\d .*\d\.\d\d", line)]


def test_the_document_contains_the_numbers_of_the_tables(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The document has means and deviations over the seeds, every run, and the data that was used."""
    command = ["reproduce", "ucf", "--features", str(workspace), "--seeds", "0,1", "--no-ablation", *TINY]
    assert run_command(command) == 0
    shown = capsys.readouterr().out
    assert run_command([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)

    configured = document["methods"]["daan"]
    mean, deviation = configured["mean"]["sum"]["ZSL"], configured["deviation"]["sum"]["ZSL"]
    runs = list(configured["runs"].values())
    assert f"{mean:.2f} ± {deviation:.2f}" in next(line for line in shown.splitlines() if "avzsl DAAN, sum" in line)
    assert [run["seed"] for run in runs] == [0, 1]
    assert mean == pytest.approx(sum(run["sum"]["ZSL"] for run in runs) / 2)
    assert document["data"]["videos"] == {
        "train": 24,
        "val_seen": 8,
        "val_unseen": 12,
        "test_seen": 12,
        "test_unseen": 12,
    }


def test_a_reproduction_that_was_evaluated_before_gives_the_same_document(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is read back is what was computed, with the beta of every score, however often it was interrupted."""
    command = ["reproduce", "ucf", "--features", str(workspace), "--seeds", "0", "--no-ablation", "--json", *TINY]
    assert run_command(command) == 0
    first = json.loads(capsys.readouterr().out)
    assert run_command(command) == 0
    assert json.loads(capsys.readouterr().out) == first
    (run,) = first["methods"]["daan"]["runs"].values()
    assert set(run["sum"]) == {"S", "U", "HM", "ZSL", "beta"}


def test_the_report_contains_every_row_setting_and_hash(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Markdown and HTML contain published rows, settings, hashes and the run; the JSON file is the document."""
    command = ["reproduce", "vggsound", "--features", str(workspace), "--seeds", "3", "--no-ablation", *TINY]
    assert run_command([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    folder = workspace / "reports" / "reproduction-vggsound"
    markdown, page = ((folder / f"reproduction.{ending}").read_text() for ending in ("md", "html"))

    for text in (markdown, page):
        assert all(
            row.method in text and (math.isnan(row.ZSL) or f"{row.ZSL:.2f}" in text)
            for row in PUBLISHED["main"]["vggsound"]
        )
        assert "gamma: 0.6" in text
        assert "batch_pairs: 8" in text
        assert document["data"]["features_content"] in text
        assert document["data"]["text"]["sha256"] in text
        assert "These features were generated" in text
        assert next(iter(document["methods"]["daan"]["runs"])) in text
    assert page.startswith("<!doctype html>")
    assert page.count("<table>") == page.count("</table>") == 3
    assert document == read_json(folder / "reproduction.json")
    assert document["methods"]["daan"]["deviation"]["sum"]["HM"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ucff", "--features", "generated"], "unknown benchmark 'ucff': choose one of ucf, activitynet, vggsound"),
        (["ucf", "--features", "generatd"], "generatd does not exist. Did you mean generated?"),
        (["ucf", "--features", "empty"], "empty is neither an avzsl workspace"),
        (["ucf", "--features", "generated", "--seeds", "0,0"], "--seeds '0,0': expected different whole numbers"),
        (["activitynet", "--features", "UCF"], "UCF has features of ucf: run avzsl reproduce ucf"),
        (
            ["ucf", "--features", "generated", "-w", "mine"],
            "generated is a workspace and is used as it is: leave --wor",
        ),
        (["ucf", "--features", "generated", "--method", "avca"], "to choose what is trained: --methods avca"),
        (["ucf", "--features", "generated", "--method", "cls"], "so its features are used: leave --method out"),
        (
            ["ucf", "--features", "generated", "--set", "daan.csgm=off", "--set", "daan.qdma=off"],
            "daan.qdma is off and daan.csgm is off, which is a row of the ablation: leave the setting out, or train",
        ),
    ],
)
def test_wrong_usage_is_one_line(
    workspace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Each error gives exit code 2 and one line, and creates no workspace."""
    Path("empty").mkdir()
    if "UCF" in arguments:
        assert run_command(["export", "avca", "UCF", "-w", str(workspace)]) == 0
    assert run_command(["reproduce", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(Path().glob("avzsl-*"))


def test_a_workspace_of_another_benchmark_is_refused(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """This holds for imported and for generated workspaces that record their benchmark."""
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
    record = Path("other/dataset/source.json")
    write_json(record, json.loads(json.dumps(read_json(record)).replace("--shape small", "--shape vggsound")))
    capsys.readouterr()

    assert run_command(["reproduce", "activitynet", "--features", "imported", *TINY]) == 2
    assert "imported has features of ucf: run avzsl reproduce ucf" in capsys.readouterr().err
    assert run_command(["reproduce", "ucf", "--features", "other", *TINY]) == 2
    assert "other has features of vggsound: run avzsl reproduce vggsound" in capsys.readouterr().err


def test_a_reproduction_keeps_the_current_model_of_the_workspace(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output says how to predict with the new model, and the document records the changed setting."""
    assert run_command(["train", "-w", str(workspace), "--seed", "9", *TINY]) == 0
    mine = Workspace(workspace).current_model()
    capsys.readouterr()
    command = ["reproduce", "ucf", "--features", str(workspace), "--seeds", "0", "--no-ablation", *TINY]
    assert run_command([*command, "--set", "daan.csgm=off"]) == 0
    shown = capsys.readouterr().out

    assert Workspace(workspace).current_model() == mine
    assert f"the workspace keeps its model {mine.name}; to predict with daan-" in shown
    assert max(map(len, _notes(shown))) <= 80
    document = json.loads((workspace / "reports" / "reproduction-ucf" / "reproduction.json").read_text())
    assert re.search("csgm: '?off'?", document["settings"]["daan"])


def _notes(shown: str) -> list[str]:
    """Return the lines below the tables, without the paths."""
    lines = shown[shown.index("In percent.") :].splitlines()
    return [line for line in lines if not line.startswith(" ")]


def test_clips_cannot_be_predicted_with_generated_or_unknown_features(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of imported features needs --weights, and refuses weights that give features of another width."""
    assert run_command(["export", "avca", "UCF", "-w", str(workspace)]) == 0
    Path("UCF/avzsl.json").unlink()
    assert run_command(["import", "avca", "UCF", "-w", "imported"]) == 0
    for folder in (str(workspace), "imported"):
        assert run_command(["train", "-w", folder, *TINY]) == 0
    Path("clip.mp4").write_bytes(b"no clip")
    capsys.readouterr()

    for folder, options, message in (
        (str(workspace), (), "trained on generated features, which no clip has"),
        ("imported", (), "it is not recorded how they were extracted: name the weights with --weights NAME|FILE"),
        (
            "imported",
            ("--weights", "vgg_sound"),
            "are 6 wide and audio features 6, but SeLaVi's are 512",
        ),
    ):
        assert run_command(["predict", "clip.mp4", "-w", folder, "--device", "cpu", *options]) == 2
        assert message in capsys.readouterr().err


def test_an_imported_workspace_can_be_trained(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`train` uses the imported splits and class vectors; a second import has nothing to do."""
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
    assert "class_006, class_007, class_008 (by the dataset's splits)" in trained
    assert run_command(["inspect", "-w", "work"]) == 0


def test_a_model_of_imported_features_predicts_with_weights_that_the_user_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights are used with a warning if they give features of the same width."""
    monkeypatch.chdir(tmp_path)
    generated = Workspace(tmp_path / "generated")
    benchmark = synthetic_benchmark(SHAPE, SyntheticRecipe(audio_width=16, visual_width=16, text_width=300))
    record_spec(generated, read_spec(str(write_benchmark(benchmark, generated))))
    assert run_command(["export", "tcaf", "UCF", "-w", "generated"]) == 0
    Path("UCF/avzsl.json").unlink()
    assert run_command(["import", "tcaf", "UCF", "-w", "imported"]) == 0
    assert run_command(["train", "-w", "imported", *TINY]) == 0
    capsys.readouterr()

    command = ["predict", str(CLIP), "-w", "imported", "--device", "cpu", "--json"]
    assert run_command([*command, "--weights", "untrained"]) == 0
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)["predictions"][0]["classes"]) == 9
    assert "they are assumed to come from the untrained weights, as you named them" in shown.err
