"""pipeline/prediction/predict.py: order, distances, probabilities and judgements agree, on a real clip."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from extractors.extraction import VideoFeatures
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.phrases import phrases_of_name
from pipeline.prediction.predict import PredictionReport, _decided_by, predict
from pipeline.scoring.held_out import HeldOutDistances
from pipeline.scoring.metrics import probabilities
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.train import train
from pipeline.training.trained_model import load_model, save_model

CPU = torch.device("cpu")
CLIP = Path(__file__).resolve().parents[3] / "sample_videos" / "red_ball_bouncing" / "000.mp4"
SILENT = next(CLIP.parents[1].glob("*/*no_sound*.mp4"))


class Notes(SilentReporter):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, line: str) -> None:
        """Keep a note."""
        self.lines.append(line)


@pytest.fixture
def model(extracted: Callable[..., Workspace]) -> Path:
    """The folder of a model whose features count as imported, so that the clip may be extracted as one likes.

    Validation distances are replaced: seen classes are 5 nearer, and own classes 2.
    """
    workspace = extracted()
    settings = Settings(
        daan=DaanConfig(hidden_width=16, output_width=8, heads=2),
        training=TrainingSettings(epochs=1, batch_pairs=8, steps_per_epoch=1),
    )
    report = train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    trained = load_model(report.folder, CPU)
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 10)
    distances = random.normal(1, 0.1, (60, 6))
    distances[np.arange(60), labels] -= 0.2
    distances[:, :4] -= 0.5
    held_out = HeldOutDistances(distances.astype(np.float32), labels, np.arange(6) < 4)
    extractor = {**trained.extractor, "extractor": "imported", "recipe": "avca"}
    save_model(report.folder, dataclasses.replace(trained, held_out=held_out, extractor=extractor))
    return report.folder


def predicted(
    model: Path, names: Sequence[str] | None, clips: Sequence[Path] = (CLIP,), notes: Notes | None = None
) -> PredictionReport:
    """Predict with untrained weights of width 2."""
    classes = None if names is None else {name: phrases_of_name(name) for name in names}
    return predict(model, clips, classes, device=CPU, reporter=notes or Notes(), weights="untrained")


def test_the_distance_shown_is_the_one_that_ranks(model: Path) -> None:
    """It grows from class to class; probabilities are its softmax; beta is in the distance of seen classes only."""
    report = predicted(model, None)
    (prediction,) = report.predictions
    distances = np.array([one.distance for one in prediction.classes])
    assert (np.diff(distances) >= 0).all()
    assert report.calibration == load_model(model, CPU).calibration(report.favoured_names, report.other_names)
    assert report.calibration.beta > 0
    chances = probabilities(distances[None], report.calibration.temperature)[0]
    np.testing.assert_allclose([one.probability for one in prediction.classes], chances)
    one_kind = predicted(model, [one.name for one in prediction.classes if one.seen])
    assert one_kind.calibration.beta == 0.0
    plain = {one.name: one.distance for one in one_kind.predictions[0].classes}
    for one in prediction.classes:
        if one.seen:
            assert one.distance == pytest.approx(plain[one.name] + report.calibration.beta, abs=1e-5)


def test_a_class_that_only_the_calibration_puts_first_is_said_to_be(model: Path) -> None:
    """Validation videos in which the kind of the nearest class is 1000 nearer give a beta that puts the other first."""
    loaded = load_model(model, CPU)
    assert loaded.held_out is not None
    save_model(model, dataclasses.replace(loaded, held_out=None))
    nearest, *others = predicted(model, None).predictions[0].classes
    other = next(one for one in others if one.seen != nearest.seen)
    nearer = np.where(loaded.held_out.seen == nearest.seen, 1000, 0)
    held_out = dataclasses.replace(loaded.held_out, distances=(loaded.held_out.distances - nearer).astype(np.float32))
    save_model(model, dataclasses.replace(loaded, held_out=held_out))

    (prediction,) = predicted(model, [nearest.name, other.name]).predictions

    assert prediction.classes[0].name == other.name
    assert prediction.decided_by == "calibration"


@pytest.mark.parametrize(("scale", "unsure"), [(1000.0, False), (0.0001, True)])
def test_a_clip_farther_from_all_names_than_validation_clips_is_unsure(model: Path, scale: float, unsure: bool) -> None:
    """With one name, it fits or it does not."""
    loaded = load_model(model, CPU)
    assert loaded.held_out is not None
    scaled = dataclasses.replace(loaded.held_out, distances=loaded.held_out.distances * np.float32(scale))
    save_model(model, dataclasses.replace(loaded, held_out=scaled))
    names = [entry.name for entry in loaded.classes]

    assert predicted(model, names).predictions[0].unsure is unsure
    alone = predicted(model, names[:1]).predictions[0]
    assert alone.fits is not unsure
    assert alone.classes[0].probability is None  # nothing to choose from
    assert predicted(model, names).predictions[0].fits is None


def test_a_model_without_validation_distances_says_that_nothing_is_calibrated(model: Path) -> None:
    """Beta is 0, and nothing is known about unsure clips."""
    save_model(model, dataclasses.replace(load_model(model, CPU), held_out=None))
    notes = Notes()
    report = predicted(model, None, notes=notes)
    document = report.to_json(None)
    assert any("nothing is calibrated" in line for line in notes.lines)
    assert document["calibration"] == {
        "beta": 0.0,
        "temperature": 1.0,
        "farthest": None,
        "derived_from": "nothing",
        "validation_videos": 0,
        "missing": "the model had too few validation videos",
        "favoured_names": 6,
        "other_names": 2,
    }
    assert any("classes in training are favoured, and percentages mean little" in line for line in document["warnings"])
    assert document["predictions"][0]["unsure"] is None


def test_the_document_names_kinds_decisions_warnings_and_failures(model: Path, tmp_path: Path) -> None:
    """Failures stand in the document, in the order of the clips; `--top-k` shortens only the classes."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    report = predicted(model, None, [CLIP, broken, SILENT])
    document = report.to_json(2)
    seen = {entry.name: entry.seen for entry in load_model(model, CPU).classes}
    assert [entry["video"] for entry in document["predictions"]] == [str(CLIP), str(SILENT)]
    for entry in document["predictions"]:
        assert set(entry) == {
            *("video", "classes", "seconds", "has_audio", "has_visual"),
            *("decided_by", "unsure", "none_of_these", "fits", "warnings"),
        }
        assert len(entry["classes"]) == 2
        assert all(one["seen"] == seen[one["class"]] for one in entry["classes"])
        assert entry["decided_by"] in {"sound", "picture", "calibration", None}
    (failure,) = document["failures"]
    assert failure["video"] == str(broken)
    assert failure["reason"]


