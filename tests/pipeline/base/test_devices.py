"""pipeline/base/devices.py: a name is converted to a device, or the message says what to give."""

import os

import pytest
import torch

from pipeline.base.devices import resolve_device
from pipeline.base.errors import UsageError
from pipeline.base.system import usable_cores


def test_the_cpu_always_exists() -> None:
    """`cpu` needs no GPU; capitals do not matter."""
    assert resolve_device("cpu") == resolve_device("CPU") == torch.device("cpu")


def test_auto_is_the_first_gpu_or_else_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice depends on `torch.cuda.is_available`."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda:0")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


def test_auto_is_the_cpu_if_only_the_cpu_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    """With OpenVINO, `auto` ignores a GPU; a GPU that is named is still used."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    assert resolve_device("auto", cpu_only=True) == torch.device("cpu")
    assert resolve_device("cuda", cpu_only=True) == torch.device("cuda:0")


@pytest.mark.parametrize(("name", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_gpu_is_resolved_with_its_number(monkeypatch: pytest.MonkeyPatch, name: str, index: int) -> None:
    """`cuda` is the first GPU with its number, so that equal devices compare equal."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert resolve_device(name) == torch.device("cuda", index)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:256", "cuda:99999999999"])
def test_a_gpu_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The message gives the number of GPUs."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    with pytest.raises(UsageError, match=rf"device '{name}' is not on this machine \(2 GPUs seen\): use --device auto"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "meta", "mps"])
def test_an_unknown_name_is_refused_with_the_allowed_ones(name: str) -> None:
    """Devices that torch knows but avzsl does not use are refused too."""
    with pytest.raises(UsageError, match="give auto, cpu, cuda or cuda:n"):
        resolve_device(name)


def test_only_cores_that_the_process_may_use_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container or `taskset` may allow fewer than all; if the system cannot tell, all are counted."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert usable_cores() == 3

    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
