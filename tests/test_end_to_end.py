"""All stages through the command line on some sample clips: JSON documents, second runs and predictions."""

import contextlib
import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import pytest

from cli.main import run_command

SAMPLES = Path(__file__).resolve().parent.parent / "sample_videos"
AVZSL = Path(sys.executable).parent / "avzsl"
CLASSES = (
    "red_ball_bouncing",
    "green_square_bouncing",
    "blue_ball_blinking",
    "yellow_heart_sliding",
    "purple_star_shaking",
)
FAST = ("--weights", "untrained", "--width", "2")
SMALL = (
    *("--set", "daan.hidden_width=32", "--set", "daan.output_width=16", "--set", "daan.heads=2"),
    *("--set", "training.epochs=2", "--set", "training.steps_per_epoch=2", "--set", "training.batch_pairs=8"),
)


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        """Standard output, parsed as one JSON document."""
        parsed: dict[str, object] = json.loads(self.out)
        return parsed


def avzsl(folder: Path, *arguments: str) -> Outcome:
    """Run the command in a folder as a user would, but in this process, so that torch is imported only once."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(list(arguments))
    return Outcome(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips of five classes, a silent clip and a broken one, after extract and train."""
    folder = tmp_path_factory.mktemp("home")
    for name in CLASSES:
        (folder / "videos" / name).mkdir(parents=True)
        for clip in ("000.mp4", "001.mp4"):
            shutil.copy(SAMPLES / name / clip, folder / "videos" / name / clip)
    silent = next(SAMPLES.glob("*/*no_sound*.mp4"))
    broken = next(SAMPLES.glob("*/*broken*.mp4"))
    shutil.copy(silent, folder / "videos" / CLASSES[0] / "silent.mp4")
    shutil.copy(broken, folder / "videos" / CLASSES[1] / "broken.mp4")
    extracted = avzsl(folder, "extract", "videos", *FAST, "--json")
    assert extracted.code == 1, extracted.err  # one video is broken
    (folder / "extract.json").write_text(extracted.out)
    trained = avzsl(folder, "train", *SMALL, "--json")
    assert trained.code == 0, trained.err
    (folder / "train.json").write_text(trained.out)
    return folder


def test_extract_counts_every_video_and_names_the_broken_one(home: Path) -> None:
    """The JSON document of an extraction counts the videos, and failures.csv lists the same failure."""
    document = json.loads((home / "extract.json").read_text())

    assert {key: document[key] for key in ("videos", "extracted", "reused", "failed")} == {
        "videos": 12,
        "extracted": 11,
        "reused": 0,
        "failed": 1,
    }
    assert [failure["video"] for failure in document["failures"]] == ["green_square_bouncing/broken.mp4"]
    with (home / document["features"]).with_name("failures.csv").open(newline="") as file:
        assert [row["video"] for row in csv.DictReader(file)] == ["green_square_bouncing/broken.mp4"]


def test_features_are_readable_with_h5py_alone(home: Path) -> None:
    """The index gives the rows of each video and marks the silent clip; attributes describe the extractor."""
    document = json.loads((home / "extract.json").read_text())

    with h5py.File(home / document["features"]) as file:
        index = file["index"][:]
        assert file["visual"].shape == file["audio"].shape == (index["seconds"].sum(), 16)
        silent = index[index["video"] == b"red_ball_bouncing/silent.mp4"][0]
        assert not silent["has_audio"]
        assert not file["audio"][silent["offset"] : silent["offset"] + silent["seconds"]].any()
        assert file.attrs["weights"] == "untrained"
        assert file.attrs["width"] == 2


def test_a_second_extraction_has_nothing_to_do(home: Path) -> None:
    """All videos are reused; a known failure still gives exit code 1, unless failures are allowed."""
    again = avzsl(home, "extract", "videos", *FAST, "--json")
    allowed = avzsl(home, "extract", "videos", *FAST, "--allow-failures")

    assert again.code == 1
    assert {key: again.document[key] for key in ("extracted", "reused", "failed")} == {
        "extracted": 0,
        "reused": 11,
        "failed": 1,
    }
    assert allowed.code == 0
    assert "Nothing to do" in allowed.out


