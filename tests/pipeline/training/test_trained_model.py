"""pipeline/training/trained_model.py: validation distances are stored with the model and checked on reading."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from daan.config import DaanConfig
from pipeline.base.errors import DamagedFileError, StorageError
from pipeline.base.files import read_json, write_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.scoring.held_out import Calibration
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.run_files import BALANCE, CONFIG, HISTORY, SPLITS, WEIGHTS, checksums_of
from pipeline.training.train import train
from pipeline.training.trained_model import load_model, run_file, save_model

CPU = torch.device("cpu")


def trained(workspace: Workspace, *, least_videos: int = 10) -> tuple[Path, list[str]]:
    """Train shortly; return the run's folder and the notes of the training."""
    notes: list[str] = []

    class Reporter(SilentReporter):
        def warn(self, line: str) -> None:
            notes.append(line)

    settings = Settings(
        daan=DaanConfig(hidden_width=16, output_width=8, heads=2),
        training=TrainingSettings(epochs=1, batch_pairs=8, steps_per_epoch=1, least_validation_videos=least_videos),
    )
    report = train(workspace, settings, device=CPU, reporter=Reporter(), on_epoch=lambda *_: None)
    return report.folder, notes


def test_validation_distances_are_stored_with_the_model(extracted: Callable[..., Workspace]) -> None:
    """A model that is saved and loaded again gives the same calibration."""
    folder, notes = trained(extracted())
    model = load_model(folder, CPU)
    assert model.held_out is not None
    assert len(model.held_out.seen) == sum(entry.seen for entry in model.classes)
    assert not any("validation video" in note for note in notes)

    save_model(folder, model)

    again = load_model(folder, CPU)
    assert again.calibration(2, 2) == model.calibration(2, 2) != Calibration.none()


def test_too_few_validation_videos_calibrate_nothing(extracted: Callable[..., Workspace]) -> None:
    """Training says so, and the model has no beta, no temperature and no distances."""
    folder, notes = trained(extracted(), least_videos=100)
    model = load_model(folder, CPU)
    assert model.held_out is None
    assert model.calibration(3, 3) == Calibration.none()
    assert set(model.betas.values()) == {0.0}
    assert set(model.temperatures.values()) == {1.0}
    assert any("fewer than training.least_validation_videos (100)" in note and "no beta" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("distances", np.zeros((3, 3), np.float32)),
        ("labels", np.full(1000, 99)),
        ("labels", np.zeros(5, np.float32)),
        ("seen", None),
    ],
)
def test_damaged_validation_distances_are_refused(
    extracted: Callable[..., Workspace], name: str, value: np.ndarray | None
) -> None:
    """Their shapes, types and ranges are checked."""
    folder, _ = trained(extracted())
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    if value is None:
        del tensors[f"validation.{name}"]
    else:
        tensors[f"validation.{name}"] = torch.from_numpy(value)
    path.write_bytes(safetensors.torch.save(tensors))
    description = read_json(folder / "model.json")
    write_json(folder / "model.json", description | {"files": checksums_of(folder)})
    with pytest.raises(StorageError, match=r"damaged.*train it again"):
        load_model(folder, CPU)


def test_a_model_of_schema_2_is_refused(extracted: Callable[..., Workspace]) -> None:
    """It has another temporal bypass and no validation distances."""
    folder, _ = trained(extracted())
    description = read_json(folder / "model.json")
    assert description["schema"] == 4
    write_json(folder / "model.json", description | {"schema": 2})
    with pytest.raises(StorageError, match="is a model of schema 2, this version of avzsl reads 4: train it again"):
        load_model(folder, CPU)


@pytest.mark.parametrize("name", [WEIGHTS, SPLITS, CONFIG, HISTORY, BALANCE])
def test_one_changed_bit_of_a_finished_run_is_found(extracted: Callable[..., Workspace], name: str) -> None:
    """The message names the file and says what to do."""
    workspace = extracted()
    folder, _ = trained(workspace)
    assert run_file(folder, name) == folder / name
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DamagedFileError, match=rf"{name} is damaged: it is not what training wrote. Train the model"):
        run_file(folder, name)
    if name == WEIGHTS:
        with pytest.raises(DamagedFileError):
            load_model(folder, CPU)


def test_a_changed_number_in_the_description_is_found(extracted: Callable[..., Workspace]) -> None:
    """Another beta would change predictions without a word."""
    folder, _ = trained(extracted())
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"heads": 2', '"heads": 1'))
    with pytest.raises(StorageError, match=r"model\.json is damaged \(its content is not what was written\): train"):
        load_model(folder, CPU)
