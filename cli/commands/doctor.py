"""`avzsl doctor`."""

import dataclasses
from typing import TYPE_CHECKING

from rich.text import Text

from cli import options
from cli.console import Terminal, fail
from pipeline.base.wording import visible

if TYPE_CHECKING:
    from pipeline.diagnostics.doctor.check import Check

# A sign and a colour for each state. The state is also shown as a word, so no user depends on sign or colour.
_LOOKS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "missing": ("✗", "red")}


def command(
    workspace: options.WorkspaceOption = options.DEFAULT_WORKSPACE,
    json_output: options.JsonOption = False,
    quiet: options.QuietOption = False,
) -> int:
    """Test everything that avzsl needs: libraries, devices, decoders, text encoder, weights and folders.

    This takes some seconds. The exit code is 1 if something essential is missing.

    Example: avzsl doctor
    """
    from pipeline.diagnostics.doctor.examine import examine

    terminal = Terminal(json_output=json_output, quiet=quiet)
    checks = []
    for check in examine(options.open_workspace(workspace)):
        checks.append(check)
        if not json_output and not (quiet and check.state == "ok"):
            _show(check, terminal)
    fatal = [check.name for check in checks if check.fatal]
    if json_output:
        terminal.document({"works": not fatal, "checks": [dataclasses.asdict(check) for check in checks]})
    if fatal:
        fail(f"avzsl cannot work here: {', '.join(fatal)}")
        return 1
    missing = sum(check.state == "missing" for check in checks)
    terminal.say("avzsl works here" + (f"; {missing} missing, but not essential" if missing else ""))
    return 0


def _show(check: "Check", terminal: Terminal) -> None:
    """Show a check as soon as it is done, with its remedy below."""
    sign, colour = _LOOKS[check.state]
    detail = Text(visible(check.detail))
    if check.remedy:
        detail.append("\n→", colour).append(f" {visible(check.remedy)}")
    terminal.entry(Text.assemble((f"{sign} {check.state}".ljust(10), colour), (check.name.ljust(19), "bold")), detail)
