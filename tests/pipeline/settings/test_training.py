"""pipeline/settings/training.py: the default values of training."""

from dataclasses import asdict

import pytest

from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import load_settings


def test_the_defaults_of_training_are_the_documented_values() -> None:
    """A default that changes by mistake would change every training without a preset."""
    documented = {
        "network": "auto",
        "epochs": 50,
        "batch_pairs": 256,
        "steps_per_epoch": 0,
        "validations_per_epoch": 0,
        "least_validation_videos": 20,
        "learning_rate": 1e-3,
        "weight_decay": 1e-5,
        "optimizer": "adam",
        "patience_steps": 600,
        "learning_rate_factor": 0.1,
        "least_learning_rate": 1e-5,
        "standardise": True,
        "clip_norm": 0.0,
        "precision": "float32",
        "accumulate": 1,
    }

    defaults = asdict(TrainingSettings())

    assert {name: defaults[name] for name in documented} == documented


@pytest.mark.parametrize("text", ['yoga, "red, yellow"', '["yoga", "red, yellow"]', "[yoga, 'red, yellow']"])
def test_a_list_may_have_the_brackets_of_yaml(text: str) -> None:
    """People copy the list from the file of settings."""
    settings = load_settings(assignments=[f"holdout.unseen={text}"])
    assert settings.holdout.unseen == ("yoga", "red, yellow")
