"""pipeline/extraction_settings.py: how many processes decode."""

import os

import pytest

from pipeline.extraction_settings import ExtractionSettings


@pytest.mark.parametrize(("cores", "processes"), [(None, 1), (1, 1), (2, 1), (8, 7), (64, 16)])
def test_all_cores_but_one_decode(monkeypatch: pytest.MonkeyPatch, cores: int | None, processes: int) -> None:
    """One is left for the network, and sixteen are enough for any GPU."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)

    assert ExtractionSettings().decoding_processes == processes


def test_a_given_number_of_workers_is_taken() -> None:
    """Whatever the machine has."""
    assert ExtractionSettings(workers=3).decoding_processes == 3


@pytest.mark.parametrize("options", [{"workers": -1}, {"batch_seconds": 0}, {"time_limit_seconds": 0.0}])
def test_a_number_out_of_range_fails(options: dict[str, int]) -> None:
    """The message names the option, its value and the least one allowed."""
    ((name, value),) = options.items()

    with pytest.raises(ValueError, match=f"{name} is {value}, must be at least"):
        ExtractionSettings(**options)  # type: ignore[arg-type]  # one option of any type
