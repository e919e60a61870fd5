"""Claim: decoding is nearly as fast as a bare PyAV loop that makes pictures and sound of the same shape.

The bare loop reads the first video and audio streams without further checks. A picture shown at a multiple of 1/30 s is
scaled by ffmpeg to a short side of 112 pixels and cropped. The sound is resampled to mono. The loop ignores rotation,
gaps, damage, late starts and the exact method of scaling. Both run alternately on one thread.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation

from extractors.decoding.interface import DecodingRequest, get_decoder
from extractors.selavi.options import selavi_inputs

ROOT = Path(__file__).parent.parent
RATE_HZ = 44_100
SIDE_PIXELS = 112


def bare_loop(path: Path) -> int:
    """Decode pictures (30, 112, 112, 3) uint8 and sound (44100,) int16 per second; return the number of seconds."""
    taken: list[np.ndarray] = []
    sound: list[np.ndarray] = []
    seconds = 0
    with av.open(str(path)) as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        for stream in streams:
            stream.codec_context.thread_count = 1
        reformatter = av.video.reformatter.VideoReformatter()
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        shown = 0
        for frame in container.decode(*streams):
            if isinstance(frame, av.AudioFrame):
                sound += [mixed.to_ndarray()[0] for mixed in resampler.resample(frame)]
                continue
            due = round((frame.time + float(frame.duration * frame.time_base)) * 30)
            if due <= shown:
                continue
            picture = _square(reformatter, frame)
            taken += [picture] * (due - shown)
            shown = due
            while len(taken) >= 30:
                np.stack(taken[:30])
                del taken[:30]
                seconds += 1
    if sound:
        np.concatenate(sound)
    return seconds


def _square(reformatter: av.video.reformatter.VideoReformatter, frame: av.VideoFrame) -> np.ndarray:
    scale = SIDE_PIXELS / min(frame.width, frame.height)
    width, height = max(SIDE_PIXELS, int(frame.width * scale)), max(SIDE_PIXELS, int(frame.height * scale))
    rgb = reformatter.reformat(
        frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=1
    ).to_ndarray()
    top, left = (height - SIDE_PIXELS) // 2, (width - SIDE_PIXELS) // 2
    return rgb[top : top + SIDE_PIXELS, left : left + SIDE_PIXELS]


def our_decoder(path: Path) -> int:
    """Decode with the decoder that extraction uses; return the number of seconds."""
    return sum(1 for _ in get_decoder("pyav").decode(DecodingRequest(path=path, inputs=selavi_inputs(RATE_HZ))))


def processor_seconds(run: Callable[[], int]) -> tuple[float, int]:
    """Run a function; return its processor time in seconds and its result."""
    began = time.process_time()
    result = run()
    return time.process_time() - began, result


def main() -> None:
    """Compare on every clip and print each ratio and their median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "clips", nargs="*", type=Path, help="clips to decode; default: sample videos and real clips of ../shared"
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds per clip; the fastest counts")
    arguments = parser.parse_args()
    samples = itertools.islice(sorted((ROOT / "sample_videos").glob("*/*.mp4")), 0, None, 40)
    real = sorted((ROOT.parent / "shared/clips/real").glob("v-iashin-*.mp4"))
    ratios = []
    for clip in arguments.clips or [*samples, *real]:
        bare, ours = [], []
        for _ in range(arguments.rounds):
            bare.append(processor_seconds(lambda: bare_loop(clip)))  # noqa: B023 -- called at once
            ours.append(processor_seconds(lambda: our_decoder(clip)))  # noqa: B023 -- called at once
        seconds = min(ours)[1]
        ratios.append(min(bare)[0] / min(ours)[0])
        print(
            f"{clip.name[-40:]:40} {seconds:3d} s: bare {min(bare)[0] * 1000 / seconds:6.1f} ms per second, "
            f"ours {min(ours)[0] * 1000 / seconds:6.1f}, ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.2f}, smallest {min(ratios):.2f}")


if __name__ == "__main__":
    main()
