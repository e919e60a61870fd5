"""The errors of extractors. Every message is one line that tells the user what to do."""

from collections.abc import Mapping, Sequence


class ExtractorError(Exception):
    """The base class of all expected errors in this folder."""


class VideoError(ExtractorError):
    """A single video cannot be converted to features; the message is the reason, without the path."""


class WeightsError(ExtractorError):
    """The weights of an extractor cannot be fetched or do not fit."""


class WeightsSpecError(WeightsError):
    """The user named wrong weights.

    Attributes:
        missing: what the user named, if it is neither weights that the extractor knows nor a path that exists; the
            message then says what to give.
    """

    def __init__(self, message: str, missing: str = "") -> None:
        super().__init__(message)
        self.missing = missing


class TextEncoderError(ExtractorError):
    """A text encoder cannot be loaded, or has no vector for a name."""


class TextSpecError(TextEncoderError):
    """A text spec is neither the name of a text encoder nor a file of one, on any machine."""


class NoVectorError(TextEncoderError):
    """Some phrases have no vector.

    Attributes:
        missing: phrases without a vector, each with its unknown words; empty if no unknown word is the cause.
    """

    def __init__(self, message: str, missing: Mapping[str, Sequence[str]]) -> None:
        super().__init__(message)
        self.missing = missing


class UnavailableError(ExtractorError):
    """A requested decoder, device or optional library is not available on this machine."""
