"""Every expected error of the pipeline. A message is one line: what was given, what is wrong, what to do."""


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


class IncompatibleFeaturesError(PipelineError):
    """Features come from another extractor than the one a model was trained with."""


class MissingStageError(PipelineError):
    """A stage was asked for before the one it builds on."""


class TrainingStoppedError(PipelineError):
    """The user stopped a training, which saved what it had reached; the exit code is the shell's for Ctrl-C."""

    exit_code = 130
