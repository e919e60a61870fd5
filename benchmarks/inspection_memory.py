"""Claim: for 200,000 videos `avzsl inspect` takes some seconds and hardly more memory than for 2,000.

It inspects generated stores in new processes and prints the ratio of their peaks. It writes about 1 GB into the folder
for temporary files.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from pipeline.base.progress import SilentReporter
from pipeline.features.attributes import write_attributes
from pipeline.features.index import SourceFile, StoredVideo, features_checksum, index_rows, table_checksum
from pipeline.features.inspection.report import inspect_store

FEW, MANY, SECONDS, WIDTH, BLOCK_ROWS = 2_000, 200_000, 2, 512, 4_000


def write_store(path: Path, count: int) -> None:
    """Write a store of float16 features of `count` videos; only its index is in memory as a whole."""
    source = SourceFile("0" * 64, 1, 1)
    videos = [
        StoredVideo(f"class_{n % 300}/{n}.mp4", source, SECONDS, True, True, float(SECONDS), f"class_{n % 300}")
        for n in range(count)
    ]
    rows = np.random.default_rng(0).random((BLOCK_ROWS, WIDTH), np.float32).astype(np.float16)
    with h5py.File(path, "w") as file:
        write_attributes(file, {})
        for modality in ("visual", "audio"):
            data = file.create_dataset(modality, (count * SECONDS, WIDTH), "float16", chunks=(1024, WIDTH))
            for start in range(0, count * SECONDS, BLOCK_ROWS):
                data[start : start + BLOCK_ROWS] = rows
        first_rows = [n * SECONDS % BLOCK_ROWS for n in range(count)]
        checksums = [features_checksum(*[rows[first : first + SECONDS]] * 2) for first in first_rows]
        file["index"] = index_rows(videos, checksums)
        file["index"].attrs["checksum"] = table_checksum(file["index"][...])


def inspect(path: Path) -> None:
    """Inspect a store, then print peak memory in MiB and seconds (run in the new process)."""
    began = time.process_time()
    if not inspect_store(path, SilentReporter()).whole:
        raise SystemExit("the store is not whole")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time() - began)


def run(*arguments: object) -> list[float]:
    """Run this script in a new process and return the numbers that it prints.

    The peak of a process starts with the peak of its parent, so the parent must stay small.
    """
    command = [sys.executable, __file__, *map(str, arguments)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(number) for number in ended.stdout.split()]


def main() -> None:
    """Compare few videos with many videos."""
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for count in (FEW, MANY):
            path = Path(folder) / f"{count}.h5"
            run("write", path, count)
            peak, seconds = run("inspect", path)
            megabytes = path.stat().st_size / 1e6
            print(f"{count:7d} videos, {megabytes:6.0f} MB: peak {peak:.0f} MiB, {seconds:.1f} s of the processor")
            peaks.append(peak)
    print(f"ratio {peaks[1] / peaks[0]:.3f} for {MANY // FEW} x the videos")


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write_store(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["inspect"]:
        inspect(Path(sys.argv[2]))
    else:
        main()
