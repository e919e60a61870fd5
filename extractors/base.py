"""The interface of extractors, which compute a vector from a second of picture or sound, and what they are given."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:  # decoding works without torch, and avzsl doctor reports a missing torch
    import torch
    from torch import Tensor

KeyT = TypeVar("KeyT", bound=Hashable)  # the caller's key of a video; results contain it

# Whole seconds, or the windows of the scripts that made the benchmark's features.
Windows = Literal["seconds", "avca", "tcaf"]
# bilinear: of the four nearest pixels, as torch's `interpolate`. The others average over all pixels that a pixel of the
# smaller picture covers, as Pillow and torchvision do.
Interpolation = Literal["bilinear", "bilinear-antialiased", "bicubic-antialiased"]
# Where the middle of a picture begins if the pixels left over are odd: half a pixel up, down, or to the even number.
CropRounding = Literal["up", "down", "even"]
# Everything that can change a feature, as plain values: the attributes of a feature file.
Identity = dict[str, str | int | float | bool]
_MOST = 60  # pictures of a second, and seconds of a window
# Of the networks; that of the preprocessing is fixed.
Precision = Literal["float32", "bfloat16", "float16"]
# auto: the fastest one that is installed, for the device and the precision.
Runtime = Literal["auto", "eager", "traced", "openvino"]
OnProgress = Callable[[int, int | None], None]  # bytes fetched so far; bytes in total, None if the server gives no size


@dataclass(frozen=True, kw_only=True)
class PictureInput:
    """The pictures that an extractor takes.

    Attributes:
        frames_per_second: number F of pictures of a second, at equal distances.
        side_pixels: side S of the square that is cut out of the middle.
        resized_pixels: the short side before cutting, or height and width.
        interpolation: how a picture is resized.
        crop_rounding: where the middle begins.
        is_float: float32 in 0..1; otherwise uint8, rounded.
        first_frame: time of the first picture of a second, in distances between two pictures.
        window_seconds: the seconds of picture that a vector is computed from, centred at its second. At the ends of a
            clip the window is cut.

    Raises:
        ValueError: a number out of its range.
    """

    frames_per_second: int
    side_pixels: int
    resized_pixels: int | tuple[int, int]
    interpolation: Interpolation = "bicubic-antialiased"
    crop_rounding: CropRounding = "down"
    is_float: bool = False
    first_frame: float = 0.0
    window_seconds: float = 1.0

    def __post_init__(self) -> None:
        _at_least(self.frames_per_second, 1, "frames_per_second")
        _at_least(self.side_pixels, 1, "side_pixels")
        sides = self.resized_pixels if isinstance(self.resized_pixels, tuple) else (self.resized_pixels,)
        _at_least(min(sides), self.side_pixels, "resized_pixels")
        _at_least(self.window_seconds, 1, "window_seconds")
        if not 0 <= self.first_frame < 1:
            raise ValueError(f"first_frame is {self.first_frame}, must be at least 0 and less than 1")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the pictures of a second: (F, 3, S, S)."""
        return (self.frames_per_second, 3, self.side_pixels, self.side_pixels)

    @property
    def dtype(self) -> Literal["float32", "uint8"]:
        """The type of their numbers."""
        return "float32" if self.is_float else "uint8"


