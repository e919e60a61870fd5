"""Claim: `extract` finds in less than 10 s that 200,000 videos are extracted, and the disk limits the speed of merging.

It makes 200,000 empty files and part files of random features for them in a temporary folder. It runs the extraction,
which merges them, and then runs it again, once in this process and once as a command. It also compares merging with
copying the same number of bytes.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import read_source
from pipeline.extraction.extract import extract
from pipeline.extraction.merge import ExtractionReport
from pipeline.extraction.plan import ExtractionPlan, plan_extraction
from pipeline.features.index import StoredVideo
from pipeline.features.parts import MAX_PART_VIDEOS, source_of
from pipeline.features.store import FeatureRows
from pipeline.settings.extraction import ExtractionSettings

CLASSES, SECONDS, WIDTH = 300, 10, 512
SETTINGS = dataclasses.replace(
    ExtractionSettings(), extractor=dataclasses.replace(ExtractionSettings().extractor, weights="untrained")
)
COPY_BYTES = 1 << 20


def make_videos(folder: Path, count: int) -> None:
    """Make empty files in class folders."""
    for number in range(CLASSES):
        (folder / f"class_{number:03d}").mkdir(parents=True)
    for number in range(count):
        (folder / f"class_{number % CLASSES:03d}" / f"video_{number:06d}.mp4").touch()


def write_parts(plan: ExtractionPlan) -> None:
    """Write the part files of an extraction of all videos; the videos of each part file are in random order."""
    random, videos = np.random.default_rng(0), plan.dataset.videos
    visual, audio = random.standard_normal((2, SECONDS, WIDTH), np.float32)
    for start in range(0, len(videos), MAX_PART_VIDEOS):
        entries = []
        for video in random.permutation(np.array(videos[start : start + MAX_PART_VIDEOS], dtype=object)):
            stored = StoredVideo(
                video.key, source_of(video.path), SECONDS, True, True, float(SECONDS), video.class_name
            )
            entries.append((stored, FeatureRows(visual, audio)))
        plan.parts.write(entries, [], widths=(WIDTH, WIDTH), dtype=plan.settings.dtype, attributes=plan.attributes)
    plan.parts.save_checks()


def copy_plainly(parts: list[Path], target: Path) -> None:
    """Copy the bytes of all part files into one file and flush it to the disk."""
    with target.open("wb") as copy:
        for path in parts:
            with path.open("rb") as part:
                while block := part.read(COPY_BYTES):
                    copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())


def seconds_of(work: Callable[[], object]) -> float:
    """Time some work in seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def look_at(folder: Path) -> None:
    """Read name, size and time of every file, which every check for changes must do."""
    for parent, _, names in os.walk(folder):
        for name in names:
            Path(parent, name).stat()


def run(workspace: Workspace, source: Path) -> ExtractionReport:
    """Extract as `avzsl extract` does."""
    return extract(workspace, source, SETTINGS, device=torch.device("cpu"), reporter=SilentReporter())


def main() -> None:
    """Make the files, measure and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=200_000, help="number of videos")
    parser.add_argument("--folder", type=Path, help="folder in which the temporary folder is made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        videos, workspace = Path(folder) / "videos", Workspace(Path(folder) / "workspace")
        make_videos(videos, arguments.videos)
        plan = plan_extraction(workspace, read_source(videos), SETTINGS, None, SilentReporter(), alone=True)
        write_parts(plan)
        size = sum(path.stat().st_size for path in plan.parts.parts)
        print(f"{arguments.videos} videos of {SECONDS} s, {len(plan.parts.parts)} part files, {size / 2**30:.2f} GiB")
        resume = seconds_of(lambda: run(workspace, videos))
        listing, cpu = seconds_of(lambda: look_at(videos)), time.process_time()
        again = seconds_of(lambda: run(workspace, videos))
        cpu = time.process_time() - cpu
        command = [
            str(Path(sys.executable).with_name("avzsl")),
            "extract",
            str(videos),
            "-w",
            str(workspace.root),
            "-q",
        ]
        process = seconds_of(lambda: subprocess.run([*command, "--weights", "untrained"], check=True))
        print(f"nothing to do: {again:.1f} s ({cpu:.1f} s of a core), as a command {process:.1f} s")
        print(f"that is {again / listing:.1f} x listing the files")
        features, copied = plan.folder / "features.h5", Path(folder) / "copy"
        rows = plan.parts.rows(plan.dataset.videos)
        ratios = []
        for _ in range(3):
            merging = seconds_of(lambda: plan.parts.merge(features, rows, plan.attributes))
            copying = seconds_of(lambda: copy_plainly(plan.parts.parts, copied))
            ratios.append(merging / copying)
            speeds = (size / 2**20 / seconds for seconds in (merging, copying))
            print("merging {:.0f} MiB/s, copying {:.0f} MiB/s, ratio of the times {:.2f}".format(*speeds, ratios[-1]))
        print(f"median ratio {sorted(ratios)[1]:.2f}; the first run, with its merge, {resume:.1f} s")


if __name__ == "__main__":
    main()
