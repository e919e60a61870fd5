"""extractors/selavi/filterbank.py: equal to python_speech_features, which made the benchmark's features."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from python_speech_features import base as reference

from extractors.selavi.filterbank import FILTERS, LogFilterbank, mel_filters

RATES_HZ = (44_100, 24_000)
SHARED = Path(__file__).resolve().parents[4] / "shared"


def reference_filterbank(sound: NDArray[np.int16], rate_hz: int) -> NDArray[np.float64]:
    """Compute the filterbank with the library: (samples,) -> (257, frames)."""
    energies = reference.logfbank(sound, rate_hz, winlen=0.02, winstep=0.01, nfilt=257, nfft=1024, preemph=0.97)
    return np.asarray(energies).T


def assert_equals_reference(sound: NDArray[np.int16], rate_hz: int) -> None:
    """Check that the energies are finite and equal to the library's within 1e-4."""
    energies = LogFilterbank(rate_hz)(torch.from_numpy(sound)[None])[0].numpy()
    expected = reference_filterbank(sound, rate_hz)
    assert energies.shape == expected.shape
    assert np.isfinite(energies).all()
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-4)


def made_sound(kind: str, rate_hz: int) -> NDArray[np.int16]:
    """Make one second of a sound that is difficult in one way."""
    seconds = np.arange(rate_hz) / rate_hz
    random = np.random.default_rng(0)
    sounds = {
        "silence": np.zeros(rate_hz),
        "nearly silence": random.integers(-1, 2, rate_hz),
        "noise at full scale": random.integers(-32768, 32768, rate_hz),
        "tone at full scale": 32767 * np.sin(2 * np.pi * 440 * seconds),
        "square wave at full scale": np.where(np.sin(2 * np.pi * 1000 * seconds) < 0, -32768, 32767),
        "constant": np.full(rate_hz, 1000),
        "one click": np.where(np.arange(rate_hz) == rate_hz // 2, 32767, 0),
        "sound, then silence": random.integers(-9000, 9000, rate_hz) * (seconds < 0.5),
    }
    return sounds[kind].astype(np.int16)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(
    "kind",
    [
        "silence",
        "nearly silence",
        "noise at full scale",
        "tone at full scale",
        "square wave at full scale",
        "constant",
        "one click",
        "sound, then silence",
    ],
)
def test_equals_the_reference_on_synthetic_sounds(kind: str, rate_hz: int) -> None:
    """One second gives the (257, 99) numbers of python_speech_features, from silence to full scale."""
    sound = made_sound(kind, rate_hz)
    assert reference_filterbank(sound, rate_hz).shape == (FILTERS, 99)
    assert_equals_reference(sound, rate_hz)


@settings(max_examples=15, deadline=None)
@given(
    rate_hz=st.sampled_from(RATES_HZ),
    samples=st.integers(1, 30_000),
    loudness=st.integers(1, 32_767),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_the_reference_on_any_length_and_loudness(rate_hz: int, samples: int, loudness: int, seed: int) -> None:
    """The sounds may end within a window, or be shorter than one."""
    sound = np.random.default_rng(seed).integers(-loudness, loudness, samples, endpoint=True).astype(np.int16)
    assert_equals_reference(sound, rate_hz)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_mel_filters_equal_the_reference(rate_hz: int) -> None:
    """The filters are exactly those of the library, including the empty ones."""
    np.testing.assert_array_equal(mel_filters(rate_hz).numpy(), reference.get_filterbanks(257, 1024, rate_hz))


def test_a_batch_equals_its_sounds_one_by_one() -> None:
    """A sound does not depend on the others in its batch."""
    sounds = torch.from_numpy(np.stack([made_sound("silence", 24_000), made_sound("noise at full scale", 24_000)]))
    filterbank = LogFilterbank(24_000)
    together = filterbank(sounds)
    alone = torch.cat([filterbank(sounds[:1]), filterbank(sounds[1:])])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_a_rate_whose_window_exceeds_the_fft_fails() -> None:
    """The library would cut such windows with a warning; here they are refused."""
    with pytest.raises(ValueError, match="1920 samples is longer than the FFT of 1024"):
        LogFilterbank(96_000)


@pytest.mark.needs_shared
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_equals_the_reference_on_real_sound(rate_hz: int) -> None:
    """Two seconds of each of the first real clips with a sound track give the library's numbers."""
    clips = SHARED / "clips" / "real"
    if not clips.is_dir():
        pytest.skip("../shared/clips/real is absent")
    sounds = [sound for path in sorted(clips.glob("*.mp4"))[:12] if (sound := _sound_of(path, rate_hz)).size]
    assert len(sounds) >= 4
    for sound in sounds:
        assert_equals_reference(sound, rate_hz)


def _sound_of(path: Path, rate_hz: int) -> NDArray[np.int16]:
    pieces = [np.zeros(0, np.int16)]
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
        for frame in container.decode(audio=0) if container.streams.audio else ():
            pieces += [resampled.to_ndarray().ravel() for resampled in resampler.resample(frame)]
            if sum(map(len, pieces)) >= 2 * rate_hz:
                break
    return np.concatenate(pieces)[: 2 * rate_hz]
