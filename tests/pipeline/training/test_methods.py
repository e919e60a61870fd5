"""pipeline/training/methods.py: every method is trained, saved, loaded and evaluated by the same code."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.main import run_command
from daan.method import Method
from pipeline.base.errors import StorageError, TrainingStoppedError, UsageError
from pipeline.base.files import read_json, write_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import load_dataset
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.run_page import write_report
from pipeline.features.feature_set import load_features
from pipeline.scoring.score_videos import score_videos
from pipeline.settings.tree import Settings, load_settings
from pipeline.training.methods import METHODS, config_class, describe_methods, method_class
from pipeline.training.records import read_history
from pipeline.training.train import TrainingReport, train
from pipeline.training.trained_model import Model, load_model

CPU = torch.device("cpu")
RIVALS = [name for name in METHODS if name != "daan" and method_class(name).needs.training]
SMALL = {
    "tcaf": ["encoder_width=8", "token_width=8", "depth=1", "heads=2", "head_width=4"],
    "mft": ["hidden_width=16", "depth=1", "heads=2", "head_width=4", "feedforward_width=8"],
    "lsc": ["hidden_width=16", "depth=1", "heads=2", "head_width=4", "feedforward_width=8"],
}


def settings_of(method: str, *more: str) -> Settings:
    """Make the settings of a short training."""
    options = [f"{method}.{option}" for option in SMALL.get(method, [])]
    training = ["epochs=2", "steps_per_epoch=3", "batch_pairs=8", "least_validation_videos=2"]
    assignments = [*options, *(f"training.{name}" for name in training), *more]
    return load_settings(assignments=assignments, options={"training.method": method})


def trained(workspace: Workspace, method: str, stop: Callable[[], bool] = lambda: False) -> Model:
    """Train a method for two short epochs, and load the model."""
    report = train(
        workspace, settings_of(method), device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None, stop=stop
    )
    return load_model(report.folder, CPU)


def distances(workspace: Workspace, model: Model, network: Method, *, averaged: bool = False) -> dict[str, np.ndarray]:
    """Compute all distances of all videos, from their seconds or from the means of the seconds."""
    features = load_features(workspace.current_features(), load_dataset(workspace.dataset_folder).classes)
    features = features.averaged() if averaged else features
    count = len(features.keys)
    seen = np.array([entry.seen for entry in model.classes])
    vectors = torch.from_numpy(model.class_vectors)
    scored = score_videos(
        network, features, torch.arange(count), vectors, seen, model.standardiser, CPU, sample=np.arange(count)
    )
    return dict(scored.sample_distances)


@pytest.mark.parametrize("method", RIVALS)
def test_a_rival_is_trained_evaluated_and_reported_like_daan(extracted: Callable[..., Workspace], method: str) -> None:
    """Its terms stand in history.csv, its scores in metrics.json, its name in the page and in the run's name."""
    workspace = extracted(silent=("red_ball/0.mp4",))
    model = trained(workspace, method)
    folder = workspace.current_model()
    assert folder.name.startswith(f"{method}-")
    assert (model.network.about.name, model.score) == (method, method_class(method).scores[0])
    history = read_history(folder / "stage1" / "history.csv")
    terms = list(history[0])[2 : list(history[0]).index("S")]
    assert history[0]["loss"] == pytest.approx(sum(history[0][term] for term in terms), rel=1e-5)
    report = evaluate(workspace, device=CPU, reporter=SilentReporter(), figures=False)
    document = json.loads(report.metrics_file.read_text())
    assert document["scores"] == list(report.metrics) == list(model.network.scores)
    assert write_report(workspace).page.read_text().count(model.network.about.title) >= 1
    if not model.network.needs.seconds:  # it was trained on means, and predicts from seconds
        for score, found in distances(workspace, model, model.network, averaged=True).items():
            np.testing.assert_allclose(found, distances(workspace, model, model.network)[score], rtol=1e-3, atol=1e-4)
    again = load_model(folder, CPU)
    for score, found in distances(workspace, again, again.network).items():
        np.testing.assert_array_equal(found, distances(workspace, model, model.network)[score])


@pytest.mark.parametrize("method", RIVALS)
def test_a_stopped_training_of_a_rival_ends_with_the_same_bits(
    extracted: Callable[..., Workspace], method: str
) -> None:
    """It is stopped after each of its first steps, and goes on."""
    workspace = extracted()
    whole = trained(workspace, method).network.state_dict()
    shutil.rmtree(workspace.current_model())
    for _ in range(4):
        with pytest.raises(TrainingStoppedError):
            trained(workspace, method, stop=lambda: True)
    for name, value in trained(workspace, method).network.state_dict().items():
        assert torch.equal(value, whole[name]), name


