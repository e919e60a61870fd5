"""pipeline/base/system.py: the garbage collector is paused and then runs again."""

import gc

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
