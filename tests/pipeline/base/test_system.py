"""pipeline/base/system.py: the garbage collector is paused and then runs again."""

import gc
import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base import system
from pipeline.base.system import collector_paused


def test_the_collector_is_off_inside_and_on_again_afterwards() -> None:
    """It is also on again after an error."""
    enabled: list[bool] = []

    @collector_paused()
    def work(*, failing: bool) -> None:
        enabled.append(gc.isenabled())
        if failing:
            raise ZeroDivisionError

    work(failing=False)
    enabled.append(gc.isenabled())
    try:
        work(failing=True)
    except ZeroDivisionError:
        enabled.append(gc.isenabled())

    assert enabled == [False, True, False, True]


def test_a_collector_that_was_off_stays_off() -> None:
    """The context restores the state before it."""
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_user_id_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch asks for the name when it is imported; containers may run as any number."""

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setenv("USER", "")
    name = getpass.getuser
    monkeypatch.setattr(getpass, "getuser", unknown)
    system.name_the_user()
    monkeypatch.setattr(getpass, "getuser", name)
    for variable in ("LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    assert getpass.getuser().startswith("user")


def test_a_user_with_a_name_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changes where the system knows the name."""
    monkeypatch.setenv("USER", "me")
    monkeypatch.setenv("LOGNAME", "me")
    system.name_the_user()
    assert (os.environ["USER"], getpass.getuser()) == ("me", "me")


def test_a_user_without_a_home_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries ask for it when they are imported; containers may run as any number."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("HOME", "MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, "")
    with monkeypatch.context() as context:
        context.setattr(Path, "home", homeless)
        context.setattr(system, "_matplotlib_folders", list)
        system.find_a_home()
    assert Path.home() == system.stand_in_home()


@pytest.mark.parametrize("variable", ["HOME", "MPLCONFIGDIR", "XDG_CONFIG_HOME"])
def test_matplotlib_says_nothing_about_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """A file in the place of the folder stops also the user root."""
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    program = "from pipeline.base.system import find_a_home; find_a_home(); import matplotlib"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_a_home_that_can_be_written_stays_matplotlibs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings may be there."""
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("HOME", str(tmp_path))
    system.find_a_home()
    assert (os.environ["HOME"], os.environ["MPLCONFIGDIR"]) == (str(tmp_path), "")
