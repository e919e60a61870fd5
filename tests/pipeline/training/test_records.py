"""pipeline/training/records.py: distributions compared with sorting by hand, and reading the files back."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.method import Part, TrainingBatch
from daan.network import Daan
from daan.training_step import training_step
from pipeline.base.errors import StorageError
from pipeline.training.records import (
    BalanceRecord,
    EpochRecord,
    audio_share,
    balance_records,
    read_balance,
    read_history,
    step_values,
    write_balance,
    write_history,
)

STEPS, PAIRS = 3, 7
PARTS = [Part(modality, name, ()) for modality in ("audio", "visual") for name in ("attention", "bypass")]


def values(*, modulated: bool = True) -> dict[str, torch.Tensor]:
    """Make random values of an epoch."""
    norms = {name: torch.rand(STEPS, 4) for name in ("gradient_norm", "parameter_norm")}
    rates = {f"rate {name}": torch.rand(STEPS, PAIRS, 4) for name in ("M", "V_c", "V_o")}
    rates["rate at_gamma"] = rates["rate M"] <= 0.5
    return norms | rates if modulated else norms


def records(*, modulated: bool = True) -> list[BalanceRecord]:
    """Make the rows of a random epoch."""
    return balance_records(4, values(modulated=modulated), PARTS)


def test_a_row_summarises_all_pairs_of_all_steps_of_its_part() -> None:
    """The row of the visual bypass has the right means, quantiles and percentage of a flag."""
    epoch = values()

    row = balance_records(4, epoch, PARTS)[3]

    assert (row.epoch, row.modality, row.part) == (4, "visual", "bypass")
    rates = sorted(float(value) for value in epoch["rate M"][:, :, 3].flatten())
    found = row.rates["M"]
    assert found.mean == pytest.approx(sum(rates) / len(rates))
    assert (found.q05, found.q50, found.q95) == (rates[1], rates[10], rates[19])
    assert row.shares == {"at_gamma": pytest.approx(100 * sum(rate <= 0.5 for rate in rates) / len(rates))}
    assert row.gradient_norm == pytest.approx(float(epoch["gradient_norm"][:, 3].mean()))
    assert row.parameter_norm == float(epoch["parameter_norm"][-1, 3])


def test_without_modulation_there_are_only_norms() -> None:
    """The columns of a modulation are those that it names."""
    plain = records(modulated=False)[0]
    assert (plain.rates, plain.shares) == ({}, {})
    assert set(plain.to_row()) == {"epoch", "modality", "part", "gradient_norm", "parameter_norm"}
    assert math.isfinite(plain.gradient_norm)


@pytest.mark.parametrize("modulated", [True, False])
def test_balance_is_read_back_exactly(tmp_path: Path, modulated: bool) -> None:
    """This includes NaN, and it holds for the plain rows of a checkpoint too."""
    written = records(modulated=modulated)

    write_balance(tmp_path / "balance.csv", written)

    np.testing.assert_equal(
        [row.to_row() for row in read_balance(tmp_path / "balance.csv")], [row.to_row() for row in written]
    )
    np.testing.assert_equal(
        [BalanceRecord.from_row(row.to_row()).to_row() for row in written], [row.to_row() for row in written]
    )


def test_a_missing_balance_file_has_no_records_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    """Runs of older versions have no balance.csv."""
    path = tmp_path / "balance.csv"
    assert read_balance(path) == []

    write_balance(path, records())
    path.write_text(path.read_text().replace("gradient_norm", "gradient"))

    with pytest.raises(StorageError, match=r"balance.csv is damaged"):
        read_balance(path)


def test_audio_share_compares_the_gradient_norms_of_both_modalities() -> None:
    """The norm is Euclidean over both branches, or that of the one branch of the ablation's baseline."""
    epoch = values()
    epoch["gradient_norm"] = torch.tensor([[3.0, 4.0, 0.0, 15.0]])
    assert audio_share(balance_records(1, epoch, PARTS)) == pytest.approx(0.25)

    epoch["gradient_norm"] = torch.tensor([[2.0, math.nan, 6.0, math.nan]])
    assert audio_share(balance_records(1, epoch, PARTS)) == pytest.approx(0.25)


def test_a_method_without_parts_has_no_balance(tmp_path: Path) -> None:
    """Its share is unknown, and no file is written."""
    assert balance_records(1, values(), []) == []
    assert math.isnan(audio_share([]))
    write_balance(tmp_path / "balance.csv", [])
    assert not (tmp_path / "balance.csv").exists()


@pytest.mark.parametrize("csgm", ["off", "convergence", "full"])
def test_the_values_of_a_real_step_can_be_summarised(csgm: str) -> None:
    """One step of a small network is summarised as an epoch of one step."""
    mask = torch.ones(8, 3, dtype=torch.bool)
    batch = VideoBatch(torch.randn(8, 3, 6), torch.randn(8, 3, 6), mask, mask)
    config = DaanConfig(audio_width=6, visual_width=6, text_width=5, hidden_width=16, heads=2, csgm=csgm)  # type: ignore[arg-type]
    daan = Daan(config)
    pairs = TrainingBatch(batch, torch.randn(8, 5), torch.zeros(4, dtype=torch.long), torch.randn(1, 5))
    step = training_step(daan, torch.optim.Adam(daan.parameters()), pairs)

    stacked = {name: value[None] for name, value in step_values(step).items()}
    rows = balance_records(1, stacked, daan.parts)

    assert len(rows) == 4
    assert all(row.gradient_norm > 0 and row.parameter_norm > 0 for row in rows)
    used = {"off": [], "convergence": ["M", "V_c"], "full": ["M", "V_c", "V_o"]}
    assert all(list(row.rates) == used[csgm] for row in rows)
    assert 0 < audio_share(rows) < 1


def test_a_history_is_read_back_exactly(tmp_path: Path) -> None:
    """Losses are means over the steps; metrics are NaN without validation."""
    losses = {name: torch.rand(7) for name in ("loss", "term near", "term far")}
    records = [
        EpochRecord.of_epoch(
            epoch,
            {name: each * epoch for name, each in losses.items()},
            None,
            audio_share=0.3,
            learning_rate=1e-3 / epoch,
            from_epoch=epoch - 1,
        )
        for epoch in (1, 2)
    ]

    write_history(tmp_path / "history.csv", records)

    rows = read_history(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[0]["loss"] == pytest.approx(sum(losses["loss"].double().tolist()) / 7)
    assert list(rows[0])[:4] == ["epoch", "loss", "near", "far"]
    assert rows[1]["far"] == records[1].terms["far"] == pytest.approx(2 * float(losses["term far"].double().mean()))
    np.testing.assert_equal(EpochRecord.from_row(records[0].to_row()).to_row(), rows[0])
    assert rows[1]["learning_rate"] == 1e-3 / 2
    assert [row["from_epoch"] for row in rows] == [0, 1]
    assert math.isnan(rows[0]["HM"])


def test_a_damaged_history_is_refused(tmp_path: Path) -> None:
    """The file contains a word instead of a number."""
    (tmp_path / "history.csv").write_text("epoch,loss\n1,much\n")

    with pytest.raises(StorageError, match=r"history\.csv is damaged .*: train the run again"):
        read_history(tmp_path / "history.csv")
