"""Claim: on a CPU an extraction takes at most 0.8 processor seconds per second of video, at width 64 without extras.

It also claims that everything but the networks is at most 5 % of it over ten minutes of video, and that the start takes
at most 3 processor seconds, imports of the decoding processes included. Some machines need two of them to import
PyTorch. There the start takes more. A plain start shows what the machine needs. All are processor times of whole
processes, so that other programs hardly change them:

- whole: `avzsl extract` on clips, with all its processes;
- rest: the same with networks of width 1, whose little work counts as well, so that this is an upper bound; its own
  start is subtracted;
- start: `avzsl extract` on a file that is no video, with networks of the given width, the least of three;
- plain start: a script that imports PyTorch and PyAV and loads both networks layer by layer, the least of three;
- import of PyTorch: a script that does nothing else, the least of three;
- networks: both networks on the same seconds in memory, through the queue that `extract` uses;
- plain loop: one video after the other, pictures resized by PyTorch, python_speech_features, networks layer by layer.

The clips are the sample videos, all 194 of them ten minutes long together, or those of --videos FOLDER. The weights are
a checkpoint with random numbers, which is loaded as a published one is: `untrained` ones would first be normalised.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from python_speech_features import logfbank
from torch.nn import functional as F

from extractors.decoding.interface import Decoder, DecodingRequest, Second, get_decoder
from extractors.errors import VideoError
from extractors.runtime.network_queue import NetworkQueue
from extractors.selavi.extractor import SelaviExtractor, load_selavi
from extractors.selavi.networks import build_audio_network, build_visual_network
from extractors.selavi.options import RECIPES, SelaviOptions
from extractors.selavi.weights import resolve_weights

SAMPLES = Path(__file__).parent.parent / "sample_videos"
BATCH_SECONDS = 8
SMALLEST = ("--weights", "untrained", "--width", "1")
STARTS = 3
PLAIN_START = """
import sys, av, torch
from extractors.selavi.networks import build_audio_network, build_visual_network
model = torch.load(sys.argv[1], weights_only=True)["model"]
for name, build in (("video_network", build_visual_network), ("audio_network", build_audio_network)):
    prefix = f"{name}.base."
    own = {key.removeprefix(prefix): value for key, value in model.items() if key.startswith(prefix)}
    build(int(sys.argv[2])).eval().load_state_dict(own)
"""


def children_seconds() -> float:
    """Return the processor seconds of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def script_seconds(code: str, *arguments: str) -> float:
    """Run a Python program several times and return the least processor seconds."""
    taken = []
    for _ in range(STARTS):
        before = children_seconds()
        subprocess.run([sys.executable, "-c", code, *arguments], check=True)
        taken.append(children_seconds() - before)
    return min(taken)


def command_seconds(folder: Path, *options: str) -> float:
    """Run `avzsl extract` on a folder and return the processor seconds of all its processes."""
    before = children_seconds()
    avzsl = str(Path(sys.executable).parent / "avzsl")
    with tempfile.TemporaryDirectory() as workspace:
        command = [avzsl, "extract", str(folder), "--workspace", workspace, "--device", "cpu", *options, "--quiet"]
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode not in {0, 1}:  # 1: one of the sample videos is broken on purpose
            raise SystemExit(f"{command} ended with {done.returncode}")
    return children_seconds() - before


def write_random_checkpoint(path: Path, width: int) -> None:
    """Write a checkpoint in the authors' format."""
    networks = {"video_network": build_visual_network(width), "audio_network": build_audio_network(width)}
    state = {
        f"{name}.base.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()
    }
    torch.save({"model": state}, path)


def decoded(decoder: Decoder, request: DecodingRequest) -> list[Second]:
    """Decode a video; a broken one has no seconds."""
    try:
        return list(decoder.decode(request))
    except VideoError:
        return []


def networks_seconds(extractor: SelaviExtractor, clips: Sequence[Path]) -> tuple[float, int]:
    """Return the processor seconds of the networks alone, and the seconds of video."""
    taken, count = 0.0, 0
    decoder = get_decoder("pyav")
    with NetworkQueue(extractor, seconds_at_once=BATCH_SECONDS) as queue:
        for first in range(0, len(clips), 16):
            some = clips[first : first + 16]
            requests = [DecodingRequest(path=clip, inputs=extractor.inputs) for clip in some]
            seconds = [("", second) for request in requests for second in decoded(decoder, request)]
            count += len(seconds)
            began = time.process_time()
            for start in range(0, len(seconds), queue.batch_seconds):
                list(queue.submit(seconds[start : start + queue.batch_seconds]))
            list(queue.finish([]))
            taken += time.process_time() - began
    return taken, count


