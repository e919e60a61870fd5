"""Make the sound of a sample video: the sound of the movement over a background of coloured noise.

All sounds are mono at SAMPLE_RATE_HZ, float64 (N,), with values roughly in [-1, 1]. `cycles` (N,) counts the cycles of
the movement at each sample. The picture uses the same values, so a thud comes with the bounce in the picture.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SAMPLE_RATE_HZ = 44_100


def _thuds(cycles: Array, rate_hz: float, rng: np.random.Generator) -> Array:
    """Make a low, fading tone with a knock at each bounce."""
    since_seconds = cycles % 1.0 / rate_hz
    pitch_hz = rng.uniform(70.0, 110.0)
    tone = np.sin(2 * np.pi * pitch_hz * since_seconds) * np.exp(-since_seconds / 0.15)
    knock = _noise(len(cycles), 100.0, 2000.0, rng) * np.exp(-since_seconds / 0.03)
    return tone + knock


def _whirr(cycles: Array, rate_hz: float, rng: np.random.Generator) -> Array:  # noqa: ARG001 - all sounds have the same parameters
    """Make a buzz with many harmonics that becomes louder with every half turn."""
    pitch_hz = rng.uniform(180.0, 240.0)
    buzz = sum(_tone(pitch_hz * k, len(cycles)) / k**0.5 for k in range(1, 24))
    return 0.15 * buzz * (0.7 + 0.3 * np.sin(4 * np.pi * cycles))


def _rattle(cycles: Array, rate_hz: float, rng: np.random.Generator) -> Array:
    """Make a short, high hiss at both ends of every shake."""
    since_seconds = (2 * cycles) % 1.0 / (2 * rate_hz)
    low_hz = rng.uniform(5000.0, 6000.0)
    return 1.5 * _noise(len(cycles), low_hz, 12_000.0, rng) * np.exp(-since_seconds / 0.025)


def _beeps(cycles: Array, rate_hz: float, rng: np.random.Generator) -> Array:
    """Make a clear tone with two overtones while the light is on."""
    cycle = cycles % 1.0
    on = np.clip(np.minimum(cycle, 0.5 - cycle) / rate_hz / 0.005, 0.0, 1.0)  # ramps of 5 ms prevent clicks
    pitch_hz = rng.uniform(1000.0, 1300.0)
    return 0.4 * on * sum(_tone(pitch_hz * k, len(cycles)) / k for k in (1, 3, 5))


def _scrape(cycles: Array, rate_hz: float, rng: np.random.Generator) -> Array:  # noqa: ARG001
    """Make a steady hiss of middle frequencies, which stops for a moment when the slide turns."""
    turning = np.abs(np.sin(2 * np.pi * cycles)) < 0.2
    low_hz = rng.uniform(1800.0, 2200.0)
    return _noise(len(cycles), low_hz, 2.2 * low_hz, rng) * np.where(turning, 0.1, 0.7)


# A movement that is missing here (swinging) has no sound.
SOUNDS: dict[str, Callable[[Array, float, np.random.Generator], Array]] = {
    "bouncing": _thuds,
    "spinning": _whirr,
    "shaking": _rattle,
    "blinking": _beeps,
    "sliding": _scrape,
}


def _tone(frequency_hz: float, samples: int) -> Array:
    return np.sin(2 * np.pi * frequency_hz / SAMPLE_RATE_HZ * np.arange(samples))


def _noise(samples: int, low_hz: float, high_hz: float, rng: np.random.Generator) -> Array:
    """Make noise between two frequencies, with a root mean square of 0.3."""
    frequencies_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    spectrum = np.exp(2j * np.pi * rng.random(len(frequencies_hz)))
    spectrum *= (frequencies_hz >= low_hz) & (frequencies_hz < high_hz)
    return _level(np.fft.irfft(spectrum, samples), 0.3)


def _level(sound: Array, rms: float) -> Array:
    return sound * (rms / (np.sqrt(np.mean(sound**2)) + 1e-12))


def room(samples: int, loudness: float, rng: np.random.Generator) -> Array:
    """Make the background: noise that becomes weaker towards high frequencies, with rms `loudness`."""
    frequencies_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    fall = rng.uniform(0.5, 0.7)
    spectrum = np.exp(2j * np.pi * rng.random(len(frequencies_hz))) / np.maximum(frequencies_hz, 50.0) ** fall
    return _level(np.fft.irfft(spectrum, samples), loudness)


def sound(
    movement: str | None, cycles: Array, rate_hz: float, *, loudness: float, noise: float, rng: np.random.Generator
) -> Array:
    """Mix the sound of the movement at `loudness`, if it has one, with a background of rms `noise`."""
    mixed = room(len(cycles), noise, rng)
    if movement in SOUNDS:
        mixed += loudness * SOUNDS[movement](cycles, rate_hz, rng)
    return np.clip(mixed, -1.0, 1.0)
