"""pipeline/base/system.py: the search for forgotten objects is put off, and not forgotten."""

import gc

from pipeline.base.system import collector_paused


def test_the_collector_is_off_inside_and_back_afterwards() -> None:
    """Behind an error too."""
    seen: list[bool] = []

    @collector_paused()
    def work(*, failing: bool) -> None:
        seen.append(gc.isenabled())
        if failing:
            raise ZeroDivisionError

    work(failing=False)
    seen.append(gc.isenabled())
    try:
        work(failing=True)
    except ZeroDivisionError:
        seen.append(gc.isenabled())

    assert seen == [False, True, False, True]


def test_where_it_was_off_it_stays_off() -> None:
    """Somebody else's decision is kept."""
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