def test_a_name_that_means_a_trained_class_is_noted_once(model: Path) -> None:
    """The note stands before the predictions; the distance is that of the class."""
    seen = next(entry for entry in load_model(model, CPU).classes if entry.seen)
    notes = Notes()
    report, known = (predicted(model, [name], [CLIP, SILENT], notes) for name in (f"a {seen.phrases[0]}", seen.name))
    assert sum("is taken as" in line for line in notes.lines) == 1
    assert [line for line in report.to_json(None)["warnings"] if "is taken as" in line]
    for prediction, expected in zip(report.predictions, known.predictions, strict=True):
        (found,), (trained,) = prediction.classes, expected.classes
        assert (found.distance, found.seen) == (trained.distance, True)
        assert prediction.fits == expected.fits


def test_beta_is_added_to_a_new_name_near_a_trained_class_too(model: Path) -> None:
    """Otherwise it would beat the trained class by the calibration alone. Two such names need no beta."""
    loaded = load_model(model, CPU)
    other = next(entry for entry in loaded.classes if not entry.seen)
    trained, near = next(  # cosines of 0.91
        (entry, name)
        for entry in loaded.classes
        for name in ("colored red ball", "real green car", "another green car")
        if entry.seen and entry.phrases[0] in name
    )
    notes = Notes()

    both = predicted(model, [trained.name, near], notes=notes)
    report = predicted(model, [near, other.name])

    assert any("it counts as a trained name in the calibration" in line for line in notes.lines)
    assert (both.calibration.beta, both.favoured_names, both.other_names) == (0.0, 2, 0)
    assert any("both are among your names and share the percentages" in line for line in notes.lines)
    assert not any("both are among your names" in line for line in report.warnings)
    assert report.calibration.beta > 0
    plain = next(one for one in both.predictions[0].classes if one.name == near)
    found = next(one for one in report.predictions[0].classes if one.name == near)
    assert (found.seen, found.favoured) == (False, True)
    assert found.distance == pytest.approx(plain.distance + report.calibration.beta, abs=1e-5)


