"""Claim: the peak memory of decoding does not grow with the length of the video.

It renders a short and a long clip, decodes each in a new process, and prints both peaks and their ratio.
"""

import resource
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from extractors.decoding.interface import DecodingRequest, get_decoder
from extractors.selavi.options import selavi_inputs

SHORT_SECONDS, LONG_SECONDS = 10, 1800
RATE_HZ = 44_100


def render(path: Path, seconds: int) -> None:
    """Write a clip of 320x240 pixels at 25 frames per second with a tone."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = 320, 240, "yuv420p"
        sound = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        noise = np.random.default_rng(0).integers(0, 255, (240, 320 + 250, 3), dtype=np.uint8)
        tone = (8000 * np.sin(np.arange(RATE_HZ) / 20)).astype(np.int16)[None]
        for second in range(seconds):
            for number in range(25):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(noise[:, 10 * number : 10 * number + 320]))
                container.mux(picture.encode(frame))
            samples = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE_HZ, second * RATE_HZ, Fraction(1, RATE_HZ)
            container.mux(sound.encode(samples))
        container.mux(picture.encode())
        container.mux(sound.encode())


def peak_mib(path: Path) -> float:
    """Decode a clip in a new process and return the peak resident memory of that process."""
    command = [sys.executable, __file__, str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def decode(path: Path) -> None:
    """Decode a clip without keeping its seconds, and print the peak memory (run in the new process)."""
    for _ in get_decoder("pyav").decode(DecodingRequest(path=path, inputs=selavi_inputs(RATE_HZ))):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Render both clips, decode both and compare the peaks."""
    with tempfile.TemporaryDirectory() as folder:
        peaks = {}
        for seconds in (SHORT_SECONDS, LONG_SECONDS):
            path = Path(folder) / f"{seconds}.mp4"
            render(path, seconds)
            peaks[seconds] = peak_mib(path)
            print(f"{seconds:5d} s of video: peak {peaks[seconds]:.0f} MiB")
        longer = LONG_SECONDS / SHORT_SECONDS
        print(f"ratio {peaks[LONG_SECONDS] / peaks[SHORT_SECONDS]:.3f} for {longer:.0f} x the length")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        decode(Path(sys.argv[1]))
    else:
        main()
