"""Every expected error of the pipeline. A message is one line: what was given, what is wrong, what to do."""

from pathlib import Path


class PipelineError(Exception):
    """Work that could not be finished; the command ends with exit code 1."""

    exit_code = 1


class UsageError(PipelineError):
    """What the user gave cannot be right, whatever the machine does; the command ends with exit code 2."""

    exit_code = 2


class WorkspaceInUseError(PipelineError):
    """Another process works in the same workspace."""


class StorageError(PipelineError):
    """The disk is full, or a place cannot be read or written."""


class NoTextError(StorageError):
    """A file that should be text is none, whatever the machine does; the command ends with exit code 2."""

    exit_code = 2


class DamagedFileError(StorageError):
    """A file holds other bytes than were written to it, or is something else.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class IncompatibleFeaturesError(PipelineError):
    """Features come from another extractor than the one a model was trained with."""


class MissingStageError(PipelineError):
    """A stage was asked for before the one it builds on."""


class TrainingStoppedError(PipelineError):
    """The user stopped a training, which saved what it had reached; the exit code is the shell's for Ctrl-C."""

    exit_code = 130


class ExtractionStoppedError(PipelineError):
    """The user stopped an extraction, which kept what was finished; the exit code is the shell's for Ctrl-C."""

    exit_code = 130
