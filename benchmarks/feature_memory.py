"""Claim: features of 200,000 videos of 10 s fit in 24 GiB, are in memory only once, and load in seconds.

It writes such a features.h5 (4 GB in float16) into a temporary folder and loads it in a separate process. In memory the
features have the same type as in the file.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from pipeline.features.feature_set import load_features
from pipeline.features.index import SourceFile, StoredVideo
from pipeline.features.store import FeatureRows, merge_parts, write_part

SECONDS, WIDTH, PART_VIDEOS, CLASSES, BATCH = 10, 512, 2000, 300, 512
ATTRIBUTES: dict[str, str | int | float | bool] = {
    "extractor": "synthetic",
    "feature_width": WIDTH,
    "dtype": "float16",
    "content": "benchmark",
}


def write_features(path: Path, videos: int) -> None:
    """Write one part file of random features and merge it many times under different names."""
    random, part = np.random.default_rng(0), path.with_name("part.h5")
    blank = StoredVideo("", SourceFile("", 0, 0), SECONDS, has_audio=True, has_visual=True, duration_seconds=SECONDS)
    entries = []
    for number in range(min(videos, PART_VIDEOS)):
        visual, audio = random.standard_normal((2, SECONDS, WIDTH), np.float32)
        entries.append((dataclasses.replace(blank, video=f"{number}"), FeatureRows(visual, audio)))
    write_part(part, entries, [], widths=(WIDTH, WIDTH), dtype="float16", attributes=ATTRIBUTES)
    stored = [
        dataclasses.replace(blank, video=f"video_{number}.mp4", class_name=f"{number * CLASSES // videos}")
        for number in range(videos)
    ]
    parts, positions = -(-videos // PART_VIDEOS), [divmod(number, PART_VIDEOS) for number in range(videos)]
    rows = [(index, SECONDS * first) for index, first in positions]
    merge_parts(path, [part] * parts, stored, rows, ATTRIBUTES)
    part.unlink()


def peak_bytes() -> int:
    """Read the peak memory of this process (Linux; the value of getrusage would include the parent's)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def measure(path: Path) -> dict[str, float]:
    """Measure loading, statistics over all videos and one batch, in a process that does nothing else."""
    before = peak_bytes()
    begin = time.perf_counter()
    features = load_features(path, [str(number) for number in range(CLASSES)])
    loaded = time.perf_counter()
    standardiser = features.statistics(torch.arange(len(features.keys)))
    counted = time.perf_counter()
    chosen = torch.randint(len(features.keys), (BATCH,))
    chosen_at = time.perf_counter()
    features.batch(chosen, standardiser, torch.device("cpu"))
    return {
        "load": loaded - begin,
        "statistics": counted - loaded,
        "batch": time.perf_counter() - chosen_at,
        "before": before,
        "peak": peak_bytes(),
    }


def read_seconds(path: Path) -> float:
    """Time how long reading the file's bytes takes, because on some machines new memory takes longer than reading."""
    begin = time.perf_counter()
    path.read_bytes()
    return time.perf_counter() - begin


def main() -> None:
    """Write the features, measure in a separate process and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=200_000, help="number of videos")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.h5"
        write_features(path, arguments.videos)
        size, reading = path.stat().st_size, read_seconds(path)
        command = [sys.executable, __file__, "--measure", str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    added = found["peak"] - found["before"]
    print(f"{arguments.videos} videos of {SECONDS} s in float16: file {size / 2**30:.2f} GiB")
    print(f"reading the file's bytes into memory {reading:.1f} s")
    print(f"peak {found['peak'] / 2**30:.2f} GiB; without python and torch {added / size:.2f} x the file")
    print(f"load {found['load']:.1f} s, {found['load'] / reading:.1f} x that")
    print(f"statistics {found['statistics']:.1f} s, {found['statistics'] / reading:.1f} x that")
    print(f"one batch of {BATCH} videos {1e3 * found['batch']:.1f} ms")


if __name__ == "__main__":
    main()