def test_extraction_without_options_uses_the_recorded_extractor_and_source(home: Path) -> None:
    """The workspace records both, so `avzsl extract` without options has nothing to do."""
    again = avzsl(home, "extract", "--json")

    assert {key: again.document[key] for key in ("videos", "extracted", "reused")} == {
        "videos": 12,
        "extracted": 0,
        "reused": 11,
    }
    assert json.loads((home / "extract.json").read_text())["features"] == again.document["features"]


def test_a_second_training_has_nothing_to_do(home: Path) -> None:
    """With the same settings, the finished model is found."""
    again = avzsl(home, "train", *SMALL)

    assert again.code == 0
    assert "Nothing to do: trained already" in again.out


def test_evaluate_prints_percent_for_all_three_scores(home: Path) -> None:
    """The JSON document of evaluate contains S, U, HM and ZSL of each score."""
    evaluated = avzsl(home, "evaluate", "--json")

    assert evaluated.code == 0, evaluated.err
    metrics = {
        "audio",
        "visual",
        "sum",
        "scores",
        "classes",
        "intervals",
    }  # too few validation videos for the published grids
    assert set(evaluated.document) == metrics | {"calibrated", "expected_calibration_error"}
    assert evaluated.document["calibrated"] is False
    for name in ("audio", "visual", "sum"):
        scores = evaluated.document[name]
        assert isinstance(scores, dict)
        assert set(scores) == {"S", "U", "HM", "ZSL", "beta"}
        assert all(0 <= scores[key] <= 100 for key in ("U", "ZSL"))
        assert all(scores[key] is None or 0 <= scores[key] <= 100 for key in ("S", "HM"))


def test_evaluation_on_validation_does_not_change_the_test_report(home: Path) -> None:
    """The metrics go into a separate folder, with a warning that the model was trained on these videos."""
    avzsl(home, "evaluate")
    (report,) = (home / "avzsl-workspace" / "reports").glob("*/metrics.json")
    before = report.read_bytes()

    evaluated = avzsl(home, "evaluate", "--on", "validation")

    assert evaluated.code == 0, evaluated.err
    assert "the final model was trained on the validation videos" in evaluated.err
    assert report.read_bytes() == before
    assert (report.parent / "validation" / "metrics.json").exists()


def test_every_output_says_that_the_weights_are_untrained(home: Path) -> None:
    """A newcomer must not mistake random features for those of SeLaVi."""
    evaluated = avzsl(home, "evaluate", "--json")
    predicted = avzsl(home, "predict", "videos/red_ball_bouncing/000.mp4", "--json")
    (report,) = (home / "avzsl-workspace" / "reports").glob("*/metrics.json")

    assert "untrained" in evaluated.err
    assert "untrained" in predicted.err
    assert json.loads(report.read_text())["extractor"]["weights"] == "untrained"


def test_status_shows_every_stage_done(home: Path) -> None:
    """After evaluation, every stage is done."""
    avzsl(home, "evaluate")

    status = avzsl(home, "status", "--json")

    stages = status.document["stages"]
    assert isinstance(stages, list)
    found = {entry["stage"]: entry["state"] for entry in stages}
    assert found == {**dict.fromkeys(("dataset", "features", "model", "evaluation"), "done"), "report": "missing"}


def test_prediction_accepts_class_names_without_training_videos(home: Path) -> None:
    """The probabilities of the given names add up to one and are in descending order."""
    predicted = avzsl(
        home, "predict", "videos/red_ball_bouncing/000.mp4", "--classes", "dog barking, Red Ball, ocean_waves", "--json"
    )

    assert predicted.code == 0, predicted.err
    (prediction,) = predicted.document["predictions"]  # type: ignore[misc]  # JSON
    assert {entry["class"] for entry in prediction["classes"]} == {"dog barking", "Red Ball", "ocean_waves"}
    probabilities = [entry["probability"] for entry in prediction["classes"]]
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities == sorted(probabilities, reverse=True)
    assert prediction["has_audio"]
    assert prediction["has_visual"]
    assert prediction["seconds"] >= 3


