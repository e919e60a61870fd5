"""Limits of what a file may ask for: damaged or hostile files declare days of video, or pictures of any size."""

from dataclasses import dataclass

from extractors.errors import VideoError

LONGEST_SECONDS = 43_200.0  # half a day
LARGEST_PICTURE_PIXELS = 8192 * 8192  # 8K has half of them
# A longer video in fewer bytes per second has wrong time stamps: speech at 6 kbit/s has 750, still pictures hundreds.
_FREE_SECONDS = 600
_LEAST_BYTES_PER_SECOND = 16


@dataclass(frozen=True)
class LengthLimit:
    """The limit of the seconds of one video.

    Attributes:
        size_bytes: size of the file.
        longest_seconds: largest number of seconds.
    """

    size_bytes: int
    longest_seconds: float = LONGEST_SECONDS

    def check(self, seconds: int) -> None:
        """Refuse a video that has more seconds than the limit, or than its bytes can hold.

        Raises:
            VideoError: such a video; the message says what to do.
        """
        if seconds > self.longest_seconds:
            hours = self.longest_seconds / 3600
            raise VideoError(
                f"longer than {hours:.3g} h, the limit: list segments of it with start and end, or raise the limit "
                "with --set extraction.longest_seconds=SECONDS"
            )
        if seconds > _FREE_SECONDS and self.size_bytes < _LEAST_BYTES_PER_SECOND * seconds:
            raise VideoError(
                f"more than {seconds - 1} s of video in {self.size_bytes} bytes: damaged time stamps; fetch it again"
            )


def check_picture_size(width: int, height: int) -> None:
    """Refuse pictures that would take gigabytes of memory.

    Raises:
        VideoError: larger pictures than 8192 x 8192.
    """
    if width * height > LARGEST_PICTURE_PIXELS:
        raise VideoError(f"its pictures have {width} x {height} pixels; the limit is that of 8192 x 8192")
