"""pipeline/base/hdf5.py: an HDF5 file appears whole or not at all, on a full disk too."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.base.hdf5 import new_hdf5

FILL = """
import resource, sys
from pathlib import Path
import numpy as np
from pipeline.base.errors import StorageError
from pipeline.features.store import FeatureRows, SourceFile, StoredVideo, write_part
seconds, limit, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rows = np.random.default_rng(0).random((seconds, 512), dtype=np.float32)
videos = [
    (StoredVideo(f"video {n}", SourceFile("", 0, 0), seconds, True, True, 1.0), FeatureRows(rows, rows))
    for n in range(200)
]
try:
    write_part(path, videos, [], width=512, dtype="float32", attributes={})
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize(("seconds", "limit"), [(10, 0), (10, 50_000), (10, 2_000_000), (0, 2_000), (0, 30_000)])
def test_a_disk_that_fills_up_is_an_error_and_not_a_crash(tmp_path: Path, seconds: int, limit: int) -> None:
    """HDF5 crashes the process when it may not write; here the old part stays, and one line says why."""
    path = tmp_path / "part.h5"
    path.write_text("old")
    command = [sys.executable, "-c", FILL, str(seconds), str(limit), str(path)]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{path}: File too large\n"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_read_by_plain_h5py(tmp_path: Path) -> None:
    """What is written through it is an ordinary HDF5 file, larger than any buffer."""
    values = np.random.default_rng(0).random((3000, 512))
    with new_hdf5(tmp_path / "a.h5") as file:
        file.create_dataset("x", data=values, chunks=(100, 512))
        file["names"] = np.array(["a", "é"], h5py.string_dtype())
        file.attrs["schema"] = 1

    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["x"][...], values)
        assert file["names"].asstr()[...].tolist() == ["a", "é"]
        assert file.attrs["schema"] == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]


def test_an_error_while_filling_leaves_the_old_file(tmp_path: Path) -> None:
    """The error is the writer's own."""
    (tmp_path / "a.h5").write_text("old")

    with pytest.raises(ZeroDivisionError), new_hdf5(tmp_path / "a.h5") as file:
        file["x"] = 1 // 0

    assert (tmp_path / "a.h5").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]
