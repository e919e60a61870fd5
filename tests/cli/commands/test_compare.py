"""cli/commands/compare.py and pipeline/comparison: several methods on the same features in one table."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cli.main import run_command
from pipeline.base.files import read_json, write_json
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.evaluation.saved_metrics import SavedMetrics
from pipeline.features.feature_set import load_features
from pipeline.scoring.intervals import paired_intervals
from pipeline.training.methods import METHODS

TINY = [
    *("--set", "training.epochs=1", "--set", "training.steps_per_epoch=2", "--set", "training.batch_pairs=8"),
    *("--set", "training.least_validation_videos=2", "--device", "cpu"),
    *("--set", "daan.hidden_width=8", "--set", "daan.heads=2", "--set", "daan.output_width=6"),
]


def compared(workspace: Workspace, methods: str, *more: str) -> list[str]:
    """Return the arguments of a comparison with short trainings."""
    return ["compare", "--methods", methods, "--workspace", str(workspace.root), *TINY, *more]


def paired_texts(workspace: Workspace) -> str:
    """Write class vectors in the features' own space, visual then audio, and return their file."""
    dataset = load_dataset(workspace.dataset_folder)
    features = load_features(workspace.current_features(), dataset.classes).averaged()
    rows = np.concatenate((features.visual.numpy(), features.audio.numpy()), axis=1)
    vectors = {
        phrase: rows[features.labels.numpy() == index].mean(axis=0)
        for index, (phrase,) in enumerate(dataset.phrases.values())
    }
    path = workspace.root / "paired.npy"
    np.save(path, vectors)  # type: ignore[arg-type]  # a dict, as in the benchmark
    return str(path)


