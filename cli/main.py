"""The command `avzsl`."""

import os
import sys

import typer
from typer.exceptions import TyperException

from cli.commands import (
    demo,
    doctor,
    embed,
    evaluate,
    export,
    extract,
    import_features,
    inspect,
    predict,
    probe,
    report,
    reproduce,
    run,
    status,
    train,
)
from cli.commands.prepare import datasets as prepare
from cli.console import fail
from cli.interruption import interruptions_remembered

app = typer.Typer(
    name="avzsl",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Audio-visual zero-shot learning: point it at videos and class names, and it recognises classes it never saw.",
    epilog="Start with: avzsl demo",
)
app.add_typer(prepare.app, name="prepare")
app.command("extract")(extract.command)
app.command("train")(train.command)
app.command("evaluate")(evaluate.command)
app.command("embed")(embed.command)
app.command("report")(report.command)
app.command("predict")(predict.command)
app.command("run")(run.command)
app.command("status")(status.command)
app.command("inspect")(inspect.command)
app.command("probe")(probe.command)
app.command("doctor")(doctor.command)
app.command("demo")(demo.command)
app.add_typer(import_features.app, name="import")
app.add_typer(export.app, name="export")
app.command("reproduce")(reproduce.command)

_INTERRUPTED = 130


def main() -> None:
    """Run a command; an expected error is one line on standard error, 2 for wrong usage, 1 for failed work."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    with interruptions_remembered() as interrupted:
        return _answered(arguments, interrupted)


def _answered(arguments: list[str], interrupted: list[int]) -> int:
    """Run a command line; its exit code, with a line for every expected error."""
    from pipeline.base.errors import PipelineError

    try:
        code = app(args=_with_empty_classes(arguments or ["--help"]), prog_name="avzsl", standalone_mode=False)
    except TyperException as error:
        fail(f"{error.format_message().rstrip('.')}. See avzsl --help")
        return error.exit_code
    except PipelineError as error:
        fail(str(error))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except ImportError:
        if not interrupted:
            raise
        code = _INTERRUPTED  # a library that was being loaded took Ctrl-C for a failure
    except BrokenPipeError:
        # Whoever read our output stopped; say nothing more, also not when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if code == _INTERRUPTED:  # Typer answers Ctrl-C with this code, and with silence
        fail("interrupted; what is finished is kept. The same command goes on from there")
    return code if isinstance(code, int) else 0


def _with_empty_classes(arguments: list[str]) -> list[str]:
    """`--classes` with nothing behind it means: all classes of the model."""
    filled = []
    for place, argument in enumerate(arguments):
        filled.append(argument)
        following = arguments[place + 1 : place + 2]
        if argument == "--classes" and (not following or following[0].startswith("-")):
            filled.append("")
    return filled
