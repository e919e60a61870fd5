"""pipeline/settings/extraction.py: how many processes decode, and what is part of the fingerprint."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from extractors.selavi.extractor import ExtractorOptions
from pipeline.settings import extraction
from pipeline.settings.extraction import ExtractionSettings


@pytest.mark.parametrize(
    ("device", "cores", "processes"),
    [
        ("cpu", 1, 1),
        ("cpu", 2, 1),
        ("cpu", 8, 4),
        ("cpu", 256, 32),
        ("cuda", 1, 1),
        ("cuda", 2, 1),
        ("cuda", 16, 15),
        ("cuda", 256, 32),
    ],
)
def test_auto_workers_follow_from_cores_and_device(
    monkeypatch: pytest.MonkeyPatch, device: str, cores: int, processes: int
) -> None:
    """Half of the cores beside networks on the CPU, all but one beside a GPU, never none and never a crowd."""
    monkeypatch.setattr(extraction, "usable_cores", lambda: cores)

    assert ExtractionSettings().workers_for(torch.device(device)) == processes


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_given_number_of_workers_is_taken(device: str) -> None:
    """Whatever the machine has."""
    assert ExtractionSettings(workers=3).workers_for(torch.device(device)) == 3


@pytest.mark.parametrize(("text", "workers"), [("auto", "auto"), ("3", 3)])
def test_workers_are_read_from_text(text: str, workers: int | str) -> None:
    """As the command line and YAML bring it."""
    assert TypeAdapter(ExtractionSettings).validate_python({"workers": text}).workers == workers


@pytest.mark.parametrize("options", [{"workers": "many"}, {"runtime": "onnx"}, {"extractor": {"precision": "float64"}}])
def test_a_value_that_does_not_exist_fails(options: dict[str, object]) -> None:
    """Names are a closed list."""
    with pytest.raises(ValidationError, match="Input should be"):
        TypeAdapter(ExtractionSettings).validate_python(options)


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"workers": -1}, {"batch_seconds": 0}, {"time_limit_seconds": 0.0}]
)
def test_a_number_out_of_range_fails(options: dict[str, int]) -> None:
    """The message names the option, its value and the least one allowed."""
    ((name, value),) = options.items()

    with pytest.raises(ValueError, match=f"{name} is {value}, must be (auto or )?at least"):
        ExtractionSettings(**options)  # type: ignore[arg-type]  # one option of any type


def test_only_what_changes_a_feature_is_part_of_the_identity() -> None:
    """The precision is; how fast it goes is not."""
    plain = ExtractionSettings()

    assert ExtractionSettings(runtime="openvino", workers=2, batch_seconds=3).identity == plain.identity
    assert ExtractionSettings(extractor=ExtractorOptions(precision="bfloat16")).identity != plain.identity