def plain_loop(clips: Sequence[Path], width: int) -> float:
    """Extract the features of clips in the plainest way; return the processor seconds per second of video."""
    recipe = RECIPES["avca"]
    visual, audio = build_visual_network(width).eval(), build_audio_network(width).eval()
    began, count = time.process_time(), 0
    for clip in clips:
        with av.open(clip) as container:
            pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        resampler = av.AudioResampler(format="s16", layout="mono", rate=recipe.audio_rate_hz)
        with av.open(clip) as container:
            pieces = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        samples = np.concatenate([piece.to_ndarray()[0] for piece in pieces])
        for second in range(len(pictures) // 30):
            frames = torch.from_numpy(pictures[30 * second : 30 * second + 30]).permute(0, 3, 1, 2).float() / 255
            frames = (F.interpolate(frames, size=(112, 112), mode="bilinear") - 0.45) / 0.225
            sound = samples[second * recipe.audio_rate_hz : (second + 1) * recipe.audio_rate_hz]
            energies = logfbank(sound, recipe.audio_rate_hz, winlen=0.02, winstep=0.01, nfilt=257, nfft=1024)
            with torch.inference_mode():
                visual(frames.transpose(0, 1)[None])
                audio((torch.from_numpy(energies.T).float() - recipe.audio_mean)[None, None] / recipe.audio_deviation)
            count += 1
    return (time.process_time() - began) / count


def main() -> None:
    """Measure and print the processor seconds and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=SAMPLES, help="folder of class folders of clips with sound")
    parser.add_argument("--clips", type=int, help="only the first ones, for a shorter run")
    parser.add_argument("--width", type=int, default=64, help="width of the networks")
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users have compiled modules
    with tempfile.TemporaryDirectory() as folder:
        weights_file = Path(folder) / "random.pth"
        write_random_checkpoint(weights_file, given.width)
        measure(given, weights_file)


def measure(given: argparse.Namespace, weights_file: Path) -> None:
    """Measure with a checkpoint, and print."""
    clips = list(islice(sorted(given.videos.glob("*/*.mp4")), given.clips))
    options = ("--weights", str(weights_file), "--width", str(given.width))
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            (Path(folder) / clip.parent.name).mkdir(exist_ok=True)
            os.link(clip, Path(folder) / clip.parent.name / clip.name)
        whole = command_seconds(Path(folder), *options)
        rest = command_seconds(Path(folder), *SMALLEST)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "one").mkdir()
        (Path(folder) / "one" / "clip.mp4").write_text("not a video")
        start, smallest_start = (
            min(command_seconds(Path(folder), *each) for _ in range(STARTS)) for each in (options, SMALLEST)
        )
    plain_start = script_seconds(PLAIN_START, str(weights_file), str(given.width))
    imported = script_seconds("import torch")
    extractor_options = SelaviOptions(weights=str(weights_file), width=given.width)
    weights = resolve_weights(str(weights_file), cache_dir=Path("unused"))
    extractor = load_selavi(extractor_options, weights, device=torch.device("cpu"))
    networks, seconds = networks_seconds(extractor, clips)
    torch.set_num_threads(1)
    plain = plain_loop(clips[:2], given.width)
    print(f"{len(clips)} clips, {seconds} s of video, width {given.width}; processor seconds per second of video:")
    print(f"plain loop {plain:.2f}")
    print(f"whole extraction {whole / seconds:.2f}, which is {whole / seconds / plain:.2f} of the plain loop")
    print(f"networks {networks / seconds:.2f}")
    print(f"everything else at most {100 * (rest - smallest_start) / whole:.1f} % of the whole, without the start")
    print(f"start {start:.1f} processor seconds, which is {start / plain_start:.2f} of a plain start")
    print(f"plain start {plain_start:.1f}, of which the import of PyTorch takes {imported:.1f}")


if __name__ == "__main__":
    main()
