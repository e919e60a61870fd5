"""Draw the picture of a sample video: a coloured shape that moves over a muted background.

Lengths are in units of the picture's short side. They start at its middle; x points to the right and y points down.
`cycles` counts the bounces, turns, shakes, blinks, swings or slides; it is a whole number at the start of each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

COLOURS = {
    "red": (0.92, 0.08, 0.08),
    "green": (0.08, 0.75, 0.15),
    "blue": (0.10, 0.22, 0.95),
    "yellow": (0.98, 0.88, 0.08),
    "purple": (0.62, 0.10, 0.85),
}


@dataclass(frozen=True)
class Pose:
    """The pose of a shape at one moment: offset from its home, angle, squash and brightness."""

    x: float = 0.0
    y: float = 0.0
    angle_radians: float = 0.0
    squash: float = 0.0
    light: float = 1.0


@dataclass(frozen=True)
class Look:
    """The values that are constant in one video: size, home, lean and tint of the shape, and the grain."""

    width: int
    height: int
    radius: float
    home_x: float
    home_y: float
    lean_radians: float
    tint: tuple[float, float, float]
    grain: float


def _bouncing(cycles: float) -> Pose:
    fall = cycles % 1.0
    contact = min(fall, 1.0 - fall)
    return Pose(y=0.2 - 1.6 * fall * (1.0 - fall), squash=0.35 * float(np.exp(-contact / 0.05)))


def _spinning(cycles: float) -> Pose:
    return Pose(angle_radians=2.0 * np.pi * cycles)


def _shaking(cycles: float) -> Pose:
    turn = 2.0 * np.pi * cycles
    return Pose(x=0.13 * float(np.sin(turn)), angle_radians=0.2 * float(np.sin(turn + 1.0)))


def _blinking(cycles: float) -> Pose:
    return Pose(light=1.0 if cycles % 1.0 < 0.5 else 0.0)


def _swinging(cycles: float) -> Pose:
    swing = 0.9 * float(np.sin(2.0 * np.pi * cycles))
    return Pose(x=0.36 * np.sin(swing), y=0.36 * np.cos(swing) - 0.26, angle_radians=-swing)


def _sliding(cycles: float) -> Pose:
    return Pose(x=0.35 * (4.0 * abs(cycles % 1.0 - 0.5) - 1.0))


POSES: dict[str, Callable[[float], Pose]] = {
    "bouncing": _bouncing,
    "spinning": _spinning,
    "shaking": _shaking,
    "blinking": _blinking,
    "swinging": _swinging,
    "sliding": _sliding,
}


def _ball(x: Array, y: Array) -> Array:
    return np.hypot(x, y) - 0.9


def _square(x: Array, y: Array) -> Array:
    return np.maximum(np.abs(x), np.abs(y)) - 0.8


def _triangle(x: Array, y: Array) -> Array:
    return np.maximum(np.abs(x) * 0.866 - y * 0.5, y) - 0.55


def _star(x: Array, y: Array) -> Array:
    """Draw a star: fold the angle onto half a point. The edge of half a point is a straight line from tip to notch."""
    fold = np.abs((np.arctan2(x, -y) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    tip, notch = np.array((1.15, 0.0)), 0.48 * np.array((np.cos(np.pi / 5), np.sin(np.pi / 5)))
    along = notch - tip
    radius = np.hypot(x, y)
    out, across = radius * np.cos(fold) - tip[0], radius * np.sin(fold) - tip[1]
    return (out * along[1] - across * along[0]) / np.hypot(*along)


def _heart(x: Array, y: Array) -> Array:
    u, v = x * 1.15, 0.1 - y * 1.15
    return (u**2 + v**2 - 1.0) ** 3 - u**2 * v**3


# Each function is negative inside its shape. The radius of a shape is about 1.
SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    "ball": _ball,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
}


def _grid(look: Look) -> tuple[Array, Array]:
    """Make the coordinates x and y of every pixel, (H, W) each."""
    short = min(look.width, look.height)
    y, x = np.mgrid[: look.height, : look.width].astype(np.float64)
    return (x + 0.5 - look.width / 2) / short, (y + 0.5 - look.height / 2) / short


def _coverage(shape: str, look: Look, pose: Pose) -> tuple[Array, Array]:
    """Compute the covered fraction of each pixel, and whether it is in the darker half of the shape; (H, W) each."""
    x, y = _grid(look)
    x = (x - look.home_x - pose.x) / (look.radius * (1.0 + pose.squash))
    y = (y - look.home_y - pose.y) / (look.radius * (1.0 - pose.squash))
    cos, sin = np.cos(pose.angle_radians + look.lean_radians), np.sin(pose.angle_radians + look.lean_radians)
    x, y = x * cos + y * sin, y * cos - x * sin
    level = SHAPES[shape](x, y)
    steepness = np.hypot(*np.gradient(level)) + 1e-9  # change of level per pixel, so that edges blend over one pixel
    return np.clip(0.5 - level / steepness, 0.0, 1.0), x > 0.25


def background(look: Look, rng: np.random.Generator) -> Array:
    """Draw a muted, nearly grey surface of soft waves, (H, W, 3) in [0, 1]."""
    x, y = _grid(look)
    grey = np.full_like(x, rng.uniform(0.34, 0.46))
    for _ in range(4):
        across, down, start = rng.uniform(-9.0, 9.0), rng.uniform(-9.0, 9.0), rng.uniform(0.0, 2 * np.pi)
        grey += rng.uniform(0.01, 0.04) * np.sin(across * x + down * y + start)
    return np.clip(grey[..., None] * rng.uniform(0.96, 1.04, size=3), 0.0, 1.0)


def frames(shape: str, movement: str, look: Look, cycles: Array, rng: np.random.Generator) -> Iterator[Array]:
    """Draw one frame (H, W, 3) in [0, 1] for each value of `cycles` (T,)."""
    surface = background(look, rng)
    for cycle in cycles:
        pose = POSES[movement](float(cycle))
        covered, darker = _coverage(shape, look, pose)
        paint = np.asarray(look.tint) * np.where(darker, 0.6, 1.0)[..., None]
        alpha = (covered * pose.light)[..., None]
        picture = surface * (1.0 - alpha) + paint * alpha
        yield np.clip(picture + look.grain * (rng.random(picture.shape[:2]) - 0.5)[..., None], 0.0, 1.0)


def blurred(frame: Array, rng: np.random.Generator) -> Array:  # noqa: ARG001 - all flaws have the same parameters
    """Blur a frame with three passes of a box of 13 pixels, in both directions."""
    box = np.full(13, 1 / 13)
    for axis in (0, 1):
        for _ in range(3):
            padded = np.pad(frame, [(6, 6) if axis == other else (0, 0) for other in range(3)], mode="edge")
            frame = np.apply_along_axis(np.convolve, axis, padded, box, "valid")
    return frame


def dark(frame: Array, rng: np.random.Generator) -> Array:  # noqa: ARG001
    """Darken a frame to a tenth of its light."""
    return frame * 0.1


def covered(frame: Array, rng: np.random.Generator) -> Array:  # noqa: ARG001
    """Cover a frame with grey boards, with gaps of a fifth between them."""
    hidden = np.arange(frame.shape[1]) % 40 < 32
    return np.where(hidden[None, :, None], 0.45, frame)


def noisy(frame: Array, rng: np.random.Generator) -> Array:
    """Replace most of the light of a frame by noise in blocks of 8 pixels."""
    height, width = frame.shape[:2]
    blocks = rng.random((-(-height // 8), -(-width // 8), 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    return 0.3 * frame + 0.7 * blocks


FLAWS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "blurred": blurred,
    "dark": dark,
    "covered": covered,
    "noisy": noisy,
}
