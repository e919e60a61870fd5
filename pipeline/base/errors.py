"""The expected errors of the pipeline. A message is one line: what was given, what is wrong, what to do."""

from pathlib import Path


class PipelineError(Exception):
    """Raised when work cannot be finished; the command ends with exit code 1."""

    exit_code = 1


class UsageError(PipelineError):
    """Raised when the input is wrong on every machine; the command ends with exit code 2."""

    exit_code = 2


class WorkspaceInUseError(PipelineError):
    """Raised when another process works in the same workspace."""


class StorageError(PipelineError):
    """Raised when the disk is full, or a path cannot be read or written."""


class NotTextError(StorageError):
    """Raised when a file that should be text is not; the command ends with exit code 2."""

    exit_code = 2


class DamagedFileError(StorageError):
    """Raised when a file does not contain the bytes that were written to it, or has another format.

    Attributes:
        path: the damaged file.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class IncompatibleFeaturesError(PipelineError):
    """Raised when features come from another extractor than the one that a model was trained with."""


class MissingStageError(PipelineError):
    """Raised when a stage is run before the stage that it needs."""


class TrainingStoppedError(PipelineError):
    """Raised when the user stopped a training, after it saved its state; the exit code is the shell's for Ctrl-C."""

    exit_code = 130


class ExtractionStoppedError(PipelineError):
    """Raised when the user stopped an extraction; finished videos are kept. The exit code is the shell's for Ctrl-C."""

    exit_code = 130
