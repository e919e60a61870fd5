"""cli/commands/doctor.py: output, JSON document and exit code."""

import json
from collections.abc import Callable

import pytest
import typer

from cli.commands import doctor
from pipeline.diagnostics.doctor.check import Check


def run(command: Callable[..., int], *arguments: object) -> int:
    """Run one command as its own application, and return the exit code."""
    app = typer.Typer()
    app.command()(command)
    code = app(args=[str(argument) for argument in arguments], standalone_mode=False)
    return code if isinstance(code, int) else 0


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


CHECKS = [
    Check("torch", "ok", "2.11", essential=True),
    Check("GPU", "note", "none [of them]"),
    Check("weights", "missing", "not fetched", "fetch them"),
]


@pytest.mark.parametrize("broken", [False, True])
def test_the_exit_code_is_1_only_if_something_essential_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], broken: bool
) -> None:
    """Each check is shown with its sign and its state, and a missing item with its remedy."""
    checks = [*CHECKS, Check("PyAV", "missing", "not installed", "pip install av", essential=True)][
        : 4 if broken else 3
    ]
    monkeypatch.setattr("pipeline.diagnostics.doctor.examine.examine", lambda _: iter(checks))
    assert run(doctor.command) == int(broken)
    output = capsys.readouterr()
    for text in ("✓ ok", "• note", "✗ missing", "none [of them]", "→ fetch them"):
        assert text in output.out
    assert ("cannot work here: PyAV" in output.err) == broken


def test_the_document_of_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The document contains the checks and whether avzsl works."""
    monkeypatch.setattr("pipeline.diagnostics.doctor.examine.examine", lambda _: iter(CHECKS))
    assert run(doctor.command, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["works"] is True
    assert document["checks"][2] == {
        "name": "weights",
        "state": "missing",
        "detail": "not fetched",
        "remedy": "fetch them",
        "essential": False,
    }
