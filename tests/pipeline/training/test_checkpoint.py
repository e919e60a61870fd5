"""pipeline/training/checkpoint.py: checkpoints are read back exactly; damaged and hostile ones are refused."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from pipeline.base.errors import StorageError
from pipeline.training.checkpoint import load_checkpoint, save_checkpoint


class Hostile:
    """Runs a command when an ordinary unpickler reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_a_training_resumes_from_its_checkpoint_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """Model, optimiser and random numbers are restored bit for bit."""
    model, generator = torch.nn.Linear(3, 2), torch.Generator().manual_seed(5)
    optimiser = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimiser.zero_grad()
        model(torch.randn(4, 3, generator=generator)).square().sum().backward()
        optimiser.step()

    step()
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "generator": generator.get_state()}
    save_checkpoint(tmp_path / "a.pt", {**state, "epoch": 3, "best": None, "history": [0.5, "text"]})
    step()
    expected = model.weight.detach().clone()

    loaded = load_checkpoint(tmp_path / "a.pt")
    model.load_state_dict(loaded["model"])
    optimiser.load_state_dict(loaded["optimiser"])
    generator.set_state(loaded["generator"])
    step()

    assert torch.equal(model.weight, expected)
    assert (loaded["epoch"], loaded["best"], loaded["history"]) == (3, None, [0.5, "text"])


def test_a_checkpoint_replaces_the_earlier_one(tmp_path: Path) -> None:
    """The folder contains one complete file and no temporary one."""
    for epoch in (1, 2):
        save_checkpoint(tmp_path / "new" / "a.pt", {"epoch": epoch})

    assert load_checkpoint(tmp_path / "new" / "a.pt") == {"epoch": 2}
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_hostile_checkpoint_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    """Only plain data are read."""
    save_checkpoint(tmp_path / "a.pt", {"model": Hostile(tmp_path / "ran")})

    with pytest.raises(StorageError, match=r"a\.pt is damaged: delete it to train this stage from the start"):
        load_checkpoint(tmp_path / "a.pt")

    assert not (tmp_path / "ran").exists()


def test_a_torch_file_of_another_program_is_refused(tmp_path: Path) -> None:
    """It has no checksum; a single tensor with one is not a checkpoint of avzsl."""
    torch.save(torch.zeros(3), tmp_path / "a.pt")
    with pytest.raises(StorageError, match=r"a\.pt is damaged \(its checksum differs\)"):
        load_checkpoint(tmp_path / "a.pt")

    save_checkpoint(tmp_path / "a.pt", torch.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(StorageError, match=r"a\.pt is not a checkpoint of avzsl"):
        load_checkpoint(tmp_path / "a.pt")


def test_torch_reads_a_checkpoint_too(tmp_path: Path) -> None:
    """The checksum is the comment of the zip file, which torch passes over."""
    save_checkpoint(tmp_path / "a.pt", {"epoch": 3, "weight": torch.arange(4)})
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    assert (state["epoch"], state["weight"].tolist()) == (3, [0, 1, 2, 3])


def test_a_missing_checkpoint_is_reported_as_missing(tmp_path: Path) -> None:
    """The message does not call it damaged."""
    with pytest.raises(StorageError, match=r"a\.pt does not exist"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x80\x04", b"\xff" * 100])
def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """For any error of torch, the user gets one line."""
    (tmp_path / "a.pt").write_bytes(content)

    with pytest.raises(StorageError, match=r"a\.pt is (damaged|not a checkpoint)"):
        load_checkpoint(tmp_path / "a.pt")


def test_a_truncated_checkpoint_is_damaged(tmp_path: Path) -> None:
    """This holds for any length."""
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"model": {"weight": torch.rand(50)}, "epoch": 1})
    content = path.read_bytes()

    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(StorageError, match="damaged"):
            load_checkpoint(path)


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    """Also inside a number, where torch would read another weight without a word."""
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"model": {"weight": torch.rand(50)}, "epoch": 1})
    content, random = path.read_bytes(), Random(0)

    for position in range(0, len(content), 5):
        damaged = bytearray(content)
        damaged[position] ^= random.randrange(1, 256)
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match="damaged"):
            load_checkpoint(path)


FILL = """
import resource, sys
from pathlib import Path
import torch
from pipeline.training.checkpoint import save_checkpoint
from pipeline.base.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    save_checkpoint(Path(sys.argv[1]), {"model": torch.zeros(100_000)})
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the limits of POSIX")
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    """The training of earlier epochs is not lost."""
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"epoch": 1})

    result = subprocess.run([sys.executable, "-c", FILL, path], capture_output=True, text=True, check=True)

    assert result.stdout == f"{path}: File too large\n"
    assert load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]
