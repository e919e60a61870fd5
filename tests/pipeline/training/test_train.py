"""pipeline/training/train.py: splits, both training stages, starting over, and settings that are refused."""

import csv
import dataclasses
import json
from collections.abc import Callable, Sequence

import pytest
import safetensors.torch
import torch

from daan.config import DaanConfig
from daan.network import Daan
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.settings.training import HoldOutSettings, TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.checkpoint import load_checkpoint
from pipeline.training.records import EpochRecord
from pipeline.training.train import TrainingReport, train
from pipeline.training.trained_model import load_model

SETTINGS = Settings(
    daan=DaanConfig(hidden_width=32, output_width=16, heads=2, encoder_dropout=0.3),
    training=TrainingSettings(epochs=6, batch_pairs=16, steps_per_epoch=4),
)
CPU = torch.device("cpu")


class StoppedError(Exception):
    """Raised by a test to stop a training between two epochs."""


class RecordingReporter(SilentReporter):
    """Records the lines that it receives."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Record the line."""
        self.lines.append(line)


def run(
    workspace: Workspace,
    settings: Settings = SETTINGS,
    *,
    stop_after: int | None = None,
    unseen: Sequence[str] = (),
    **options: object,
) -> TrainingReport:
    """Train; raise StoppedError after `stop_after` epochs, counted over both stages."""
    done = 0
    settings = dataclasses.replace(settings, holdout=HoldOutSettings(unseen=tuple(unseen)))

    def on_epoch(_stage: str, _record: EpochRecord, _seconds: float) -> None:
        nonlocal done
        done += 1
        if done == stop_after:
            raise StoppedError

    reporter = options.pop("reporter", None) or SilentReporter()
    return train(workspace, settings, device=CPU, reporter=reporter, on_epoch=on_epoch, **options)  # type: ignore[arg-type]


def weights(report: TrainingReport) -> dict[str, torch.Tensor]:
    """Load the final model's tensors."""
    return safetensors.torch.load_file(report.folder / "model.safetensors")


def test_training_makes_a_model_that_lists_its_classes(extracted: Callable[..., Workspace]) -> None:
    """model.json lists every class and whether it was trained on, in agreement with the report."""
    report = run(extracted(classes=8))

    description = json.loads((report.folder / "model.json").read_text())
    assert {entry["name"] for entry in description["classes"] if entry["seen"]} == set(report.seen)
    assert len(report.seen) == 6
    assert len(report.unseen) == 2
    assert not set(report.seen) & set(report.unseen)
    assert 1 <= report.best_epoch <= 6


def test_training_again_does_nothing(extracted: Callable[..., Workspace]) -> None:
    """With the same inputs and settings the finished model is left as it is."""
    workspace = extracted()
    first = run(workspace)
    stamp = (first.folder / "model.safetensors").stat().st_mtime_ns

    again = run(workspace)

    assert again.did_nothing
    assert again.folder == first.folder
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == stamp


def test_other_settings_make_another_run_and_keep_the_first(extracted: Callable[..., Workspace]) -> None:
    """A run with another seed is saved in another folder."""
    workspace = extracted()
    first = run(workspace)
    other = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, seed=1))

    second = run(workspace, other)

    assert second.folder != first.folder
    assert (first.folder / "model.json").exists()


def test_no_resume_starts_over_and_keeps_the_unfinished_run(extracted: Callable[..., Workspace]) -> None:
    """The unfinished run is moved to another folder, not deleted."""
    workspace = extracted()
    with pytest.raises(StoppedError):
        run(workspace, stop_after=2)

    report = run(workspace, resume=False)

    others = [folder for folder in report.folder.parent.iterdir() if folder != report.folder]
    assert len(others) == 1
    assert (others[0] / "stage1" / "checkpoint.pt").exists()


