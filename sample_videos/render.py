"""Render the sample videos: `python render.py` writes the same pictures and sounds again, next to this script.

A class is a composition of colour, shape and movement. Each clip has random sizes, positions, speeds and noise, and
sometimes a flaw. They come from a generator seeded by the clip's name, so a new class or clip changes no other clip.
"""

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pictures
import sounds

SEED = 7
CLIPS_PER_CLASS = 8
FLAW_PROBABILITY = 0.16
SOUND_FLAWS = ("swamped", "foreign", "faint")
SIZES = ((128, 128), (144, 112), (160, 120), (112, 144))
FRAME_RATES_HZ = (15, 20, 24)
DURATIONS_SECONDS = (3.0, 3.0, 3.2, 3.5, 3.8, 4.3, 5.0)
# Slowest and fastest rate of each movement, in cycles per second.
RATES_HZ = {
    "bouncing": (0.9, 1.5),
    "spinning": (0.6, 1.2),
    "shaking": (4.0, 5.5),
    "blinking": (1.0, 1.8),
    "swinging": (0.4, 0.7),
    "sliding": (0.3, 0.6),
}
TRAIN_CLASSES = (
    "red ball bouncing",
    "red square swinging",
    "red heart shaking",
    "green square bouncing",
    "green triangle blinking",
    "green star sliding",
    "blue ball blinking",
    "blue triangle shaking",
    "blue heart spinning",
    "yellow ball spinning",
    "yellow heart sliding",
    "yellow triangle swinging",
    "purple star shaking",
    "purple square blinking",
)
VAL_UNSEEN_CLASSES = ("red triangle sliding", "green heart blinking", "blue star bouncing", "purple ball swinging")
TEST_UNSEEN_CLASSES = (
    "red star blinking",
    "green ball shaking",
    "blue square sliding",
    "yellow square shaking",
    "purple heart bouncing",
    "purple triangle spinning",
)
NO_SOUND = ("red ball bouncing", "008_no_sound")
BROKEN = ("yellow ball spinning", "008_broken")


@dataclass(frozen=True)
class Clip:
    """One video: its class, and everything that was drawn at random for it."""

    class_name: str
    stem: str
    look: pictures.Look
    frame_rate_hz: int
    duration_seconds: float
    rate_hz: float
    phase: float
    loudness: float
    noise: float
    flaw: str | None

    @property
    def path(self) -> str:
        """The path relative to the folder of the sample videos, with forward slashes."""
        return _path(self.class_name, self.stem)

    def generator(self, purpose: str) -> np.random.Generator:
        """Make a random generator that depends only on the clip's name and on the purpose."""
        return _generator(self.path, purpose)

    def cycles(self, seconds: np.ndarray) -> np.ndarray:
        """Compute the position of the movement in its cycle at these times."""
        return self.phase + self.rate_hz * seconds


def _path(class_name: str, stem: str) -> str:
    return f"{class_name.replace(' ', '_')}/{stem}.mp4"


def _generator(path: str, purpose: str) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(f"{path} {purpose}".encode())])


def plan(class_name: str, stem: str) -> Clip:
    """Draw everything that differs between clips."""
    colour, _, movement = class_name.split()
    rng = _generator(_path(class_name, stem), "plan")
    width, height = SIZES[rng.integers(len(SIZES))]
    brightness, drift = rng.uniform(0.88, 1.0), rng.uniform(-0.04, 0.04, size=3)
    tint = np.clip(np.asarray(pictures.COLOURS[colour]) * brightness + drift, 0.0, 1.0)
    look = pictures.Look(
        width=width,
        height=height,
        radius=rng.uniform(0.25, 0.34),
        home_x=rng.uniform(-0.06, 0.06),
        home_y=rng.uniform(-0.06, 0.06),
        lean_radians=rng.uniform(-0.25, 0.25),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])),
        grain=rng.uniform(0.0, 0.04),
    )
    flaws = (*pictures.FLAWS, *SOUND_FLAWS)
    return Clip(
        class_name=class_name,
        stem=stem,
        look=look,
        frame_rate_hz=FRAME_RATES_HZ[rng.integers(len(FRAME_RATES_HZ))],
        duration_seconds=DURATIONS_SECONDS[rng.integers(len(DURATIONS_SECONDS))],
        rate_hz=rng.uniform(*RATES_HZ[movement]),
        phase=rng.uniform(),
        loudness=rng.uniform(0.4, 0.8),
        noise=rng.uniform(0.01, 0.03),
        flaw=flaws[rng.integers(len(flaws))] if rng.uniform() < FLAW_PROBABILITY else None,
    )


def plan_class(class_name: str) -> list[Clip]:
    """Plan every clip of a class, including the clip without sound and the broken clip."""
    stems = [f"{index:03d}" for index in range(CLIPS_PER_CLASS)]
    stems += [stem for name, stem in (NO_SOUND, BROKEN) if name == class_name]
    return [plan(class_name, stem) for stem in stems]


