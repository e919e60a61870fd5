"""cli/commands/predict.py: what the terminal shows about a prediction."""

import dataclasses

import pytest

from cli.commands.predict import show_report
from cli.console import Terminal
from cli.main import run_command
from pipeline.prediction.predict import ClassPrediction, PredictionReport, VideoPrediction
from pipeline.scoring.held_out import Calibration

DOG = ClassPrediction("dog", 0.75, 1.25, seen=True, favoured=True)
YOGA = ClassPrediction("yoga", 0.25, 2.5, seen=False, favoured=False)


def shown(
    capsys: pytest.CaptureFixture[str],
    *classes: ClassPrediction,
    decided_by: str = "sound",
    unsure: bool | None = False,
    top_k: int | None = None,
) -> str:
    """Show one prediction and return the text."""
    prediction = VideoPrediction("clip.mp4", classes, 5, True, True, decided_by, unsure, ())
    report = PredictionReport((prediction,), (), Calibration(0.5, 1.0, 3.0, 40), 1, 1, ())
    show_report(report, Terminal(), top_k)
    return capsys.readouterr().out


def test_percentages_are_said_to_be_among_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    """The header counts all names, also those that --top-k hides. New classes are marked."""
    text = shown(capsys, DOG, YOGA)
    assert "among 2 names" in text
    assert "75.0 %" in text
    assert "1.250" in text
    assert [("not in training" in line) for line in text.splitlines() if "%" in line] == [False, True]
    assert "among 2 names" in shown(capsys, DOG, YOGA, top_k=1)


def test_the_help_says_that_percentages_are_among_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Else a newcomer takes them for the probability that the clip shows the class."""
    assert run_command(["predict", "--help"]) == 0

    assert "The percentages are among the names that you give." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("unsure", "verdict"), [(False, "fits"), (True, "does not fit"), (None, "not known whether")])
def test_a_single_name_fits_or_does_not(capsys: pytest.CaptureFixture[str], unsure: bool | None, verdict: str) -> None:
    """It has no percentage, which would always be 100."""
    alone = dataclasses.replace(YOGA, probability=None)
    text = shown(capsys, alone, decided_by="", unsure=unsure)
    assert verdict in text
    assert "%" not in text


def test_what_decided_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The calibration is named where it did."""
    assert "decided by the calibration" in shown(capsys, YOGA, DOG, decided_by="calibration")
    assert "decided mainly by sound" in shown(capsys, DOG, YOGA)
    assert "decided" not in shown(capsys, DOG, YOGA, decided_by="")


def test_an_unsure_clip_has_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A sure one has none."""
    assert "unsure: this clip is farther from every name than 95 %" in shown(capsys, DOG, YOGA, unsure=True)
    assert "unsure" not in shown(capsys, DOG, YOGA)
    assert "unsure" not in shown(capsys, DOG, YOGA, unsure=None)


def test_a_long_name_with_a_full_bar_stays_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of 24 letters at 100 % fits into 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    name = "a red ball that bounces!"
    text = shown(
        capsys, dataclasses.replace(YOGA, name=name, probability=1.0), dataclasses.replace(DOG, probability=0.0)
    )
    (line,) = [line for line in text.splitlines() if "100.0 %" in line]
    assert name in line
    assert "not in training" in line
