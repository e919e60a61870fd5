"""cli/console.py: what the terminal shows, and on which stream."""

import io
import json
import re
import time

import pytest
from rich.console import Console
from rich.table import Table

from cli import console
from cli.console import Terminal, fail


def test_with_json_standard_output_contains_only_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines, warnings and tables go to standard error; NaN becomes null in the document."""
    terminal = Terminal(json_output=True)
    terminal.say("a line")
    terminal.warn("a warning")
    terminal.show("a table")
    terminal.document({"ZSL": float("nan"), "S": 12.5})

    captured = capsys.readouterr()

    assert captured.out == '{"ZSL": null, "S": 12.5}\n'
    assert captured.err == "a line\nnote: a warning\na table\n"


def test_quiet_keeps_results_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """--quiet hides the lines about the current work."""
    terminal = Terminal(quiet=True)
    terminal.say("a line")
    terminal.warn("a warning")
    terminal.show("a table")

    captured = capsys.readouterr()

    assert (captured.out, captured.err) == ("a table\n", "note: a warning\n")


def test_brackets_in_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """The name `[red].mp4` is not read as markup."""
    fail("[red].mp4: cut [short]")

    assert capsys.readouterr().err == "avzsl: [red].mp4: cut [short]\n"


def test_an_error_of_several_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries may write long messages, but scripts rely on one line."""
    fail("first\n   second\n\nthird")

    assert capsys.readouterr().err == "avzsl: first second third\n"


def test_of_a_very_long_error_both_ends_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A value of a damaged file may have millions of characters; what to do stands at the end."""
    fail(f"training.epochs = {'9' * 1_000_000}: input should be a valid integer")

    shown = capsys.readouterr().err
    assert len(shown) < 5000
    assert shown.startswith("avzsl: training.epochs = 999")
    assert shown.endswith("9: input should be a valid integer\n")


def test_without_a_terminal_progress_is_a_line_every_half_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log file gets count, note and time left every half minute, not a bar."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    with Terminal().track("extracting", 4) as tracker:
        for _ in range(3):
            now += 20.0
            tracker.note("2.0 x real time")
            tracker.advance()

    assert capsys.readouterr().err == " extracting 1/4 · 2.0 x real time · 2:00 left\n"


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar shows title, count and note during the work."""
    screen = io.StringIO()
    terminal = Terminal()
    monkeypatch.setattr(terminal, "_errors", Console(file=screen, force_terminal=True, width=120))

    with terminal.track("extracting", 2) as tracker:
        tracker.note("2.0 x real time")
        tracker.advance()

    assert "extracting" in screen.getvalue()
    assert "1/2" in screen.getvalue()
    assert "2.0 x real time" in screen.getvalue()
    assert console._SECONDS_BETWEEN_LINES == 30


NAME = "yoga\x1b[2J [/b] :dog: \x9b1A\u202e.mp4"
SHOWN = r"yoga\x1b[2J [/b] :dog: \x9b1A\u202e.mp4"


def test_names_are_shown_as_they_are_but_control_characters_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """In lines, warnings, details, results, cells of tables, progress and errors; no markup and no emoji is read."""
    terminal = Terminal(verbose=True)
    table = Table(box=None, show_header=False)
    table.add_row(NAME, "1")
    terminal.say(NAME)
    terminal.warn(NAME)
    terminal.detail(NAME)
    terminal.show(NAME)
    terminal.show(table)
    fail(NAME)
    captured = capsys.readouterr()

    assert captured.out.count(SHOWN) == 4
    assert captured.err.count(SHOWN) == 2
    assert not set("\x1b\x9b\u202e") & set(captured.out + captured.err)


def test_a_document_has_no_control_character_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON leaves the C1 characters as they are, which some terminals obey."""
    Terminal(json_output=True).document({"video": NAME})
    out = capsys.readouterr().out
    assert not set("\x1b\x9b\u202e") & set(out)
    assert json.loads(out) == {"video": NAME}


def test_a_note_appears_once_per_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Several stages of one command may have the same to say."""
    terminal = Terminal()
    for line in ("the weights are untrained", "another", "the weights are untrained"):
        terminal.warn(line)
    assert capsys.readouterr().err.splitlines() == ["note: the weights are untrained", "note: another"]


LONG = "a line of many words " * 9


def test_in_a_terminal_lines_break_at_spaces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No word is cut in two; a command stays in one piece."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the stream for a terminal
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    for write in (terminal.say, terminal.warn, fail):
        write(LONG)
        shown = capsys.readouterr()
        lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.out + shown.err).splitlines()
        assert len(lines) == 3
        assert max(map(len, lines)) <= 80
        assert {word for line in lines for word in line.split()} <= {*LONG.split(), "note:", "avzsl:"}
    terminal.command(LONG)
    assert capsys.readouterr().out == f"{LONG}\n"


def test_a_pipe_gets_lines_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A program that reads them finds one line per message."""
    Terminal().say(LONG)
    assert capsys.readouterr().out == f"{LONG}\n"
