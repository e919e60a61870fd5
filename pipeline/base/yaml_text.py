"""Parse YAML that a user wrote; every fault is one line."""

from typing import Any

import yaml

from pipeline.base.errors import UsageError

# The versions of libyaml read 100,000 videos in half a second instead of five, and limit how deep a text is nested.
_WITH_VALUES = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXTS_ONLY = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
# What PyYAML raises for dates and numbers that there are not.
_NO_VALUE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)


def parse_yaml(text: str, where: str, *, texts_only: bool = False) -> Any:  # noqa: ANN401 - any YAML value
    """Parse a YAML document of plain values.

    Args:
        text: the document.
        where: the file, for the message.
        texts_only: whether every value stays the text that was written; otherwise numbers, dates and the like are
            converted.

    Raises:
        UsageError: text that is not YAML, or has a value that there is not, such as a 45th day.
    """
    try:
        return yaml.load(text, Loader=_TEXTS_ONLY if texts_only else _WITH_VALUES)  # noqa: S506 - both build plain values
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())[:300]}") from error
    except _NO_VALUE as error:
        raise UsageError(
            f"{where} is not YAML: it has a date or a number that there is not. Put a name into 'quotes'"
        ) from error
