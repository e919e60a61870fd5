"""The terminal: where lines, tables and progress go, and how an expected error becomes one line and an exit code."""

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.files import to_json
from pipeline.progress import Tracker


class Terminal:
    """Output of one command.

    With `--json` standard output holds one document and nothing else, so everything for people goes to standard
    error; otherwise tables and lines go to standard output. Progress bars always go to standard error.

    Args:
        json_output: the command was called with --json.
        quiet: only results, warnings and errors.
        verbose: also details.
    """

    def __init__(self, *, json_output: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json_output, self.quiet, self.verbose = json_output, quiet, verbose
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self._lines = self._errors if json_output else Console(highlight=False, soft_wrap=True)
        self.tables = self._errors if json_output else Console(highlight=False)

    def say(self, line: str) -> None:
        """A line about what is done; silent with --quiet."""
        if not self.quiet:
            self._lines.print(escape(line))

    def warn(self, line: str) -> None:
        """A line that the user should not overlook."""
        self._errors.print(f"[yellow]note:[/] {escape(line)}")

    def detail(self, line: str) -> None:
        """A line for --verbose."""
        if self.verbose:
            self._lines.print(f"[dim]{escape(line)}[/]")

    def show(self, renderable: object) -> None:
        """A table or another result."""
        self.tables.print(renderable)

    def document(self, content: object) -> None:
        """The one JSON document of --json."""
        sys.stdout.write(to_json(content) + "\n")

    @contextlib.contextmanager
    def track(self, title: str, total: int) -> Iterator[Tracker]:
        """A progress bar with count, note and time left; a total of 0 means: unknown."""
        with Progress(
            TextColumn(" {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self._errors,
            transient=True,
            disable=self.quiet or not self._errors.is_terminal,
        ) as progress:
            task = progress.add_task(title, total=total or None, note="")
            yield _Bar(progress, task)


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, steps: int = 1) -> None:
        """So many more of the total are done."""
        self._progress.advance(self._task, steps)

    def note(self, text: str) -> None:
        """A short text beside the bar."""
        self._progress.update(self._task, note=escape(text))


def fail(message: str) -> None:
    """One line on standard error."""
    line = " ".join(message.split())
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]avzsl:[/] {escape(line)}")