def test_methods_are_compared_and_nothing_is_done_twice(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Means, deviations and differences follow from the runs; a second call trains and evaluates nothing."""
    monkeypatch.setenv("COLUMNS", "80")
    workspace = extracted()
    command = compared(workspace, "devise,sje,cjme", "--seeds", "0,1")
    assert run_command(command) == 0
    shown = capsys.readouterr().out
    written = {path: path.stat().st_mtime_ns for path in workspace.root.glob("*/*/m*.json")}
    assert run_command([*command, "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)

    assert len(written) == 12  # model.json and metrics.json of six runs
    assert written == {path: path.stat().st_mtime_ns for path in written}
    assert captured.err.count("trained already") == 6
    assert document["compared_with"] == "devise"
    assert list(document["methods"]) == ["devise", "sje", "cjme"]
    for entry in document["methods"].values():
        runs = [run[entry["score"]] for run in entry["runs"].values()]
        for metric in ("S", "U", "HM", "ZSL"):
            values = [run[metric] for run in runs]
            assert entry["mean"][entry["score"]][metric] == pytest.approx(np.mean(values))
            assert entry["deviation"][entry["score"]][metric] == pytest.approx(np.std(values, ddof=1))
        assert entry["parameters"] > 0
        assert entry["seconds_per_epoch"] > 0
        assert entry["devices"] == ["cpu"]
    assert document["methods"]["devise"]["difference"] == {}
    saved = {
        name: [
            SavedMetrics.model_validate(read_json(workspace.report_folder(run) / "metrics.json"))
            for run in document["methods"][name]["runs"]
        ]
        for name in document["methods"]
    }
    for name in ("sje", "cjme"):
        recalls, others = ([one.recalls for one in saved[each]] for each in (name, "devise"))
        expected = paired_intervals(recalls, others)
        for metric, found in document["methods"][name]["difference"].items():
            means = [document["methods"][each]["mean"][saved[each][0].score][metric] for each in (name, "devise")]
            assert found["value"] == pytest.approx(means[0] - means[1])
            limits = [None if np.isnan(limit) else pytest.approx(limit) for limit in expected[metric]]
            assert found["interval"] == limits
    lines = [line for line in shown.splitlines() if re.match(r"(DeViSE|SJE|CJME|chance|  to DeViSE|  95 %) ", line)]
    assert [line.split("  ")[0].strip() for line in lines if not line.startswith(" ")] == [
        "DeViSE",
        "SJE",
        "CJME",
        "chance",
    ]
    assert len([line for line in lines if line.startswith("  to DeViSE")]) == 2
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    folder = workspace.report_folder("comparison-devise-sje-cjme")
    assert document == read_json(folder / "comparison.json")
    markdown, page = ((folder / f"comparison.{ending}").read_text() for ending in ("md", "html"))
    for text in (markdown, page):
        assert "to DeViSE" in text
        assert document["data"]["features_content"] in text
        assert "method: cjme" in text


def test_a_comparison_goes_on_where_it_was_interrupted(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that is missing is trained, a damaged metrics.json is written again, and the figures are the same."""
    workspace = extracted()
    command = compared(workspace, "devise,apn", "--seeds", "0,1", "--json")
    assert run_command(command) == 0
    first = json.loads(capsys.readouterr().out)
    runs = [run for entry in first["methods"].values() for run in entry["runs"]]
    (workspace.model_folder(runs[0]) / "model.json").unlink()
    (workspace.report_folder(runs[1]) / "metrics.json").write_text("{}")
    assert run_command(command) == 0
    captured = capsys.readouterr()
    again = json.loads(captured.out)

    assert captured.err.count("trained already") == 3
    for document in (first, again):
        for entry in document["methods"].values():
            del entry["seconds_per_epoch"]
    assert again == first


def test_zero_shot_stands_next_to_trained_methods(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """It has one run for all seeds, no parameters, no epoch and no deviation."""
    workspace = extracted(extractor="joint", videos=6)
    command = compared(workspace, "zero-shot,clipclap", "--seeds", "0,1", "--text", paired_texts(workspace))
    assert run_command([*command, "--json"]) == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    assert (len(methods["zero-shot"]["runs"]), len(methods["clipclap"]["runs"])) == (1, 2)
    assert (methods["zero-shot"]["parameters"], methods["zero-shot"]["seconds_per_epoch"]) == (0, None)
    assert methods["zero-shot"]["deviation"]["sum"]["HM"] is None
    assert methods["clipclap"]["difference"]["ZSL"]["value"] < 0


def test_published_rows_of_the_features_stand_below(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """In a workspace of a benchmark they name their features; rows of other features are not shown."""
    workspace = extracted(extractor="selavi", width=512)
    stages = read_json(workspace.stages_file)
    stages["features"]["summary"]["report"] = {"benchmark": "activitynet"}
    write_json(workspace.stages_file, {name: stage for name, stage in stages.items() if name != "checksum"})
    assert run_command(compared(workspace, "devise", "--seeds", "0")) == 0
    shown = capsys.readouterr().out
    assert re.search(r"  DAAN +20\.91 +10\.26 +13\.87\? +11\.15", shown)
    assert "published, main" in shown
    assert "KDA" not in shown
    unwrapped = " ".join(shown.split())
    assert "Published rows: activitynet, features main (SeLaVi), main_split." in unwrapped
    assert "? DAAN: HM is printed as 13.87, but S and U give 13.77." in unwrapped
    assert "DAAN: arXiv 2412.11715" in unwrapped
    assert run_command(["compare", "--methods", "devise", "-w", str(workspace.root), "--preset", "ucf"]) == 2
    error = capsys.readouterr().err
    assert "--preset ucf has the settings for UCF, but" in error
    assert "has features of ActivityNet: give a preset for activitynet" in error
    assert run_command(["train", "-w", str(workspace.root), "--preset", "avca-ucf"]) == 2
    assert "--preset avca-ucf has the settings for UCF, but" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "daan,avcaa"], "--methods: unknown method 'avcaa'. Did you mean avca? avzsl methods lists them"),
        (["--methods", "avca,avca"], "--methods avca,avca: give each method once"),
        (["--methods", ","], "--methods names no method: give names such as --methods daan,avca"),
        (["--methods", "avca", "--seeds", "0,0"], "--seeds '0,0': expected different whole numbers"),
        (["--methods", "avca", "--preset", "ufc"], "unknown preset 'ufc'. Did you mean ucf?"),
        (["--methods", "avca,mft", "--preset", "avca-ucf"], "--preset avca-ucf is not for the method mft; it has mft-"),
        (["--methods", "daan,zero-shot"], "zero-shot compares features with class texts of the same encoders, but"),
    ],
)
def test_wrong_usage_is_one_line(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Each error gives exit code 2, and comes before anything is trained."""
    workspace = extracted()
    assert run_command(["compare", "-w", str(workspace.root), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(workspace.root.glob("models/*"))


def test_a_workspace_without_features_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says which command comes first."""
    assert run_command(["compare", "--methods", "all", "-w", str(tmp_path / "empty")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_all_leaves_out_what_does_not_fit_with_a_line(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """Generated features have no text encoder, so zero-shot does not fit; a method that is named is refused instead."""
    workspace = extracted()
    narrow = [
        *("tcaf.depth=1", "tcaf.encoder_width=8", "tcaf.token_width=8", "mft.hidden_width=16", "mft.depth=1"),
        *("lsc.hidden_width=16", "lsc.depth=1"),
    ]
    options = [word for name in narrow for word in ("--set", name)]
    assert run_command(compared(workspace, "all", "--seeds", "0", "--json", *options)) == 0
    captured = capsys.readouterr()
    assert "zero-shot is left out: zero-shot compares features with class texts" in captured.err
    assert list(json.loads(captured.out)["methods"]) == [name for name in METHODS if name != "zero-shot"]


def test_metrics_of_other_classes_are_computed_again(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """A metrics.json that lacks a class is not that of the run."""
    workspace = extracted()
    command = compared(workspace, "devise,apn", "--seeds", "0", "--json")
    assert run_command(command) == 0
    first = json.loads(capsys.readouterr().out)
    path = workspace.report_folder(next(iter(first["methods"]["apn"]["runs"]))) / "metrics.json"
    document = read_json(path)
    assert isinstance(document, dict)
    document["recall_per_class"].popitem()
    write_json(path, {name: value for name, value in document.items() if name != "checksum"})
    assert run_command(command) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_splits_without_test_videos_are_refused_before_training(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """There would be nothing to show."""
    workspace = extracted()
    keys = [video.key for video in load_dataset(workspace.dataset_folder).videos]
    (workspace.dataset_folder / "splits.yaml").write_text("train: [" + ", ".join(keys) + "]\n")
    assert run_command(compared(workspace, "devise", "--seeds", "0")) == 1
    assert "the splits contain no test videos: there is nothing to evaluate on" in capsys.readouterr().err
    assert not list(workspace.root.glob("models/*"))
