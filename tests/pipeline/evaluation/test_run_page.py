"""pipeline/evaluation/run_page.py: one page about a run, from the files of training and evaluation."""

import html.parser
import json
from collections.abc import Callable

import pytest
import torch

from daan.config import DaanConfig
from pipeline.base.errors import MissingStageError, StorageError
from pipeline.base.files import read_json, write_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.run_page import balance_row, write_report
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.train import train

CPU = torch.device("cpu")


class Page(html.parser.HTMLParser):
    """Counts pictures and records the text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.pictures, self.text = 0, ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count a picture, which must be embedded in the page."""
        if tag == "img":
            source = dict(attrs)["src"] or ""
            assert source.startswith("data:image/png;base64,iVBOR")
            self.pictures += 1

    def handle_data(self, data: str) -> None:
        """Record the text."""
        self.text += data + " "


def trained(workspace: Workspace, **options: object) -> Workspace:
    """Train a model for a few steps; return the workspace."""
    settings = Settings(
        daan=DaanConfig(hidden_width=32, output_width=16, heads=2, **options),  # type: ignore[arg-type]
        training=TrainingSettings(epochs=3, batch_pairs=8, steps_per_epoch=2, least_validation_videos=2),
    )
    train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    return workspace


def test_the_page_contains_metrics_settings_and_every_figure(extracted: Callable[..., Workspace]) -> None:
    """After an evaluation it contains curves, balance and confusion matrix, and the recall of every class."""
    workspace = trained(extracted())
    evaluated = evaluate(workspace, device=CPU, reporter=SilentReporter())

    report = write_report(workspace)

    page = Page(report.page.read_text())
    assert report.evaluated
    assert page.pictures == 3
    assert f"{evaluated.metrics['sum'].HM:.2f}" in page.text
    assert "csgm: full" in page.text
    assert all(name in page.text for name in ("red_ball", "recall per class", "published grids"))


def test_a_run_without_an_evaluation_has_a_page(extracted: Callable[..., Workspace]) -> None:
    """It contains curves and balance, and tells that the run is not evaluated."""
    report = write_report(trained(extracted()))

    page = Page(report.page.read_text())
    assert not report.evaluated
    assert "Not evaluated yet" in page.text
    assert page.pictures == 2


@pytest.mark.parametrize(("csgm", "modulated"), [("full", True), ("off", False)])
def test_the_terminal_table_has_one_row_per_epoch(
    extracted: Callable[..., Workspace], csgm: str, modulated: bool
) -> None:
    """It has audio's share of the gradients and, with CSGM, M by modality and branch."""
    report = write_report(trained(extracted(), csgm=csgm))

    assert report.shown_epochs == (1, 2, 3)
    # Only options that differ from their defaults are named above the metrics.
    assert ("option csgm" in report.page.read_text()) != modulated
    row = balance_row(report, 2)
    assert row[0] == "2"
    assert 0 < float(row[1]) < 1
    assert len(row) == (6 if modulated else 2)
    of_epoch = [record for record in report.balance if record.epoch == 2]
    assert [f"{record.rates['M'].mean:.2f}" for record in of_epoch if record.rates] == row[2:]


def test_class_names_are_escaped_in_the_page(extracted: Callable[..., Workspace]) -> None:
    """The name of a class is text, never markup."""
    workspace = trained(extracted())
    evaluate(workspace, device=CPU, reporter=SilentReporter(), figures=False)
    metrics = next(workspace.root.glob("reports/*/metrics.json"))
    write_json(metrics, json.loads(json.dumps(read_json(metrics)).replace("red_ball", "<script>red_ball")))

    content = write_report(workspace).page.read_text()

    assert "<script>" not in content
    assert "&lt;script&gt;red_ball" in content


def test_a_run_without_an_epoch_has_no_page(extracted: Callable[..., Workspace]) -> None:
    """The message names the command to run."""
    workspace = extracted()
    workspace.model_folder("daan-new").mkdir(parents=True)

    with pytest.raises(MissingStageError, match=r"has no finished epoch yet: run avzsl train"):
        write_report(workspace, "daan-new")


@pytest.mark.parametrize("name", ["metrics.json", "seeds.json", "model.json"])
def test_a_damaged_file_is_named(extracted: Callable[..., Workspace], name: str) -> None:
    """For an empty document, the message tells the user what to run again."""
    workspace = trained(extracted())
    report = evaluate(workspace, device=CPU, reporter=SilentReporter(), figures=False)
    folder = workspace.current_model() if name == "model.json" else report.metrics_file.parent
    (folder / name).write_text("{}")

    with pytest.raises(StorageError, match=rf"{name}.* again"):
        write_report(workspace)
