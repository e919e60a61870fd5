"""pipeline/base/errors.py: what a command's exit code will be."""

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
    """Usage ends with 2, work that fails with 1."""
    assert issubclass(error, errors.PipelineError)
    assert error.exit_code == exit_code
