"""pipeline/base/devices.py: from the name of a device to the device, or what to give instead."""

import os

import pytest
import torch

from pipeline.base.devices import resolve_device
from pipeline.base.errors import UsageError
from pipeline.base.system import usable_cores


def test_the_cpu_is_always_there() -> None:
    """`cpu` needs no GPU."""
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_takes_the_first_gpu_and_else_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch sees decides."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda:0")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


def test_auto_takes_the_cpu_where_only_it_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO beside a GPU needs no second option; a GPU that is named is still taken at its word."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    assert resolve_device("auto", cpu_only=True) == torch.device("cpu")
    assert resolve_device("cuda", cpu_only=True) == torch.device("cuda:0")


@pytest.mark.parametrize(("name", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_gpu_is_resolved_with_its_number(monkeypatch: pytest.MonkeyPatch, name: str, index: int) -> None:
    """`cuda` alone is the first one, so that equal devices compare equal."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert resolve_device(name) == torch.device("cuda", index)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:256", "cuda:99999999999"])
def test_a_gpu_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The message says how many GPUs there are."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    with pytest.raises(UsageError, match=rf"device '{name}' is not on this machine \(2 GPUs seen\): use --device auto"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["", "CPU", "gpu", "cuda:", "cuda:x", "cuda:-1", "meta", "mps"])
def test_another_name_fails_and_says_what_is_allowed(name: str) -> None:
    """A device that torch knows but avzsl does not use is refused as well."""
    with pytest.raises(UsageError, match="give auto, cpu, cuda or cuda:n"):
        resolve_device(name)


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container or `taskset` gives fewer than the machine has; where nothing says so, all count."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert usable_cores() == 3

    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
