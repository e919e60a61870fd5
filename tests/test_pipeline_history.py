"""pipeline/history.py: the table of a stage's epochs."""

import math
from pathlib import Path

import pytest
import torch

from pipeline.base.errors import StorageError
from pipeline.history import EpochRecord, read_history, write_history


def test_a_history_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    """Means over the steps, written so that no digit is lost; NaN where nothing was validated."""
    losses = torch.rand(7, 4)
    records = [
        EpochRecord.of_epoch(epoch, losses * epoch, None, audio_share=0.3, learning_rate=1e-3 / epoch)
        for epoch in (1, 2)
    ]

    write_history(tmp_path / "history.csv", records)

    rows = read_history(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[0]["loss"] == sum(losses[:, 0].double().tolist()) / 7 == records[0].loss
    assert rows[1]["learning_rate"] == 1e-3 / 2
    assert math.isnan(rows[0]["HM"])


def test_a_damaged_history_is_refused(tmp_path: Path) -> None:
    """A text where a number belongs."""
    (tmp_path / "history.csv").write_text("epoch,loss\n1,much\n")

    with pytest.raises(StorageError, match=r"history\.csv is damaged .*: train the run again"):
        read_history(tmp_path / "history.csv")
