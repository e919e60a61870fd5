"""`avzsl reproduce`, `import` and `export` in-process: what they print, and that nothing is done twice."""

import json
import re
from pathlib import Path

import pytest

from cli.main import run_command
from pipeline.class_embeddings import remember_text
from pipeline.published import PUBLISHED
from pipeline.synthetic import Recipe, synthetic_benchmark
from pipeline.synthetic_shapes import Shape
from pipeline.synthetic_workspace import write_benchmark
from pipeline.workspace import Workspace

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
TINY = [
    *("--set", "training.epochs=1", "--set", "training.steps_per_epoch=2", "--set", "training.batch_pairs=8"),
    *("--set", "daan.hidden_width=8", "--set", "daan.heads=2", "--set", "daan.output_width=6", "--device", "cpu"),
]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generated set in a workspace; commands run beside it in a terminal of 80 columns."""
    place = Workspace(tmp_path / "generated")
    benchmark = synthetic_benchmark(SHAPE, Recipe(audio_width=6, visual_width=6, text_width=300, missing_audio=0.2))
    remember_text(place, str(write_benchmark(benchmark, place)))
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