def test_without_splits_random_classes_are_held_out_and_named(extracted: Callable[..., Workspace]) -> None:
    """The message names the unseen classes, the seed, and the option to choose them."""
    reporter = RecordingReporter()

    report = run(extracted(), reporter=reporter)

    line = next(line for line in reporter.lines if "unseen" in line)
    assert "held out at random, seed 0; --unseen names others" in line
    assert all(name in line for name in report.unseen)


def test_unseen_classes_can_be_chosen_by_name_or_phrase(extracted: Callable[..., Workspace]) -> None:
    """Both `red_dog` and `Green Car` are accepted."""
    report = run(extracted(classes=8), unseen=["red_dog", "Green Car"])

    assert set(report.unseen) == {"red_dog", "green_car"}


def test_an_unknown_unseen_class_is_refused_with_the_nearest_name(extracted: Callable[..., Workspace]) -> None:
    """The message suggests the class that was probably meant."""
    with pytest.raises(UsageError, match=r"'red_dgo', which is not a class of the dataset. Did you mean red_dog\?"):
        run(extracted(), unseen=["red_dgo"])


@pytest.mark.parametrize(("classes", "unseen"), [(2, []), (3, ["red_ball", "red_dog"])])
def test_fewer_than_two_seen_classes_are_refused(
    extracted: Callable[..., Workspace], classes: int, unseen: list[str]
) -> None:
    """A pair needs videos of two classes."""
    with pytest.raises(UsageError, match="at least 2 seen classes"):
        run(extracted(classes=classes), unseen=unseen)


def test_three_classes_of_one_video_each_are_enough_to_train(extracted: Callable[..., Workspace]) -> None:
    """This is the smallest dataset. Without validation the last epoch counts as the best."""
    report = run(extracted(classes=3, videos=1))

    assert report.best_epoch == 6
    assert report.validation == {}


def test_silent_videos_are_trained_on(extracted: Callable[..., Workspace]) -> None:
    """A video without sound is trained on by its picture, and every weight stays finite."""
    report = run(extracted(silent=("red_ball/0.mp4", "red_dog/1.mp4")))

    assert all(torch.isfinite(value).all() for value in weights(report).values())


def test_the_splits_of_the_dataset_are_used(extracted: Callable[..., Workspace]) -> None:
    """splits.yaml in the dataset's folder determines which classes are unseen."""
    workspace = extracted(classes=4, videos=3)
    splits = {
        "train": ["red_ball/0.mp4", "red_ball/1.mp4", "red_dog/0.mp4", "red_dog/1.mp4"],
        "val_seen": ["red_ball/2.mp4"],
        "val_unseen": ["red_drum/0.mp4", "red_drum/1.mp4"],
        "test_seen": ["red_dog/2.mp4"],
        "test_unseen": ["red_car/0.mp4", "red_car/1.mp4", "red_car/2.mp4"],
    }
    (workspace.dataset_folder / "splits.yaml").write_text(json.dumps(splits))

    report = run(workspace)

    assert set(report.seen) == {"red_ball", "red_dog", "red_drum"}
    assert report.unseen == ("red_car",)


def test_training_learns_to_recognise_seen_classes(extracted: Callable[..., Workspace]) -> None:
    """On simple features, S of validation is above 60 %."""
    settings = dataclasses.replace(SETTINGS, training=TrainingSettings(epochs=10, batch_pairs=32, steps_per_epoch=20))

    report = run(extracted(classes=16, videos=6), settings)

    assert report.validation["S"] > 60


def test_few_validation_videos_do_not_choose_the_epoch(extracted: Callable[..., Workspace]) -> None:
    """The choice would be chance, so all epochs are trained and the learning rate does not change."""
    report = run(extracted(classes=5, videos=2))

    rows = list(csv.DictReader((report.folder / "stage1" / "history.csv").open(newline="")))
    assert (report.best_epoch, report.epoch_chosen, report.validation) == (6, False, {})
    assert {row["learning_rate"] for row in rows} == {"0.001"}


