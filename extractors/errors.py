"""What can go wrong between a video or a class name and its vectors. Every message is one line a user can act on."""

from collections.abc import Mapping, Sequence


class ExtractorError(Exception):
    """Anything expected that goes wrong in this folder."""


class VideoError(ExtractorError):
    """This video, and no other, cannot be turned into features; the message is the reason, without the path."""


class WeightsError(ExtractorError):
    """The weights of an extractor cannot be had or do not fit."""


class TextEncoderError(ExtractorError):
    """A text encoder cannot be loaded, or has no vector for a name."""


class TextSpecError(TextEncoderError):
    """What was asked for cannot be a text encoder, neither by its name nor as a file: wrong, on whatever machine."""


class NoVectorError(TextEncoderError):
    """Some phrases have no vector.

    Attributes:
        missing: those phrases, each with the words of it that are unknown; none where no word is to blame.
    """

    def __init__(self, message: str, missing: Mapping[str, Sequence[str]]) -> None:
        super().__init__(message)
        self.missing = missing


class UnavailableError(ExtractorError):
    """A decoder, device or optional library that was asked for is not on this machine."""
