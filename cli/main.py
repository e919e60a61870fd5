"""The command `avzsl`: its subcommands, expected errors and exit codes."""

import gc
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from cli.commands import (
    compare,
    demo,
    doctor,
    embed,
    evaluate,
    export,
    extract,
    extractors,
    import_features,
    inspect,
    methods,
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
from cli.streams import (
    OutputError,
    flush_output,
    guard_standard_output,
    prepare_streams,
    restart_in_utf8,
    silence_output,
)
from cli.system_limits import limit_behind, limit_met
from pipeline.base.system import find_a_home, name_the_user

app = typer.Typer(
    name="avzsl",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Audio-visual zero-shot learning: train on videos of some classes, then recognise any class by its name.",
    epilog="Start with: avzsl demo",
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"avzsl {version('avzsl')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    # Typer takes the options of avzsl itself from a callback. It has no docstring, because that would replace the help.
    pass


app.add_typer(prepare.app, name="prepare")
app.command("extract")(extract.command)
app.command("train")(train.command)
app.command("methods")(methods.command)
app.command("extractors")(extractors.command)
app.command("compare")(compare.command)
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
_OPTION = re.compile(r"-[a-z]\d*|--[a-z-]+(=.*)?", re.DOTALL)


def main() -> None:
    """Run the command of this process and exit with its code.

    An expected error becomes one line on standard error. Exit code 2 means wrong usage, 1 means failed work.
    """
    restart_in_utf8()
    prepare_streams()
    name_the_user()
    find_a_home()
    if "--json" in sys.argv:
        guard_standard_output()
    code = _flushed(run_command(sys.argv[1:]))
    gc.freeze()  # otherwise Python looks through all objects of the libraries at its end, for up to half a second
    sys.exit(code)


def _flushed(code: int) -> int:
    """Write what is left of standard output, and return the exit code: 1 if that fails, as on a full disk."""
    try:
        flush_output()
    except (BrokenPipeError, OutputError) as error:
        return _output_lost(error)
    return code


def _output_lost(error: BrokenPipeError | OutputError) -> int:
    """Write nothing more to standard output, and return the exit code. A reader that closed the pipe wants no words."""
    silence_output()
    if isinstance(error, OutputError):
        fail(str(error))
    return 1


def run_command(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    with interruptions_remembered() as interrupted:
        try:
            return _run_reporting_errors(arguments, interrupted)
        except (ImportError, MemoryError, OSError, RuntimeError) as error:
            return _limited(error)


def _run_reporting_errors(arguments: list[str], interrupted: list[int]) -> int:
    """Run a command line, show an expected error as one line, and return the exit code."""
    from pipeline.base.errors import PipelineError

    try:
        code = app(args=_with_values_of_classes(arguments or ["--help"]), prog_name="avzsl", standalone_mode=False)
    except TyperException as error:
        fail(f"{error.format_message().rstrip('.')}. {_hint_at_dash(arguments)}See avzsl --help")
        return error.exit_code
    except PipelineError as error:
        limit = limit_behind(error)
        fail(limit or str(error))
        return 1 if limit else error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except ImportError:
        if not interrupted:
            raise
        code = _INTERRUPTED  # Ctrl-C came while a library was loaded, which reported it as an ImportError
    except (BrokenPipeError, OutputError) as error:
        return _output_lost(error)
    if code == _INTERRUPTED:  # Typer returns this code for Ctrl-C, without a message
        fail("interrupted. Finished work is saved; run the same command again to continue")
    return code if isinstance(code, int) else 0


def _limited(error: Exception) -> int:
    """Show the limit of the system that caused an error; raise any other error again, because it is a bug of ours."""
    message = limit_met(error)
    if message is None:
        raise error
    fail(message)
    return 1


def _hint_at_dash(arguments: list[str]) -> str:
    """Say how to give a file whose name begins with a dash, if one of the arguments is such a file."""
    named = next((one for one in arguments if one.startswith("-") and Path(one).exists()), None)
    return "" if named is None else f"For the file of this name, give ./{named}. "


def _with_values_of_classes(arguments: list[str]) -> list[str]:
    """Join `--classes` and its value, so that a name may begin with a dash; without a value, leave it out.

    No `--classes` means all classes of the model.
    """
    filled, rest = [], list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument != "--classes":
            filled.append(argument)
            continue
        has_value = bool(rest) and not _OPTION.fullmatch(rest[0])
        filled += [f"--classes={rest.pop(0)}"] if has_value else []
    return filled
