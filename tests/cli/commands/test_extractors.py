"""The whole path with small random models in the published layouts: extract, train, evaluate, predict; its errors."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from cli.main import run_command
from extractors.registry import EXTRACTORS
from pipeline.base.workspace import Workspace
from pipeline.extraction.side_by_side import features_here

SAMPLES = Path(__file__).parents[3] / "sample_videos"
CLASSES = ("red_ball_bouncing", "blue_heart_spinning", "green_ball_shaking", "purple_star_shaking")
CLIP = SAMPLES / "red_ball_bouncing" / "000.mp4"
SHORT = ("--set", "training.epochs=1", "--set", "training.steps_per_epoch=2")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of five clips."""
    folder = tmp_path_factory.mktemp("data") / "videos"
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(5):
            (folder / name / f"{number}.mp4").symlink_to(SAMPLES / name / f"{number:03}.mp4")
    return folder


@pytest.fixture(scope="module")
def models(clip_clap_models: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP and a CLAP model."""
    return clip_clap_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def both(videos: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with features of selavi and then of clip-clap."""
    workspace = tmp_path_factory.mktemp("both") / "workspace"
    assert avzsl("extract", videos, "--weights", "untrained", "--width", "1", workspace=workspace) == 0
    options = ("--extractor", "clip-clap", "--weights", models)
    assert avzsl("extract", videos, *options, workspace=workspace) == 0
    return workspace


@pytest.fixture
def workspace(both: Path, tmp_path: Path) -> Path:
    """A copy of that workspace."""
    return shutil.copytree(both, tmp_path / "workspace")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, in which the command runs."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    assert not list(folder.iterdir())  # a prediction leaves nothing behind


def avzsl(*arguments: object, workspace: Path | None = None) -> int:
    """Run the command."""
    named = () if workspace is None else ("--workspace", str(workspace))
    return run_command([*map(str, arguments), *named])


def document(capsys: pytest.CaptureFixture[str], *arguments: object, workspace: Path | None = None) -> dict:
    """Run a command with --json and return what it prints."""
    capsys.readouterr()
    assert avzsl(*arguments, "--json", workspace=workspace) == 0, capsys.readouterr().err
    found: dict = json.loads(capsys.readouterr().out)
    return found


def features_of(workspace: Path, extractor: str) -> h5py.File:
    """Open the features of an extractor."""
    return h5py.File(workspace / features_here(Workspace(workspace))[extractor].output)


def test_features_of_two_widths_are_stored(both: Path) -> None:
    """The attributes say what is needed to load the extractor and its text encoder again."""
    with features_of(both, "clip-clap") as file:
        assert (file["visual"].shape[1], file["audio"].shape[1]) == (12, 10)
        assert np.allclose(np.linalg.norm(file["audio"][:], axis=1), 1, atol=1e-5)
        assert file.attrs["paired_text"].startswith("clip-clap:/")
        assert (file.attrs["frames_per_second"], file.attrs["audio_window_seconds"]) == (2, 3.0)
    with features_of(both, "selavi") as file:
        assert file["visual"].shape[1] == file["audio"].shape[1] == 8


@pytest.mark.parametrize("method", ["clipclap", "mft", "daan"])
def test_a_method_trains_on_them_with_their_own_class_texts(
    workspace: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluation and prediction use them too, and new names get vectors in the same spaces."""
    options = ("--method", method, *SHORT, "--set", "training.least_validation_videos=2")
    run = document(capsys, "train", *options, workspace=workspace)["run"]
    description = json.loads((workspace / "models" / run / "model.json").read_text())
    assert description["text_encoder"]["encoder"] == "clip-clap"
    assert description[method]["text_width"] == 22
    assert document(capsys, "evaluate", "--no-figures", workspace=workspace)["classes"]["unseen"] > 0
    found = document(capsys, "predict", CLIP, "--classes", "dog barking, red ball", workspace=workspace)
    assert [entry["class"] for entry in found["predictions"][0]["classes"]]
    assert found["predictions"][0]["none_of_these"] is None


def test_the_distances_of_a_trained_model_are_mixed_with_the_frozen_ones(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weight is chosen on validation videos and kept in the model; features without texts are refused."""
    mixed = ("train", *SHORT, "--set", "training.least_validation_videos=2", "--set", "score.anchor=true")
    assert avzsl(*mixed, workspace=workspace) == 0
    assert "distances of the frozen encoders:" in capsys.readouterr().out
    run = document(capsys, *mixed, workspace=workspace)["run"]
    assert len(list((workspace / "models").iterdir())) == 1  # the second command found the finished run
    description = json.loads((workspace / "models" / run / "model.json").read_text())
    assert description["anchor"]["visual_scale"] > 0
    assert description["training"]["anchor_weight"] >= 0
    alone = document(capsys, *mixed[:-2], workspace=workspace)["run"]
    assert alone != run
    assert document(capsys, "evaluate", "--no-figures", "--run", run, workspace=workspace)["sum"]
    options = ("--model", workspace / "models" / run, "--classes", "dog barking, red ball")
    assert len(document(capsys, "predict", CLIP, *options, workspace=workspace)["predictions"][0]["classes"]) == 2
    assert avzsl(*mixed, "--extractor", "selavi", workspace=workspace) == 2
    assert "score.anchor compares features with class texts of the same encoders" in capsys.readouterr().err


def test_an_evaluation_has_the_row_of_the_frozen_encoders(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It equals the evaluation of the method zero-shot; features without texts have no such row."""
    few = ("--set", "training.least_validation_videos=2")
    assert avzsl("train", *SHORT, *few, workspace=workspace) == 0
    row = document(capsys, "evaluate", "--no-figures", workspace=workspace)["zero_shot"]
    assert avzsl("evaluate", "--no-figures", workspace=workspace) == 0
    assert "zero-shot: the encoders of the features as they are" in " ".join(capsys.readouterr().out.split())
    assert avzsl("train", "--method", "zero-shot", *few, workspace=workspace) == 0
    alone = document(capsys, "evaluate", "--no-figures", workspace=workspace)
    assert "zero_shot" not in alone
    assert row == pytest.approx(alone["probability"])
    assert avzsl("train", *SHORT, *few, "--extractor", "selavi", workspace=workspace) == 0
    assert "zero_shot" not in document(capsys, "evaluate", "--no-figures", workspace=workspace)


def test_a_workspace_says_whose_features_a_command_uses(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that were used last, or those of --extractor, to which later commands then keep."""
    train = ("train", *SHORT, "--set", "training.least_validation_videos=2")
    assert avzsl(*train, workspace=workspace) == 0
    assert "features of clip-clap: CLIP + CLAP" in (said := capsys.readouterr().out)
    assert "also here: selavi" in said
    newest = document(capsys, *train, "--extractor", "selavi", workspace=workspace)["run"]
    model = json.loads((workspace / "models" / newest / "model.json").read_text())
    assert (model["extractor"]["extractor"], model["text_encoder"]["encoder"]) == ("selavi", "minilm")
    assert avzsl("status", workspace=workspace) == 0
    assert "SeLaVi (untrained" in capsys.readouterr().out
    assert avzsl("doctor", workspace=workspace) == 0
    assert "of selavi (in use), clip-clap" in " ".join(capsys.readouterr().out.split())
    assert avzsl("inspect", "--extractor", "clip-clap", workspace=workspace) == 0
    assert "12 + 10 wide" in capsys.readouterr().out


def test_a_model_is_evaluated_on_the_features_that_it_was_trained_on(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are found beside those that were used last; without them, the features of two extractors are not mixed."""
    train = ("train", *SHORT, "--set", "training.least_validation_videos=2")
    run = document(capsys, *train, workspace=workspace)["run"]
    document(capsys, *train, "--extractor", "selavi", workspace=workspace)
    assert avzsl("evaluate", "--no-figures", "--run", run, workspace=workspace) == 0
    assert "the model was trained on features of another extractor than the last" in capsys.readouterr().out
    with features_of(workspace, "clip-clap") as file:
        name = Path(file.filename)
    name.unlink()
    assert avzsl("evaluate", "--no-figures", "--run", run, workspace=workspace) == 1
    error = capsys.readouterr().err
    assert "come from another extractor than the model's" in error
    assert "Traceback" not in error


def test_zero_shot_stands_beside_trained_methods(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the score of the encoders' own probabilities."""
    options = ("--seeds", "0", *SHORT, "--set", "training.least_validation_videos=2")
    found = document(capsys, "compare", "--methods", "zero-shot,clipclap", *options, workspace=workspace)
    assert list(found["methods"]) == ["zero-shot", "clipclap"]
    run = document(capsys, "train", "--method", "zero-shot", workspace=workspace)["run"]
    metrics = document(capsys, "evaluate", "--no-figures", "--run", run, workspace=workspace)
    assert metrics["scores"] == ["probability", "sum", "visual", "audio"]


def test_a_clip_is_recognised_in_an_empty_folder(empty: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line says that nothing is trained and with what; the percentages add up to 100."""
    options = ("--classes", "red ball, dog barking, drum", "--weights", models)
    assert avzsl("predict", CLIP, *options) == 0
    captured = capsys.readouterr()
    assert f"no trained model here: recognising without training, with clip-clap ({models})" in captured.out
    assert "not in training" not in captured.out
    found = document(capsys, "predict", CLIP, *options)
    chances = [entry["probability"] for entry in found["predictions"][0]["classes"]]
    assert sum(chances) == pytest.approx(1, abs=1e-6)
    assert found["predictions"][0]["none_of_these"] in {True, False}
    assert found["calibration"]["derived_from"] == "the scale of the encoders"
    assert not found["warnings"]


def test_zero_shot_can_be_asked_for_where_a_model_is(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The extractor's options are those of the workspace, so the weights need not be named again."""
    train = ("train", *SHORT, "--set", "training.least_validation_videos=2")
    assert avzsl(*train, workspace=workspace) == 0
    options = ("--model", "zero-shot", "--classes", "red ball, drum")
    assert avzsl("predict", CLIP, *options, workspace=workspace) == 0
    said = capsys.readouterr().out
    assert "recognising without training, with clip-clap" in said
    assert "no trained model here" not in said
    named = ("--model", "zero-shot:clip-clap", "--classes", "red ball, drum")
    first, second = (document(capsys, "predict", CLIP, *each, workspace=workspace) for each in (options, named))
    assert first["predictions"] == second["predictions"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "no trained model here, so there are no classes to choose from: name them with --classes"),
        (("--classes", "a, b"), 1, "openai/clip-vit-base-patch32 is not in the cache, and AVZSL_OFFLINE is set: save"),
        (("--classes", "a, b", "--model", "zero-shot:selavi"), 2, "selavi has no text encoder, so it cannot recognise"),
        (("--classes", "a, b", "--model", "zero-shot:clip"), 2, "there is no extractor 'clip'; choose one of: selavi"),
        (("--classes", "a, b", "--text", "minilm"), 2, "without training, class names are compared in the extractor's"),
        (("--classes", "a, b", "--weights", "nowhere"), 2, "weights 'nowhere': nowhere does not exist. Give a folder"),
        (("--classes", "a, b", "--model", "nowhere"), 1, "nowhere does not contain a trained model"),
    ],
)
def test_a_prediction_that_is_not_possible_gives_one_line(
    empty: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, message: str
) -> None:
    """Tests run with AVZSL_OFFLINE."""
    assert avzsl("predict", CLIP, *options) == code
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("avzsl: ")]
    assert len(error) == 1
    assert message in error[0]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--extractor", "clipclap"), 2, "there is no extractor 'clipclap'; choose one of: selavi, clip-clap"),
        (("--extractor", "clip-clap"), 1, "openai/clip-vit-base-patch32 is not in the cache, and AVZSL_OFFLINE is set"),
        (("--extractor", "clip-clap", "--width", "8"), 2, "width is an option of selavi, not of clip-clap"),
        (
            ("--extractor", "clip-clap", "--weights", "x"),
            2,
            "weights 'x': x does not exist. Give a folder that contains",
        ),
        (
            ("--extractor", "pe-av", "--weights", "x"),
            2,
            "weights 'x': x does not exist. Give the folder of a PE-AV model",
        ),
        (("--extractor", "r2plus1d"), 1, "AVZSL_OFFLINE is set. Download it elsewhere and give it with --weights FILE"),
        (("--extractor", "vggish-c3d"), 2, "vggish-c3d needs --weights FOLDER with both files of weights"),
        (
            ("--extractor", "pe-av", "--weights", "no/body"),
            1,
            "no/body is not in the cache, and AVZSL_OFFLINE is set: save its files in a folder and give it",
        ),
    ],
)
def test_an_extraction_that_is_not_possible_gives_one_line(
    videos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    """Unknown names, options of another extractor, and weights that are not here."""
    pytest.importorskip("timm", reason="timm is not installed")
    assert avzsl("extract", videos, *options, workspace=tmp_path / "workspace") == code
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("avzsl: ")]
    assert len(error) == 1
    assert message in error[0]