def test_enough_validation_videos_choose_the_epoch_of_the_best_harmonic_mean(
    extracted: Callable[..., Workspace],
) -> None:
    """The best epoch has the highest HM in history.csv."""
    training = dataclasses.replace(SETTINGS.training, least_validation_videos=5)
    report = run(extracted(classes=8, videos=8), dataclasses.replace(SETTINGS, training=training))

    rows = list(csv.DictReader((report.folder / "stage1" / "history.csv").open(newline="")))
    best = max(float(row["HM"]) for row in rows)
    assert float(rows[report.best_epoch - 1]["HM"]) == best
    assert report.epoch_chosen


def test_a_long_epoch_is_validated_several_times(extracted: Callable[..., Workspace]) -> None:
    """Each validation has a row and can be the best; stage 2 repeats the periods that led to it."""
    training = dataclasses.replace(
        SETTINGS.training,
        epochs=4,
        steps_per_epoch=5,
        validations_per_epoch=2,
        patience_steps=1,
        least_validation_videos=5,
        least_learning_rate=0.0,
    )
    report = run(extracted(classes=8, videos=8), dataclasses.replace(SETTINGS, training=training))

    first, second = (
        list(csv.DictReader((report.folder / stage / "history.csv").open(newline=""))) for stage in ("stage1", "stage2")
    )
    assert [row["epoch"] for row in first] == ["0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4"]
    best = max(range(8), key=lambda index: (*(float(first[index][name]) for name in ("HM", "ZSL", "S")), index))
    assert report.best_epoch == float(first[best]["epoch"])
    path = [first[best]]
    while path[-1]["from_epoch"] != "0":
        path.append(next(row for row in first if row["epoch"] == path[-1]["from_epoch"]))
    assert [row["learning_rate"] for row in second] == [row["learning_rate"] for row in reversed(path)]
    assert [row["epoch"] for row in second] == [row["epoch"] for row in first[: len(path)]]
    assert len({row["learning_rate"] for row in first}) > 1  # patience counts steps, not epochs


def test_training_returns_to_its_best_weights_when_the_learning_rate_falls(extracted: Callable[..., Workspace]) -> None:
    """Steps so small that they change nothing then leave the best weights; other weights stay where they are."""
    training = dataclasses.replace(
        SETTINGS.training,
        epochs=8,
        steps_per_epoch=3,
        patience_steps=9,
        least_validation_videos=5,
        learning_rate_factor=1e-9,
        least_learning_rate=0.0,
        weight_decay=0.0,
    )
    report = run(extracted(classes=8, videos=8), dataclasses.replace(SETTINGS, training=training))

    rows = list(csv.DictReader((report.folder / "stage1" / "history.csv").open(newline="")))
    saved = load_checkpoint(report.folder / "stage1" / "checkpoint.pt")
    returned = [index for index, row in enumerate(rows) if float(row["from_epoch"]) < index]
    assert len(returned) == 1
    first = returned[0]
    assert int(rows[first]["from_epoch"]) == report.best_epoch == first - 3  # three epochs without a better HM
    assert [float(row["learning_rate"]) for row in rows] == [SETTINGS.training.learning_rate] * first + [
        pytest.approx(SETTINGS.training.learning_rate * 1e-9)
    ] * (8 - first)
    names = [name for name, _ in load_model(report.folder, CPU).network.named_parameters()]
    for name in names:
        torch.testing.assert_close(saved["network"][name], saved["best_weights"][name], rtol=0, atol=1e-6)