def test_what_is_missing_is_said_as_far_as_it_concerns_the_names(model: Path) -> None:
    """Names of one kind are not favoured, and a single name has no percentage."""
    loaded = load_model(model, CPU)
    save_model(model, dataclasses.replace(loaded, held_out=None))
    unseen = [entry.name for entry in loaded.classes if not entry.seen]
    (several,), (one,) = (
        [line for line in predicted(model, names).warnings if "calibrated" in line] for names in (unseen, unseen[:1])
    )
    assert several.endswith("too few validation videos: percentages mean little")
    assert one.endswith("too few validation videos: it is not known whether a clip fits")


def test_the_notes_about_the_features_are_in_the_document_too(model: Path) -> None:
    """A script sees only the document."""
    warnings = predicted(model, None).to_json(None)["warnings"]
    assert any("untrained" in line for line in warnings)
    assert any("are assumed to come from the untrained weights" in line for line in warnings)


@pytest.mark.parametrize(
    ("score", "audio", "visual", "expected"),
    [
        ("sum", [1.0, 3.0], [2.0, 3.0], "sound"),  # the sound leads by 2, the picture by 1
        ("sum", [2.0, 3.0], [1.0, 3.0], "picture"),
        ("audio", [2.0, 3.0], [1.0, 9.0], "sound"),  # no picture takes part
        ("visual", [1.0, 9.0], [2.0, 3.0], "picture"),
        ("audio", [3.0, 2.0], [1.0, 9.0], "calibration"),  # another class is nearer without it
    ],
)
def test_what_decided_is_the_modality_that_is_further_ahead_or_the_score_s_own(
    score: str, audio: list[float], visual: list[float], expected: str
) -> None:
    """The first class is class 0; the distances are without beta."""
    distances = {"audio": np.float32(audio), "visual": np.float32(visual)}
    distances["sum"] = distances["audio"] + distances["visual"]
    rows = np.zeros((1, 2), np.float32)
    both = VideoFeatures("clip", rows, rows, 1, 1.0, ())
    assert _decided_by(both, distances, score, np.array([0, 1])) == expected
    if expected != "calibration":
        alone = dataclasses.replace(both, audio=None)
        assert _decided_by(alone, distances, score, np.array([0, 1])) == ""
        assert _decided_by(both, distances, score, np.array([0])) == ""


@pytest.mark.parametrize(("layout", "windows"), [("avca", 3), ("tcaf", 4), (None, 4)])
def test_a_clip_is_cut_as_the_imported_features_were(
    model: Path, tmp_path: Path, layout: str | None, windows: int
) -> None:
    """A clip of four seconds has 3 of AVCA's windows and 4 of TCaF's; a note names the script."""
    loaded = load_model(model, CPU)
    origin = {} if layout is None else {"layout": layout, "averaged": layout == "avca"}
    save_model(model, dataclasses.replace(loaded, extractor={**loaded.extractor, **origin}))
    notes = Notes()
    (prediction,) = predicted(model, None, [four_seconds(tmp_path)], notes).predictions
    assert prediction.seconds == windows
    cut = "whole seconds" if layout is None else f"the windows of the {layout} script"
    assert any(line.endswith(f"and from {cut}") for line in notes.lines)


def four_seconds(folder: Path) -> Path:
    """Write a clip of four seconds of noise."""
    path = folder / "clip.mkv"
    random = np.random.default_rng(0)
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for _ in range(40):
            rgb = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(video.encode(None))
    return path
