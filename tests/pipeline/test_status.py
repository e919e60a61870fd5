"""pipeline/status.py: the states of stages that `avzsl status` shows."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import torch

from daan.config import DaanConfig
from pipeline.base.errors import StorageError
from pipeline.base.files import write_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.run_page import write_report
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.status import StageStatus, workspace_status
from pipeline.training.train import train

SETTINGS = Settings(
    daan=DaanConfig(hidden_width=16, output_width=8, heads=2),
    training=TrainingSettings(epochs=2, batch_pairs=8, steps_per_epoch=1),
)
CPU = torch.device("cpu")


class StoppedError(Exception):
    """Raised to stop a training."""


def states(workspace: Workspace) -> dict[str, StageStatus]:
    """Return the status of each stage by its name."""
    return {entry.stage: entry for entry in workspace_status(workspace)}


def run_training(workspace: Workspace, *, stop: bool = False) -> None:
    """Train, or stop after the first epoch."""

    def on_epoch(*_: object) -> None:
        if stop:
            raise StoppedError

    train(workspace, SETTINGS, device=CPU, reporter=SilentReporter(), on_epoch=on_epoch)


def test_in_a_new_workspace_the_dataset_is_missing(tmp_path: Path) -> None:
    """The next command is given; asking for the status creates nothing."""
    (entry,) = workspace_status(Workspace(tmp_path / "new"))

    assert (entry.stage, entry.state, entry.next_command) == ("dataset", "missing", "extract --help")
    assert not (tmp_path / "new").exists()


def test_a_damaged_record_of_the_extractor_is_named(extracted: Callable[..., Workspace]) -> None:
    """Without the fingerprint of the extractor the status cannot be told; the message names the file."""
    workspace = extracted(classes=4)
    write_json(workspace.extractor_file, {"decoder": "pyav"})

    with pytest.raises(StorageError, match=r"extractor\.json is damaged \(fingerprint: .*delete it"):
        workspace_status(workspace)


def test_damaged_features_are_said_to_be_damaged(extracted: Callable[..., Workspace]) -> None:
    """After a loss of power, `done` would send people to train on a file that cannot be read."""
    workspace = extracted(classes=4, videos=2)
    zero_head(workspace.current_features())

    entry = states(workspace)["features"]

    assert (entry.state, entry.next_command) == ("damaged", "import --help")  # these features were not extracted
    assert str(workspace.current_features()) in entry.detail


def zero_head(path: Path) -> None:
    """Overwrite a part of the head of an HDF5 file with zeros."""
    content = bytearray(path.read_bytes())
    content[40:200] = bytes(160)
    path.write_bytes(content)


def test_a_stopped_run_is_partial_with_its_number_of_epochs(extracted: Callable[..., Workspace]) -> None:
    """The next command continues the run."""
    workspace = extracted(classes=4)
    with pytest.raises(StoppedError):
        run_training(workspace, stop=True)

    model = states(workspace)["model"]

    assert model.state == "partial"
    assert "stage 1 of 2, epochs done: 1" in model.detail
    assert model.next_command.startswith("train --config ")
    assert model.next_command.endswith("config.yaml")


def test_stages_are_done_after_they_ran(extracted: Callable[..., Workspace]) -> None:
    """Model and report are done; the report's detail gives its metrics."""
    workspace = extracted(classes=4)
    run_training(workspace)
    assert states(workspace)["evaluation"].state == "missing"
    evaluate(workspace, device=CPU, reporter=SilentReporter())

    found = states(workspace)

    assert found["model"].state == found["evaluation"].state == "done"
    assert "ZSL" in found["evaluation"].detail


def test_a_model_of_older_features_and_a_report_of_an_older_model_are_stale(
    extracted: Callable[..., Workspace],
) -> None:
    """New features make the model stale; a new model makes the report stale."""
    workspace = extracted(classes=4)
    run_training(workspace)
    evaluate(workspace, device=CPU, reporter=SilentReporter())
    stages = workspace.stages()
    workspace.record("features", dataclasses.replace(stages["features"], fingerprint="newer"))
    assert states(workspace)["model"].state == "stale"
    workspace.record("model", dataclasses.replace(stages["model"], fingerprint="newer"))

    assert states(workspace)["evaluation"].state == "stale"


def test_the_page_is_a_row_of_its_own(extracted: Callable[..., Workspace]) -> None:
    """It is done after `avzsl report`, and stale when the run is evaluated again; nothing waits for it."""
    workspace = extracted(classes=4)
    run_training(workspace)
    evaluate(workspace, device=CPU, reporter=SilentReporter(), figures=False)
    found = states(workspace)["report"]
    assert (found.state, found.next_command) == ("missing", "")

    page = write_report(workspace).page

    assert states(workspace)["report"].state == "done"
    os.utime(page, (0, 0))
    found = states(workspace)["report"]
    assert (found.state, found.next_command) == ("stale", "")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "splits.yaml", "stage1/history.csv"])
def test_a_model_with_a_damaged_or_missing_file_is_damaged(
    extracted: Callable[..., Workspace], name: str, tmp_path: Path
) -> None:
    """The next command trains it again, because a prediction would refuse the model."""
    workspace = extracted()
    run_training(workspace)
    file = workspace.current_model() / name
    content = file.read_bytes()
    for damage in (content[:50], content[:-20] + b"?" + content[-19:], None):
        file.write_bytes(content)
        assert states(workspace)["model"].state == "done"
        if damage is None:
            file.unlink()
        else:
            file.write_bytes(damage)
        entry = states(workspace)["model"]
        assert (entry.state, entry.next_command) == ("damaged", "train")
        assert name.rpartition("/")[2] in entry.detail


def test_a_number_that_changed_after_the_extraction_is_found(extracted: Callable[..., Workspace]) -> None:
    """Features written after their stage ended are read in full."""
    workspace = extracted()
    features = workspace.current_features()
    with h5py.File(features, "r+") as file:
        file["visual"][0, 0] += 1
    later = features.stat().st_mtime + 5
    os.utime(features, (later, later))
    assert states(workspace)["features"].state == "damaged"