def test_a_rival_without_an_encoder_per_modality_is_evaluated_and_reported(
    extracted: Callable[..., Workspace], capsys: pytest.CaptureFixture[str]
) -> None:
    """The option --method chooses it, evaluate shows its one score, and the report has no balance to show."""
    workspace = extracted()
    options = [
        *("--set", "training.epochs=1", "--set", "training.steps_per_epoch=1", "--device", "cpu"),
        *("--workspace", str(workspace.root)),
    ]
    assert run_command(["train", "--method", "DeViSE", *options]) == 0
    assert run_command(["evaluate", "--no-figures", "--workspace", str(workspace.root), "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "fused *" in shown
    assert "audio *" not in shown
    assert run_command(["report", "--workspace", str(workspace.root)]) == 0
    captured = capsys.readouterr()
    assert "This method has no encoder per modality" in captured.out
    assert "before avzsl recorded it" not in captured.err


def test_an_unknown_method_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the names that are possible."""
    assert run_command(["train", "--method", "avca2"]) == 2
    error = capsys.readouterr().err
    assert "training.method = 'avca2'" in error
    assert "'avca'" in error


@pytest.mark.parametrize("method", ["clipclap", "mft"])
def test_texts_of_the_wrong_width_for_one_part_are_refused(extracted: Callable[..., Workspace], method: str) -> None:
    """With a single modality, ClipClap reads the part of the text that belongs to it; MiniLM's has no such parts."""
    more = [f"{method}.modality=audio", *(["mft.tokens=fused"] if method == "mft" else [])]
    with pytest.raises(UsageError, match=rf"{method}\.text_width is 384, must be 512 \+ 1024 \(visual_text_width"):
        train(extracted(), settings_of(method, *more), device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)


def test_a_model_with_options_of_another_method_is_damaged(extracted: Callable[..., Workspace]) -> None:
    """The options are checked before a network is built of them."""
    workspace = extracted()
    trained(workspace, "devise")
    path = workspace.current_model() / "model.json"
    document = read_json(path)
    write_json(path, {**document, "devise": {**document["devise"], "heads": 3}})
    with pytest.raises(StorageError, match=r"damaged .*heads"):
        load_model(path.parent, CPU)


def test_every_method_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    """`avzsl methods` lists them in the order of the setting, DAAN first, with the class of their options."""
    assert [entry.name for entry in describe_methods()] == list(METHODS)
    for name in METHODS:
        assert method_class(name).about.name == name
        assert isinstance(config_class(name)(), config_class(name))
    assert run_command(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["methods"]
    assert [entry["name"] for entry in listed] == list(METHODS)
    assert {"title", "paper", "year", "inputs", "score", "status", "summary"} <= set(listed[0])


def test_only_the_options_of_the_chosen_method_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """So that the file of settings stays short."""
    assert run_command(["train", "--method", "avca", "--show-config"]) == 0
    shown = capsys.readouterr().out
    assert "\navca:" in shown
    assert "\ndaan:" not in shown
    assert "method: avca" in shown


def with_paired_texts(workspace: Workspace) -> Settings:
    """Write class vectors in the features' own space, visual then audio: the means of each class's videos."""
    dataset = load_dataset(workspace.dataset_folder)
    features = load_features(workspace.current_features(), dataset.classes).averaged()
    rows = torch.cat((features.visual, features.audio), dim=1).numpy()
    vectors = {
        phrase: rows[features.labels.numpy() == index].mean(axis=0)
        for index, (phrase,) in enumerate(dataset.phrases.values())
    }
    path = workspace.root / "paired.npy"
    np.save(path, vectors)  # type: ignore[arg-type]  # a dict, as in the benchmark
    return load_settings(
        assignments=["training.least_validation_videos=2"],
        options={"training.method": "zero-shot", "text.encoder": str(path)},
    )


def test_zero_shot_is_calibrated_evaluated_and_reported_without_training(extracted: Callable[..., Workspace]) -> None:
    """With class vectors that are the means of the classes' features, most videos are recognised."""
    workspace = extracted(extractor="joint", videos=8)
    settings = with_paired_texts(workspace)
    reporter = SilentReporter()

    def run(seed: int = 0) -> TrainingReport:
        seeded = replace(settings, training=replace(settings.training, seed=seed, epochs=7))
        return train(workspace, seeded, device=CPU, reporter=reporter, on_epoch=lambda *_: None)

    report = run()
    assert (report.best_epoch, report.did_nothing, run(seed=1).did_nothing) == (0, False, True)
    assert report.run.startswith("zero-shot-")
    assert not (report.folder / "stage1").exists()
    assert list(load_model(report.folder, CPU).network.parameters()) == []
    found = evaluate(workspace, device=CPU, reporter=reporter)
    assert found.metrics["sum"].ZSL > 90
    assert [path.name for path in found.figures] == ["confusion_matrix.png"]
    assert "zero-shot" in write_report(workspace).page.read_text()


@pytest.mark.parametrize(("extractor", "named"), [("selavi", "of SeLaVi"), ("synthetic", "generated")])
def test_zero_shot_is_refused_on_features_without_a_text_encoder(
    extracted: Callable[..., Workspace], extractor: str, named: str
) -> None:
    """Even if the widths fit, distances to the texts of another space mean nothing."""
    workspace = extracted(extractor=extractor)
    settings = with_paired_texts(workspace)
    with pytest.raises(UsageError, match=f"zero-shot compares features .* these features are {named}, without"):
        train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)


def test_zero_shot_is_refused_with_texts_of_another_encoder(extracted: Callable[..., Workspace]) -> None:
    """MiniLM's vectors are 384 wide."""
    settings = load_settings(options={"training.method": "zero-shot"})
    with pytest.raises(UsageError, match=r"zero_shot\.text_width is 384, must be 16 \+ 16"):
        train(extracted(extractor="joint"), settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--preset", "avca-ucf", "--method", "tcaf"],
            "--preset avca-ucf is not for the method tcaf; it has tcaf-a",
        ),
        (["--preset", "sample", "--method", "avca"], "--preset sample is not for the method avca; it has avca-activ"),
        (["--preset", "ucf", "--method", "zero-shot"], "is not for the method zero-shot; it has no preset: leave --pr"),
        (["--preset", "avca-ufc"], "unknown preset 'avca-ufc'. Did you mean avca-ucf?"),
    ],
)
def test_a_preset_of_another_method_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise one method would silently be trained with the settings of another."""
    assert run_command(["train", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("how", ["set", "config"])
def test_a_method_that_is_set_elsewhere_chooses_the_preset_too(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not only --method counts, but also --set and a file of settings."""
    file = tmp_path / "settings.yaml"
    file.write_text("training: {method: avca}\n")
    chosen = ["--set", "training.method=avca"] if how == "set" else ["--config", str(file)]
    assert run_command(["train", "--preset", "ucf", *chosen, "--show-config"]) == 0
    shown = capsys.readouterr().out
    assert run_command(["train", "--preset", "avca-ucf", "--show-config"]) == 0
    assert shown == capsys.readouterr().out
    assert run_command(["train", "--preset", "tcaf-ucf", *chosen]) == 2
    assert "--preset tcaf-ucf is not for the method avca" in capsys.readouterr().err


