"""pipeline/extraction/extractor_choice.py: what is said when weights are fetched."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import run_command
from extractors.base import ResolvedWeights
from extractors.selavi import extractor
from extractors.selavi.options import SelaviOptions
from pipeline.base.files import write_json
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.extraction.extractor_choice import fetch_weights, recorded_extractor, recorded_fingerprint


class Warnings(SilentReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        """Keep a warning."""
        self.warnings.append(line)


@pytest.mark.parametrize("downloads", [True, False])
def test_the_licence_is_said_at_the_download(monkeypatch: pytest.MonkeyPatch, downloads: bool) -> None:
    """It is said once, and only if something is fetched."""

    def resolve(weights: str, *, cache_dir: Path, on_progress: Callable[[int, int | None], None]) -> ResolvedWeights:
        for received in (10, 20) if downloads else ():
            on_progress(received, 20)
        return ResolvedWeights(weights, cache_dir, "", "")

    monkeypatch.setattr(extractor, "resolve_weights", resolve)
    reporter = Warnings()
    fetch_weights(SelaviOptions(weights="vgg_sound"), reporter)
    expected = "downloading weights of SeLaVi's authors, whose licence is CC-BY-NC 4.0, not for commercial use"
    assert reporter.warnings == [expected] * downloads  # also with --quiet


def test_the_licence_stands_beside_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever chooses weights should know what they may be used for."""
    assert run_command(["extract", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "the licence CC-BY-NC 4.0: not for commercial use" in shown


def test_the_record_of_an_older_version_is_read(tmp_path: Path) -> None:
    """Before there were several extractors it had no name and no fingerprint: it is SeLaVi's."""
    workspace = Workspace(tmp_path)
    extractor = {"weights": "untrained", "width": 4, "recipe": "avca", "precision": "float32", "windows": "seconds"}
    write_json(workspace.extractor_file, {"extractor": extractor, "decoder": "pyav", "dtype": "float16"})
    found = recorded_extractor(workspace)
    assert found is not None
    assert isinstance(found.extractor, SelaviOptions)
    assert (found.extractor.name, found.extractor.width) == ("selavi", 4)
    assert recorded_extractor(workspace, "selavi") == found
    assert recorded_extractor(workspace, "clip-clap") is None
    assert recorded_fingerprint(workspace, "selavi") == ""
