"""pipeline/base/system.py: the garbage collector is paused and then runs again."""

import gc
import getpass
import os

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
