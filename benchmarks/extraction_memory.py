"""Claim: the peak memory of an extraction grows neither with the length of a video nor with the number of videos.

It extracts, each in a new process: one video of 10 s and one of 30 minutes; 100 videos and 10,000 videos of one second.
The many videos are links to one file. They use the narrowest networks, because the memory of the networks is not
measured here. It prints the peaks of the extracting process and of its largest decoding process, and their ratios.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from extractors.selavi.options import SelaviOptions
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.extraction.extract import extract
from pipeline.settings.extraction import ExtractionSettings

RATE_HZ, FRAMES_PER_SECOND, WIDTH_PIXELS, HEIGHT_PIXELS = 44_100, 10, 160, 120
LOOK_SECONDS = 0.1
LARGEST_DIRECTORY = 1000


def render(path: Path, seconds: int) -> None:
    """Write a clip of moving noise with a tone."""
    path.parent.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT_PIXELS, WIDTH_PIXELS + 100, 3), dtype=np.uint8)
    tone = (8000 * np.sin(np.arange(RATE_HZ) / 20)).astype(np.int16)[None]
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = WIDTH_PIXELS, HEIGHT_PIXELS, "yuv420p"
        sound = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        for second in range(seconds):
            for number in range(0, 10 * FRAMES_PER_SECOND, 10):
                pixels = np.ascontiguousarray(noise[:, number : number + WIDTH_PIXELS])
                container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels)))
            samples = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE_HZ, second * RATE_HZ, Fraction(1, RATE_HZ)
            container.mux(sound.encode(samples))
        container.mux(picture.encode())
        container.mux(sound.encode())


def link(clip: Path, folder: Path, count: int) -> None:
    """Make `count` videos as links to one clip."""
    for number in range(count):
        target = folder / f"class_{number // LARGEST_DIRECTORY}" / f"{number}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(clip, target)


def peak_mib(process: int) -> float:
    """Read the peak memory of a process (Linux); 0 if it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def measure(videos: Path, workspace: Path, width: int) -> dict[str, float]:
    """Extract in a process that does nothing else, while a thread measures the decoders."""
    settings = ExtractionSettings(extractor=SelaviOptions(weights="untrained", width=width))
    peaks, ended = {"decoder": 0.0}, threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            children = (child.pid for child in multiprocessing.active_children() if child.pid)
            peaks["decoder"] = max(peaks["decoder"], *(peak_mib(child) for child in children), 0.0)

    threading.Thread(target=look, daemon=True).start()
    report = extract(Workspace(workspace), videos, settings, device=torch.device("cpu"), reporter=SilentReporter())
    ended.set()
    return {**peaks, "main": peak_mib(os.getpid()), "videos": report.extracted, "seconds": report.seconds}


def measured(videos: Path, workspace: Path, width: int) -> dict[str, float]:
    """Run `measure` in a new process."""
    # It is not run as a script, because decoding processes would import the script and with it PyTorch.
    program = "import sys, extraction_memory as it; it.print_measured(*sys.argv[1:])"
    command = [sys.executable, "-c", program, str(videos), str(workspace), str(width)]
    here = Path(__file__).parent
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=here).stdout
    found: dict[str, float] = json.loads(output)
    print(
        f"{found['videos']:6.0f} videos, {found['seconds']:6.0f} s: peak {found['main']:.0f} MiB, "
        f"largest decoder {found['decoder']:.0f} MiB"
    )
    return found


def print_measured(videos: str, workspace: str, width: str) -> None:
    """Measure and print the result as JSON (run in the new process)."""
    print(json.dumps(measure(Path(videos), Path(workspace), int(width))))


def compare(what: str, small: dict[str, float], large: dict[str, float]) -> None:
    """Print the peak memory of the large run divided by that of the small run."""
    print(f"{what}: {large['main'] / small['main']:.3f} x, decoder {large['decoder'] / small['decoder']:.3f} x")


def main() -> None:
    """Render videos, extract them and compare the peaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=30, help="length of the long video in minutes")
    parser.add_argument("--videos", type=int, default=10_000, help="number of videos in the larger set")
    parser.add_argument("--width", type=int, default=8, help="width of the networks for the short and the long video")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        render(folder / "short" / "class" / "clip.mp4", 10)
        render(folder / "long" / "class" / "clip.mp4", 60 * arguments.minutes)
        short, long = (
            measured(folder / length, folder / f"work_{length}", arguments.width) for length in ("short", "long")
        )
        compare(f"{arguments.minutes} minutes to 10 s", short, long)
        render(folder / "one" / "second.mp4", 1)
        found = []
        for count in (100, arguments.videos):
            link(folder / "one" / "second.mp4", folder / f"{count}", count)
            found.append(measured(folder / f"{count}", folder / f"work_{count}", 1))
        compare(f"{arguments.videos} videos to 100", *found)


if __name__ == "__main__":
    main()