def test_the_preset_of_a_dataset_means_that_of_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    """`--preset ucf --method avca` reads avca-ucf."""
    shown = []
    for options in (["--preset", "ucf", "--method", "AVCA"], ["--preset", "avca-ucf"]):
        assert run_command(["train", *options, "--show-config"]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "method: avca" in shown[0]


def test_a_method_is_trained_with_the_learning_rate_of_its_authors(capsys: pytest.CaptureFixture[str]) -> None:
    """A rate that the user gives counts more, even if it is the default of other methods."""
    for method, given, rate in (("tcaf", [], "5.0e-05"), ("mft", [], "0.0004"), ("avca", [], "0.001")):
        assert run_command(["train", "--method", method, *given, "--show-config"]) == 0
        assert f"learning_rate: {rate}" in capsys.readouterr().out
    options = ["--set", "training.learning_rate=0.001"]
    assert run_command(["train", "--method", "tcaf", *options, "--show-config"]) == 0
    assert "learning_rate: 0.001" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "splits.yaml"])
def test_a_damaged_run_is_trained_again_and_nothing_is_lost(extracted: Callable[..., Workspace], name: str) -> None:
    """As the message about the damage says. The damaged folder is kept under another name."""
    workspace = extracted()
    whole = trained(workspace, "devise").network.state_dict()
    folder = workspace.current_model()
    (folder / name).write_bytes(b"garbage")
    again = trained(workspace, "devise").network.state_dict()
    assert all(torch.equal(again[key], value) for key, value in whole.items())
    (moved,) = (path for path in folder.parent.iterdir() if path != folder)
    assert (moved / name).read_bytes() == b"garbage"