@dataclass(frozen=True, kw_only=True)
class SoundInput:
    """The sound that an extractor takes: mono, 16 bits.

    Attributes:
        rate_hz: samples per second.
        window_seconds: the seconds of sound that a vector is computed from, centred at its second. At the ends of a
            clip the window is cut.

    Raises:
        ValueError: a number out of its range.
    """

    rate_hz: int
    window_seconds: float = 1.0

    def __post_init__(self) -> None:
        _at_least(self.rate_hz, 1, "rate_hz")
        _at_least(self.window_seconds, 1, "window_seconds")


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What decoding must deliver for an extractor.

    Attributes:
        picture: the pictures; None if the extractor only hears.
        sound: the sound; None if the extractor only sees.
        windows: how a video is cut into seconds (`decoding/timing/windows.py`).

    Raises:
        ValueError: neither picture nor sound, or a window around seconds that overlap.
    """

    picture: PictureInput | None
    sound: SoundInput | None
    windows: Windows = "seconds"

    def __post_init__(self) -> None:
        if self.picture is None and self.sound is None:
            raise ValueError("an extractor must see or hear")
        widest = max(part.window_seconds for part in (self.picture, self.sound) if part is not None)
        if self.windows != "seconds" and widest > 1:
            raise ValueError(f"a vector of {widest} s needs whole seconds, not the {self.windows} windows")


@dataclass(frozen=True, kw_only=True)
class ExtractorOptions:
    """The options that every extractor has; those of one extractor are in its folder. Each can change a feature.

    Attributes:
        name: name of the extractor.
        weights: auto, a name that the extractor knows, or the path of a file or folder.
        precision: number format of the networks.
    """

    name: str
    weights: str = "auto"
    precision: Precision = "float32"


OptionsT = TypeVar("OptionsT", bound=ExtractorOptions)


@dataclass(frozen=True)
class ResolvedWeights:
    """Weights that can be loaded without a network connection.

    Attributes:
        name: name of the weights or of the file.
        path: the file or folder; None for untrained weights.
        sha256: sha256 of the files; empty for untrained weights.
        note: one line to show to the user; may be empty.
    """

    name: str
    path: Path | None
    sha256: str
    note: str


WeightsT = TypeVar("WeightsT", bound=ResolvedWeights)


@dataclass(frozen=True)
class About:
    """An extractor for people.

    Attributes:
        name: the name in commands and settings.
        title: the name in messages.
        picture: the encoder of pictures and the width of its vectors; empty if there is none.
        sound: the encoder of sound and the width of its vectors; empty if there is none.
        text: whether class names have vectors in the same spaces, so that it recognises without training.
        licence: licence of the weights.
        download: what a download by name takes; empty if nothing is downloaded.
        extra: the extra of avzsl that it needs; empty if it needs none.
        summary: what it is for, in one sentence.
    """

    name: str
    title: str
    picture: str
    sound: str
    text: bool
    licence: str
    download: str
    extra: str
    summary: str


def basic_identity(options: ExtractorOptions, weights: ResolvedWeights, version: int) -> Identity:
    """Return what the identity of every extractor has: its name, the version of its code, weights and precision."""
    return {
        "extractor": options.name,
        "extractor_version": version,
        "weights": weights.name,
        "weights_sha256": weights.sha256,
        "precision": options.precision,
    }


def own_weights(weights: ResolvedWeights, kind: type[WeightsT]) -> WeightsT:
    """Return the weights as those of an extractor's own class.

    Raises:
        TypeError: they are weights of another extractor.
    """
    if not isinstance(weights, kind):
        raise TypeError(f"these are weights of another extractor: {weights}")
    return weights


def check_windows(frames_per_second: int, **window_seconds: float) -> None:
    """Check the options of an extractor that looks at windows.

    Args:
        frames_per_second: number of pictures of a second.
        window_seconds: name of an option -> length of a window in seconds.

    Raises:
        ValueError: a number that is not from 1 to 60.
    """
    for name, value in {"frames_per_second": frames_per_second, **window_seconds}.items():
        if not 1 <= value <= _MOST:
            raise ValueError(f"{name} is {value}, must be 1 to {_MOST}")


class ExtractorFamily(ABC, Generic[OptionsT]):
    """How an extractor is found, described and loaded. Each has a class of options of its own."""

    def complete(self, options: OptionsT, given: frozenset[str]) -> OptionsT:  # noqa: ARG002 - for those that need it
        """Set what follows from the options that the user gave, and make the path of the weights absolute.

        Args:
            options: the options.
            given: names of those that the user gave.

        Raises:
            WeightsSpecError: weights that are neither a known name nor exist as a file or folder.
        """
        path = Path(options.weights).expanduser()
        return replace(options, weights=str(path.absolute())) if path.exists() else options

    @abstractmethod
    def find_weights(
        self,
        options: OptionsT,
        *,
        cache_dir: Path,
        on_progress: OnProgress | None = None,
    ) -> ResolvedWeights:
        """Find the weights that the options name, and fetch them if they are not in the cache.

        Raises:
            WeightsError: weights that do not exist, cannot be fetched, or are damaged.
        """

    def is_cached(self, cache_dir: Path) -> bool:  # noqa: ARG002 - for those that are fetched by name
        """Return whether the weights that are used by default are in the cache.

        Raises:
            WeightsError: they have changed since they were fetched.
        """
        return False

    @abstractmethod
    def describe(self, options: OptionsT, weights: ResolvedWeights) -> Identity:
        """Return everything that can change a feature, without building a network.

        Raises:
            WeightsError: weights of another architecture.
        """

    @abstractmethod
    def widths(self, options: OptionsT, weights: ResolvedWeights) -> tuple[int | None, int | None]:
        """Return the widths of a visual and of an audio vector; None for a modality that the extractor lacks."""

    @abstractmethod
    def load(
        self,
        options: OptionsT,
        weights: ResolvedWeights,
        *,
        device: "torch.device",
        runtime: Runtime = "auto",
    ) -> "Extractor":
        """Build the networks with the given weights on a device.

        Raises:
            WeightsError: weights that do not fit.
            UnavailableError: a runtime that cannot run here, or a missing library.
        """

    def where(self, options: OptionsT, weights: ResolvedWeights) -> Identity:  # noqa: ARG002 - for those that need it
        """Return where the weights are, and the paired text encoder: what no feature depends on.

        With it and the identity, the extractor can be loaded again from the attributes of its features.
        """
        return {"weights_file": options.weights} if Path(options.weights).is_absolute() else {}


def _at_least(value: float, least: float, name: str) -> None:
    if value < least:
        raise ValueError(f"{name} is {value}, must be at least {least}")


class EncodesSeconds:
    """An extractor whose vectors are those of single seconds."""

    identity: Identity

    def visual_of_windows(self, rows: "Tensor") -> "Tensor":
        """Refuse windows (N, K, E): a vector is computed from one second."""
        name = self.identity["extractor"]
        raise NotImplementedError(f"{name} encodes single seconds, not windows of {rows.shape[1]} pictures")


class Extractor(Protocol):
    """Networks and their preprocessing, loaded on a device.

    Legend: N seconds, F pictures of a second, S side of a picture, L samples.

    Attributes:
        identity: everything that can change a feature.
        inputs: what decoding must deliver.
        visual_width: width of a visual vector; None if the extractor only hears.
        audio_width: width of an audio vector; None if the extractor only sees.
        paired_text: the text encoder, as `--text` names it, whose vectors lie in the same spaces; empty if there is
            none.
        device: device of the networks; inputs may be on any device.
        calls_at_once: number of threads that must call the extractor to use the whole device.
        runtime: what runs the networks, for people.
    """

    @property
    def identity(self) -> Mapping[str, str | int | float | bool]: ...  # noqa: D102 - described above

    @property
    def inputs(self) -> InputSpec: ...  # noqa: D102 - described above

    @property
    def visual_width(self) -> int | None: ...  # noqa: D102 - described above

    @property
    def audio_width(self) -> int | None: ...  # noqa: D102 - described above

    @property
    def paired_text(self) -> str: ...  # noqa: D102 - described above

    @property
    def device(self) -> "torch.device": ...  # noqa: D102 - described above

    @property
    def calls_at_once(self) -> int: ...  # noqa: D102 - described above

    @property
    def runtime(self) -> str: ...  # noqa: D102 - described above

    def visual(self, frames: "Tensor") -> "Tensor":
        """Compute the vectors of seconds of picture.

        Args:
            frames: (N, F, 3, S, S) uint8 or float32 in 0..1, RGB, as `inputs.picture` says.

        Returns:
            (N, visual_width) float32, on `device`. If the window of the picture is longer than a second, (N, F, E):
            one row per picture, from which `visual_of_windows` computes vectors.
        """
        ...

    def visual_of_windows(self, rows: "Tensor") -> "Tensor":
        """Compute the vectors of N windows of equal length from the rows (N, K, E) of their K pictures.

        Returns:
            (N, visual_width) float32, on `device`.
        """
        ...

    def audio(self, sound: "Tensor") -> "Tensor":
        """Compute the vectors of seconds of sound.

        Args:
            sound: (N, L) int16, mono: whole windows, or those that the end of a clip cuts to the same length.

        Returns:
            (N, audio_width) float32, on `device`.
        """
        ...


def width_of(width: int | None) -> int:
    """Return the width of the vectors of a modality in a feature file: 0 for one that the extractor does not have."""
    return width or 0
