"""What can go wrong between a video or a class name and its vectors. Every message is one line a user can act on."""


class ExtractorError(Exception):
    """Anything expected that goes wrong in this folder."""


class VideoError(ExtractorError):
    """This video, and no other, cannot be turned into features; the message is the reason, without the path."""


class WeightsError(ExtractorError):
    """The weights of an extractor cannot be had or do not fit."""


class TextEncoderError(ExtractorError):
    """A text encoder cannot be loaded, or has no vector for a name."""


class UnavailableError(ExtractorError):
    """A decoder, device or optional library that was asked for is not on this machine."""
