"""The terminal: prints lines, tables, progress, JSON documents and errors."""

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cli.streams import document_stream
from pipeline.base.files import to_json
from pipeline.base.progress import Tracker
from pipeline.base.wording import in_one_line, visible

_SECONDS_BETWEEN_LINES = 30
_LONGEST_ERROR = 4000  # characters; a path may have nearly as many


def broken_at_spaces(text: Text, width: int) -> Iterator[Text]:
    """Break a text into lines of at most `width` characters; a longer word stays whole."""
    for line in text.split("\n", allow_blank=True):
        breaks, begins = [], 0
        for word in re.finditer(r"\S+", line.plain):
            if word.start() > begins and cell_len(line.plain[begins : word.end()]) > width:
                begins = word.start()
                breaks.append(begins)
        for part in line.divide(breaks):
            part.rstrip()
            yield part


class _PlainConsole(Console):
    """A console that shows every text as it is: no markup, no emoji, and control characters as escapes.

    Args:
        stderr: whether it writes to standard error.
        lines: whether it writes lines. In a terminal they break at spaces only, so that a long path or address can be
            copied; a file or a pipe gets them whole.
    """

    def __init__(self, *, stderr: bool = False, lines: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)
        self.soft_wrap = lines
        self._breaks_lines = lines and self.is_terminal

    def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - as in the base class
        """Print; a line in a terminal is broken at spaces."""
        is_line = self._breaks_lines and not options and len(objects) == 1 and isinstance(objects[0], str | Text)
        if not is_line:
            super().print(*objects, **options)
            return
        text = objects[0]
        for line in broken_at_spaces(self.render_str(text) if isinstance(text, str) else text, self.width):
            super().print(line)

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - the options of the base class
        """Convert a text, also one in a cell of a table."""
        return super().render_str(visible(text), **options)


class Terminal:
    """Output of one command.

    With `--json`, standard output contains one document and nothing else. Lines and tables then go to standard error,
    otherwise to standard output. Warnings and progress always go to standard error.

    Args:
        json_output: whether the command was called with --json.
        quiet: whether to show only results, warnings and errors.
        verbose: whether to show details as well.
    """

    def __init__(self, *, json_output: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json_output, self.quiet, self.verbose = json_output, quiet, verbose
        self._warned: set[str] = set()
        self._errors = _PlainConsole(stderr=True, lines=True)
        self._lines = self._errors if json_output else _PlainConsole(lines=True)
        self._tables = self._errors if json_output else _PlainConsole()

    def say(self, line: str) -> None:
        """Show a line about the current work, unless --quiet was given."""
        if not self.quiet:
            self._lines.print(in_one_line(line))

    def command(self, line: str) -> None:
        """Show a line with a command, unless --quiet was given. It has no breaks, so that it can be copied whole."""
        if not self.quiet:
            self._lines.print(in_one_line(line), soft_wrap=True)

    def warn(self, line: str) -> None:
        """Show a line that the user should not overlook, once per command."""
        if line in self._warned:
            return
        self._warned.add(line)
        self._errors.print(Text.assemble(("note:", "yellow"), f" {in_one_line(line)}"))

    def detail(self, line: str) -> None:
        """Show a line only if --verbose was given."""
        if self.verbose:
            self._lines.print(Text(in_one_line(line), "dim"))

    def show(self, result: Table | str) -> None:
        """Show a result, either a table or a line, also with --quiet."""
        if isinstance(result, str):
            self._lines.print(in_one_line(result))
        else:
            self._tables.print(result)

    def entry(self, start: Text, text: Text) -> None:
        """Show a text that begins with `start`; its further lines are indented by the width of `start`."""
        for number, line in enumerate(broken_at_spaces(text, self._lines.width - start.cell_len)):
            self._lines.print(Text.assemble(" " * start.cell_len if number else start, line), soft_wrap=True)

    def document(self, content: object) -> None:
        """Write the single JSON document of --json."""
        stream = document_stream()
        stream.write(to_json(content) + "\n")
        stream.flush()

    @contextlib.contextmanager
    def track(self, title: str, total: int) -> Iterator[Tracker]:
        """Show progress on standard error: count, note and time left.

        A terminal gets a bar; a log file or a pipe gets a line every half minute.

        Args:
            title: name of the work.
            total: number of steps; 0 if it is unknown.
        """
        if self.quiet or not self._errors.is_terminal:
            yield _Lines(title, total, None if self.quiet else self._errors)
            return
        columns = (
            TextColumn(" {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
        )
        with Progress(*columns, console=self._errors, transient=True) as progress:
            yield _Bar(progress, progress.add_task(title, total=total or None, note=""))


class _Bar:
    """A progress bar in a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, steps: int = 1) -> None:
        """Advance by `steps`."""
        self._progress.advance(self._task, steps)

    def note(self, text: str) -> None:
        """Show a short text next to the bar."""
        self._progress.update(self._task, note=escape(visible(text)))


class _Lines:
    """Progress as a line from time to time, where no bar can be drawn; shows nothing if the console is None."""

    def __init__(self, title: str, total: int, console: Console | None) -> None:
        self._title, self._total, self._console = title, total, console
        self._done, self._note, self._started = 0, "", time.monotonic()
        self._shown = self._started

    def advance(self, steps: int = 1) -> None:
        """Advance by `steps`."""
        self._done += steps
        self._show()

    def note(self, text: str) -> None:
        """Show a short text next to the count."""
        self._note = text
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        finished = self._done == self._total
        if self._console is None or finished or now - self._shown < _SECONDS_BETWEEN_LINES:
            return
        self._shown = now
        left = ""
        if 0 < self._done < self._total:
            seconds = (now - self._started) / self._done * (self._total - self._done)
            left = f" · {int(seconds // 60)}:{int(seconds % 60):02d} left"
        count = f"{self._done}/{self._total}" if self._total else str(self._done)
        self._console.print(f" {self._title} {count}{' · ' if self._note else ''}{self._note}{left}")


def fail(message: str) -> None:
    """Show an error as one line on standard error; of a very long one, which repeats a long input, only both ends."""
    line = " ".join(message.split())
    if len(line) > _LONGEST_ERROR:
        line = f"{line[: _LONGEST_ERROR * 3 // 4]} … {line[-_LONGEST_ERROR // 4 :]}"
    _PlainConsole(stderr=True, lines=True).print(Text.assemble(("avzsl:", "bold red"), f" {visible(line)}"))
