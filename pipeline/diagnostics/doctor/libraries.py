"""Import libraries that may be missing, broken or built for another machine."""

import importlib
from types import ModuleType

# Catch these only around the import of a library: an error in our own modules must keep its traceback.
_IMPORT_ERRORS = (ImportError, OSError, RuntimeError, AttributeError, ValueError)


def import_library(name: str) -> ModuleType | Exception:
    """Import a library; return the error if it cannot be imported."""
    try:
        return importlib.import_module(name)
    except _IMPORT_ERRORS as error:
        return error


def import_failure(error: Exception) -> str:
    """Describe a failed import in one line."""
    if isinstance(error, ModuleNotFoundError):
        return f"not installed ({error})"
    return f"does not load: {one_line(error)}"


def one_line(error: Exception) -> str:
    """Return the message of an error in one line, or its type if the message is empty."""
    return " ".join(str(error).split()) or type(error).__name__