def render_frames(clip: Clip) -> Iterator[np.ndarray]:
    """Yield every frame of a clip: (H, W, 3) uint8."""
    _, shape, movement = clip.class_name.split()
    seconds = np.arange(round(clip.duration_seconds * clip.frame_rate_hz)) / clip.frame_rate_hz
    rng = clip.generator("picture")
    for frame in pictures.frames(shape, movement, clip.look, clip.cycles(seconds), rng):
        flawed = pictures.FLAWS[clip.flaw](frame, rng) if clip.flaw in pictures.FLAWS else frame
        yield np.rint(255 * flawed).astype(np.uint8)


def render_sound(clip: Clip) -> np.ndarray:
    """Make the sound of a clip: (N,) float32 at SAMPLE_RATE_HZ."""
    movement, rng = clip.class_name.split()[2], clip.generator("sound")
    loudness, noise = clip.loudness, clip.noise
    if clip.flaw == "foreign":
        others = [name for name in sounds.SOUNDS if name != movement]
        movement = others[rng.integers(len(others))]
    elif clip.flaw == "faint":
        loudness *= 0.03
    elif clip.flaw == "swamped":
        noise = 0.4
    seconds = np.arange(round(clip.duration_seconds * sounds.SAMPLE_RATE_HZ)) / sounds.SAMPLE_RATE_HZ
    sound = sounds.sound(movement, clip.cycles(seconds), clip.rate_hz, loudness=loudness, noise=noise, rng=rng)
    return sound.astype(np.float32)


def write_clip(clip: Clip, folder: Path) -> Path:
    """Encode a clip as H.264 and AAC in one thread, so that the same clip always gives the same bytes."""
    path = folder / clip.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        # Without mbtree=0 the output of x264 depends on uninitialised memory: equal frames give different bytes.
        options = {"crf": "29", "preset": "slower", "threads": "1", "x264-params": "mbtree=0"}
        video = container.add_stream("libx264", rate=clip.frame_rate_hz, options=options)
        video.width, video.height, video.pix_fmt = clip.look.width, clip.look.height, "yuv420p"
        video.codec_context.thread_count = 1
        audio = None
        if clip.stem != NO_SOUND[1]:
            audio = container.add_stream("aac", rate=sounds.SAMPLE_RATE_HZ, layout="mono")
            audio.bit_rate = 32_000
        for index, pixels in enumerate(render_frames(clip)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, clip.frame_rate_hz)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            _write_sound(container, audio, render_sound(clip))
    if clip.stem == BROKEN[1]:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])  # the index of an mp4 file is at its end
    return path


def _write_sound(container: av.container.OutputContainer, stream: av.AudioStream, sound: np.ndarray) -> None:
    for start in range(0, len(sound), 1024):  # an AAC frame is 1024 samples
        frame = av.AudioFrame.from_ndarray(sound[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = sounds.SAMPLE_RATE_HZ, start, Fraction(1, sounds.SAMPLE_RATE_HZ)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def splits() -> dict[str, list[Clip]]:
    """Assign the clips to training, validation and test; SPLITS_HEADER describes the rules."""
    assigned: dict[str, list[Clip]] = {
        "train": [],
        "val_seen": [],
        "val_unseen": [],
        "test_seen": [],
        "test_unseen": [],
    }
    for name in TRAIN_CLASSES:
        clips = plan_class(name)
        assigned["val_seen"] += clips[:1]
        assigned["test_seen"] += clips[1:3]
        assigned["train"] += clips[3:]
    for name in VAL_UNSEEN_CLASSES:
        clips = plan_class(name)
        assigned["test_seen"] += clips[:2]
        assigned["val_unseen"] += clips[2:]
    for name in TEST_UNSEEN_CLASSES:
        assigned["test_unseen"] += plan_class(name)
    return assigned


SPLITS_HEADER = """\
# Written by render.py: which videos are for training, validation and test. Paths are relative to this folder.
#
# Trained on in stage 1 (train; one video each in val_seen, two in test_seen):
{train}
# Unseen in stage 1, trained on in stage 2 (val_unseen; two videos each in test_seen):
{val_unseen}
# Never trained on (test_unseen):
{test_unseen}
"""


def splits_yaml() -> str:
    """Format the splits as YAML with one video per line, after a header that lists seen and unseen classes."""
    classes = {"train": TRAIN_CLASSES, "val_unseen": VAL_UNSEEN_CLASSES, "test_unseen": TEST_UNSEEN_CLASSES}
    header = SPLITS_HEADER.format_map(
        {split: "\n".join(f"#   {name}" for name in names) for split, names in classes.items()}
    )
    blocks = [f"{split}:\n" + "".join(f"  - {clip.path}\n" for clip in clips) for split, clips in splits().items()]
    return "\n".join((header, *blocks))


def main() -> None:
    """Render every clip and write the splits."""
    parser = argparse.ArgumentParser(description="Render the sample videos.")
    here = Path(__file__).parent
    parser.add_argument(
        "--output", type=Path, default=here, metavar="DIR", help="output folder; default: the folder of this script"
    )
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    paths = [write_clip(clip, folder) for clips in splits().values() for clip in clips]
    (folder / "splits.yaml").write_text(splits_yaml(), encoding="utf-8")
    print(f"{len(paths)} videos, {sum(path.stat().st_size for path in paths) / 2**20:.1f} MiB, in {folder}")


if __name__ == "__main__":
    main()
