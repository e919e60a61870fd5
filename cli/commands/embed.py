"""`avzsl embed`."""

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli import options
from cli.console import Terminal

if TYPE_CHECKING:
    from pipeline.base.workspace import Workspace
    from pipeline.class_embeddings.neighbours import EmbeddedClass, EmbeddingTable
    from pipeline.datasets.phrases import Phrases

_LINES_SHOWN = 10


def command(
    text: options.TextOption = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            help='Class names to embed, such as "dog barking, yoga", or a text file with one name per line. A class '
            'can have several phrases: "dog barking|a dog barks". By default the classes of the workspace.',
            metavar="NAMES|FILE",
        ),
    ] = None,
    nearest: Annotated[
        int, typer.Option("--nearest", "-k", min=1, help="Number of nearest classes to show for each class.")
    ] = 3,
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Show the nearest classes of each class by their class vectors, and the classes without a vector.

    Example: avzsl embed --text glove.txt --classes "dog barking, cat meowing, yoga"
    """
    from pipeline.class_embeddings.embed import AUTO, chosen_spec
    from pipeline.class_embeddings.neighbours import embedding_table

    terminal = Terminal(json_output=json_output, quiet=quiet)
    opened = options.open_workspace(workspace)
    phrases = _phrases(opened, classes)
    table = embedding_table(chosen_spec(opened, text or AUTO), phrases, neighbours=nearest)
    if json_output:
        terminal.document(table.to_json())
    else:
        if table.classes:
            terminal.show(_table(table.classes))
        terminal.say(f"{table.spec}: {table.width} numbers per class vector; the table shows cosine similarities")
    _warn(table, terminal)
    return 0


def _phrases(workspace: "Workspace", classes: str | None) -> "dict[str, Phrases]":
    """Return class name -> phrases, for the named classes or, if there are none, for the classes of the workspace."""
    from pipeline.base.errors import MissingStageError, PipelineError
    from pipeline.datasets.dataset import load_dataset
    from pipeline.prediction.classes import parse_classes

    if classes is not None:
        own: tuple[str, ...] = ()
        if "," in classes:  # names of the workspace may have commas
            with contextlib.suppress(PipelineError):  # the names need no dataset
                own = load_dataset(workspace.dataset_folder).classes
        return parse_classes(classes, own) or {}
    try:
        return dict(load_dataset(workspace.dataset_folder).phrases)
    except MissingStageError as error:
        raise MissingStageError(f'{error}, or name classes: --classes "dog barking, yoga"') from error


def _table(classes: "tuple[EmbeddedClass, ...]") -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column("class", overflow="fold")
    table.add_column("phrases", overflow="fold")
    table.add_column("nearest", overflow="fold")
    for entry in classes:
        nearest = ", ".join(f"{near.name} {near.cosine:.2f}" for near in entry.nearest)
        table.add_row(entry.name, "\n".join(entry.phrases), nearest)
    return table


def _warn(table: "EmbeddingTable", terminal: Terminal) -> None:
    without = [
        f"{name} has no vector: {'; '.join(_unknown(phrase, words) for phrase, words in phrases.items())}"
        for name, phrases in table.without_vector.items()
    ]
    alike = [
        f"{first} and {second} have nearly the same vector ({cosine:.2f}), so predictions will confuse them"
        for first, second, cosine in table.alike
    ]
    for lines, what in ((without, "classes have no vector"), (alike, "pairs have nearly the same vector")):
        for line in lines[:_LINES_SHOWN]:
            terminal.warn(line)
        if len(lines) > _LINES_SHOWN:
            terminal.warn(f"{len(lines) - _LINES_SHOWN} more {what}: --json lists them all")
    if without:
        terminal.warn(
            "training refuses classes without a vector: give them other phrases, or choose another encoder with --text"
        )


def _unknown(phrase: str, words: "tuple[str, ...]") -> str:
    return repr(phrase) + (f" (unknown: {', '.join(words)})" if words else "")
