"""extractors/picture_windows.py: windows of pictures that were encoded one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from extractors.base import PictureInput
from extractors.picture_windows import PictureWindows


@given(
    seconds=st.integers(1, 12),
    per_second=st.integers(1, 5),
    window_seconds=st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.0, 9.0]),
    asks=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_windows_are_centred_and_cut_at_the_ends(
    seconds: int, per_second: int, window_seconds: float, asks: list[bool]
) -> None:
    """It does not matter when they are asked for."""
    wanted = PictureInput(frames_per_second=per_second, side_pixels=8, resized_pixels=8, window_seconds=window_seconds)
    windows, cut = PictureWindows(wanted), []
    rows = np.arange(seconds * per_second * 2).reshape(seconds, per_second, 2)
    for second in range(seconds):
        windows.add(rows[second])
        if asks[second]:
            cut += windows.cut(is_last=False)
    cut += windows.cut(is_last=True)
    flat, margin = rows.reshape(-1, 2), round((window_seconds - 1) / 2 * per_second)
    assert len(cut) == seconds
    for second, window in enumerate(cut):
        start = max(0, second * per_second - margin)
        assert np.array_equal(window, flat[start : (second + 1) * per_second + margin])


def test_rows_that_no_window_needs_are_dropped() -> None:
    """Memory does not grow with the video."""
    wanted = PictureInput(frames_per_second=4, side_pixels=8, resized_pixels=8, window_seconds=4.0)
    windows = PictureWindows(wanted)
    for _ in range(100):
        windows.add(np.zeros((4, 2)))
        list(windows.cut(is_last=False))
        assert len(windows._rows) <= 20