def test_stage_1_ends_when_the_learning_rate_has_fallen_below_the_least_one(
    extracted: Callable[..., Workspace],
) -> None:
    """All epochs have at least that rate, although epochs are left; the command says why it ended."""
    training = dataclasses.replace(
        SETTINGS.training, epochs=60, steps_per_epoch=1, patience_steps=3, least_validation_videos=5
    )
    reporter, workspace = RecordingReporter(), extracted(classes=8, videos=8)
    report = run(workspace, dataclasses.replace(SETTINGS, training=training), reporter=reporter)

    rates = [
        float(row["learning_rate"])
        for row in csv.DictReader((report.folder / "stage1" / "history.csv").open(newline=""))
    ]
    assert len(rates) < 60
    assert [pytest.approx(rate) for rate in sorted(set(rates))] == [1e-5, 1e-4, 1e-3]
    assert (
        f"stage 1 ends after epoch {len(rates)}: the learning rate has fallen below "
        "training.least_learning_rate (1e-05)" in reporter.lines
    )


def test_a_stage_that_begins_below_the_least_learning_rate_is_trained(extracted: Callable[..., Workspace]) -> None:
    """The least rate ends a training whose rate has fallen, not one whose user wants a low rate."""
    training = dataclasses.replace(SETTINGS.training, learning_rate=1e-6, epochs=2)
    report = run(extracted(classes=8, videos=8), dataclasses.replace(SETTINGS, training=training))

    assert len(list(csv.DictReader((report.folder / "stage1" / "history.csv").open(newline="")))) == 2


def test_sgd_follows_its_update_rule(extracted: Callable[..., Workspace]) -> None:
    """Without momentum, a step is proportional to the learning rate; a step of Adam would depend on the sign only."""
    daan = dataclasses.replace(SETTINGS.daan, encoder_dropout=0.0, csgm="off")
    workspace, changes = extracted(classes=8, videos=8), []
    for rate in (1e-3, 2e-3):
        training = TrainingSettings(
            epochs=1, batch_pairs=8, steps_per_epoch=1, optimizer="sgd", momentum=0.0, learning_rate=rate, seed=3
        )
        report = run(workspace, Settings(daan=daan, training=training))
        checkpoint = load_checkpoint(report.folder / "stage1" / "checkpoint.pt")
        config = load_model(report.folder, CPU).network.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            start = Daan(config).state_dict()
        name = "audio_projection.0.weight"
        changes.append(checkpoint["network"][name] - start[name])

    assert changes[0].abs().max() > 0
    torch.testing.assert_close(changes[1], 2 * changes[0], rtol=1e-2, atol=1e-7)


def test_sgd_has_the_momentum_of_the_settings(extracted: Callable[..., Workspace]) -> None:
    """The second step adds the momentum times the first: m_2 = 0.9 g_1 + g_2, and the weights lose the rate times m."""
    daan = dataclasses.replace(SETTINGS.daan, encoder_dropout=0.0, csgm="off")
    workspace, name, changes = extracted(classes=8, videos=8), "audio_projection.0.weight", []
    for steps, momentum in ((1, 0.9), (2, 0.9), (2, 0.0)):
        training = TrainingSettings(
            epochs=1,
            batch_pairs=8,
            steps_per_epoch=steps,
            optimizer="sgd",
            momentum=momentum,
            learning_rate=1e-4,
            seed=3,
        )
        report = run(workspace, Settings(daan=daan, training=training))
        config = load_model(report.folder, CPU).network.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            start = Daan(config).state_dict()
        changes.append(load_checkpoint(report.folder / "stage1" / "checkpoint.pt")["network"][name] - start[name])

    first, with_momentum, without = changes
    torch.testing.assert_close(with_momentum - without, 0.9 * first, rtol=2e-2, atol=2e-7)


def test_a_training_that_diverges_is_refused_and_saves_no_model(extracted: Callable[..., Workspace]) -> None:
    """The message names the epoch. This holds without validation too."""
    workspace = extracted(classes=3, videos=1)
    diverging = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, learning_rate=1e30))

    with pytest.raises(PipelineError, match=r"training diverged in epoch \d of stage 1: the loss is not finite"):
        run(workspace, diverging)

    assert not list(workspace.root.glob("models/*/model.json"))