def test_an_option_of_another_extractor_than_the_workspaces_is_refused(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workspace used clip-clap last, which has no width."""
    assert avzsl("extract", "--width", "2", workspace=workspace) == 2
    assert "width is no option of clip-clap, the extractor of this workspace: leave it out" in capsys.readouterr().err
    assert avzsl("extract", "--extractor", "selavi", workspace=workspace) == 0
    assert "Nothing to do" in capsys.readouterr().out  # with the width of before


def test_a_class_text_that_is_too_long_is_refused(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is cut silently."""
    long = "red ball " * 15
    assert avzsl("predict", CLIP, "--model", "zero-shot", "--classes", f"dog, {long}", workspace=workspace) == 2
    assert "tokens, but a CLIP model takes at most 20: give a shorter phrase" in capsys.readouterr().err


def test_pe_av_is_extracted_and_recognises(
    videos: Path, pe_av_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Windows of four seconds overlap; one space has both widths."""
    folder = pe_av_model(tmp_path / "pe-av")
    workspace = tmp_path / "workspace"
    assert avzsl("extract", videos, "--extractor", "pe-av", "--weights", folder, workspace=workspace) == 0
    assert "PE-AV (pe-av) on cpu (traced)" in capsys.readouterr().out
    with features_of(workspace, "pe-av") as file:
        assert file["visual"].shape[1] == file["audio"].shape[1] == 16
    found = document(capsys, "predict", CLIP, "--classes", "red ball, drum", workspace=workspace)
    assert len(found["predictions"][0]["classes"]) == 2
    run = document(capsys, "train", "--method", "zero-shot", workspace=workspace)["run"]
    assert run.startswith("zero-shot-")


def test_an_extractor_that_hears_nothing_can_be_trained_on(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The audio width is 0 in the file, and no clip counts as silent."""
    import torch  # noqa: PLC0415 - only here
    from torchvision.models.video import r2plus1d_18  # noqa: PLC0415 - takes seconds

    torch.save(r2plus1d_18().state_dict(), tmp_path / "weights.pth")
    few = tmp_path / "few"
    for name in CLASSES[:3]:
        (few / name).mkdir(parents=True)
        for number in range(2):
            (few / name / f"{number}.mp4").symlink_to(SAMPLES / name / f"{number:03}.mp4")
    workspace = tmp_path / "workspace"
    options = ("--extractor", "r2plus1d", "--weights", tmp_path / "weights.pth")
    assert avzsl("extract", few, *options, workspace=workspace) == 0
    shown = capsys.readouterr().out
    assert "512 + 0 wide" in shown
    assert "silent" not in shown
    assert avzsl("train", *SHORT, workspace=workspace) == 0
    assert avzsl("predict", CLIP, workspace=workspace) == 0
    assert "picture only" in capsys.readouterr().out


def test_every_extractor_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """With what it sees and hears, its licence, and whether its weights are here."""
    assert [entry["name"] for entry in document(capsys, "extractors")["extractors"]] == list(EXTRACTORS)
    assert avzsl("extractors") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown for name in EXTRACTORS)
    assert "BSD-3-Clause" in shown
