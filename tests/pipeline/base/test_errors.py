"""pipeline/base/errors.py: the exit codes of errors."""

import pytest

from pipeline.base import errors


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.PipelineError, 1),
        (errors.UsageError, 2),
        (errors.WorkspaceInUseError, 1),
        (errors.StorageError, 1),
        (errors.IncompatibleFeaturesError, 1),
        (errors.MissingStageError, 1),
    ],
)
def test_every_error_is_a_pipeline_error_with_an_exit_code(error: type[errors.PipelineError], exit_code: int) -> None:
    """Wrong usage has exit code 2, failed work 1."""
    assert issubclass(error, errors.PipelineError)
    assert error.exit_code == exit_code
