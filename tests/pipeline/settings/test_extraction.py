"""pipeline/settings/extraction.py: the number of decoding processes, and the settings in the fingerprint."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from extractors.selavi.options import SelaviOptions
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
def test_auto_workers_depend_on_cores_and_device(
    monkeypatch: pytest.MonkeyPatch, device: str, cores: int, processes: int
) -> None:
    """Half of the cores with a CPU, all but one with a GPU; at least 1 and at most 32."""
    monkeypatch.setattr(extraction, "usable_cores", lambda: cores)

    assert ExtractionSettings().workers_for(torch.device(device)) == processes


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_given_number_of_workers_is_used(device: str) -> None:
    """The number of cores does not matter."""
    assert ExtractionSettings(workers=3).workers_for(torch.device(device)) == 3


@pytest.mark.parametrize(("text", "workers"), [("auto", "auto"), ("3", 3)])
def test_workers_are_read_from_text(text: str, workers: int | str) -> None:
    """The command line and YAML files give texts."""
    assert TypeAdapter(ExtractionSettings).validate_python({"workers": text}).workers == workers


@pytest.mark.parametrize("options", [{"workers": "many"}, {"runtime": "onnx"}, {"extractor": {"precision": "float64"}}])
def test_an_unknown_value_is_refused(options: dict[str, object]) -> None:
    """Only the listed names are allowed."""
    with pytest.raises(ValidationError, match="Input should be"):
        TypeAdapter(ExtractionSettings).validate_python(options)


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"workers": -1}, {"batch_seconds": 0}, {"time_limit_seconds": 0.0}]
)
def test_a_number_out_of_range_is_refused(options: dict[str, int]) -> None:
    """The message gives the setting, its value and the least allowed value."""
    ((name, value),) = options.items()

    with pytest.raises(ValueError, match=f"{name} is {value}, must be (auto or )?at least"):
        ExtractionSettings(**options)  # type: ignore[arg-type]  # one option of any type


def test_only_settings_that_change_features_are_in_the_identity() -> None:
    """The precision is in it; settings that change only the speed are not."""
    plain = ExtractionSettings()

    assert ExtractionSettings(runtime="openvino", workers=2, batch_seconds=3).identity == plain.identity
    assert ExtractionSettings(extractor=SelaviOptions(precision="bfloat16")).identity != plain.identity