@pytest.mark.parametrize("arguments", [(), ("--classes",)])
def test_prediction_without_names_uses_all_classes_of_the_model(home: Path, arguments: tuple[str, ...]) -> None:
    """This holds without --classes and for --classes without a value."""
    predicted = avzsl(home, "predict", "videos/red_ball_bouncing/silent.mp4", "--json", *arguments)

    assert predicted.code == 0, predicted.err
    (prediction,) = predicted.document["predictions"]  # type: ignore[misc]  # JSON
    assert {entry["class"] for entry in prediction["classes"]} == set(CLASSES)
    assert not prediction["has_audio"]


def test_prediction_needs_only_the_model_folder(home: Path, tmp_path: Path) -> None:
    """A copied model folder predicts without its workspace."""
    model = json.loads((home / "train.json").read_text())["model"]
    shutil.copytree(home / model, tmp_path / "model")
    shutil.copy(SAMPLES / CLASSES[0] / "000.mp4", tmp_path / "clip.mp4")
    (tmp_path / "names.txt").write_text("dog barking\n# a comment\n\nred ball bouncing\n")

    predicted = avzsl(
        tmp_path, "predict", "clip.mp4", "--model", "model", "--classes", "names.txt", "--top-k", "1", "--json"
    )

    assert predicted.code == 0, predicted.err
    (prediction,) = predicted.document["predictions"]  # type: ignore[misc]  # JSON
    assert len(prediction["classes"]) == 1
    assert not (tmp_path / "avzsl-workspace").exists()


def test_prediction_of_a_folder_names_a_broken_clip_and_shows_the_others(home: Path) -> None:
    """A broken clip gives exit code 1 and a line with its path."""
    predicted = avzsl(home, "predict", "videos/green_square_bouncing", "--json")

    assert predicted.code == 1
    videos = [prediction["video"] for prediction in predicted.document["predictions"]]  # type: ignore[attr-defined]  # JSON
    assert videos == ["videos/green_square_bouncing/000.mp4", "videos/green_square_bouncing/001.mp4"]
    assert "videos/green_square_bouncing/broken.mp4: " in predicted.err


def test_only_new_and_changed_videos_are_extracted(home: Path, tmp_path: Path) -> None:
    """A file with a new time stamp but the same content is not decoded again."""
    shutil.copytree(home / "avzsl-workspace", tmp_path / "avzsl-workspace")
    shutil.copytree(home / "videos", tmp_path / "videos")
    (tmp_path / "videos" / CLASSES[1] / "broken.mp4").unlink()
    shutil.copy(SAMPLES / CLASSES[2] / "002.mp4", tmp_path / "videos" / CLASSES[2] / "001.mp4")
    shutil.copy(SAMPLES / CLASSES[3] / "002.mp4", tmp_path / "videos" / CLASSES[3] / "002.mp4")
    (tmp_path / "videos" / CLASSES[0] / "000.mp4").touch()

    extracted = avzsl(tmp_path, "extract", "videos", *FAST, "--json")

    assert extracted.code == 0, extracted.err
    assert {key: extracted.document[key] for key in ("videos", "extracted", "reused", "failed")} == {
        "videos": 12,
        "extracted": 2,
        "reused": 10,
        "failed": 0,
    }


def test_run_chains_all_stages(home: Path, tmp_path: Path) -> None:
    """`avzsl run` on a manifest of some clips gives an evaluation, although one video is broken."""
    rows = [f"{home}/videos/{name}/{clip},{name}" for name in CLASSES[:4] for clip in ("000.mp4", "001.mp4")]
    rows.append(f"{home}/videos/{CLASSES[1]}/broken.mp4,{CLASSES[1]}")
    (tmp_path / "manifest.csv").write_text("\n".join(["path,class", *rows]) + "\n")

    chained = avzsl(
        tmp_path, "run", "manifest.csv", *FAST, *SMALL, "--unseen", "yellow heart sliding", "--json", "--allow-failures"
    )

    assert chained.code == 0, chained.err
    assert chained.document["classes"] == {"seen": 3, "unseen": 1}


def test_the_installed_command_writes_only_the_document_to_standard_output(home: Path) -> None:
    """In a separate process with the logs of all libraries, the output is one JSON document without a traceback."""
    command = [AVZSL, "predict", "videos/red_ball_bouncing/000.mp4", "--classes", "a ball, a dog", "--json"]

    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["predictions"]) == 1
    assert "Traceback" not in done.stderr
