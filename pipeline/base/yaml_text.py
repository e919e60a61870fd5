"""Parse YAML that a user wrote; every fault is one line."""

from collections import Counter
from typing import Any

import yaml

from pipeline.base.errors import UsageError

# The versions of libyaml read 100,000 videos in half a second instead of five, and limit how deep a text is nested.
_SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BASE_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
# What PyYAML raises for dates and numbers that there are not.
_NO_VALUE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)


class _KeyTwiceError(Exception):
    """A mapping has the same key twice."""


class _KeysOnce:
    """Refuses a mapping with the same key twice: PyYAML would silently keep the last of its values."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:  # noqa: ANN401 - as PyYAML
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        repeated, times = keys.most_common(1)[0] if keys else ("", 0)
        if times > 1:
            raise _KeyTwiceError(f"{repeated!r} appears twice in one mapping")
        return super().construct_mapping(node, deep)  # type: ignore[misc]  # of the loader that this is mixed into


class _WithValues(_KeysOnce, _SAFE_LOADER):  # type: ignore[misc]  # the loader depends on how PyYAML is built
    """Converts numbers, dates and the like."""


class _TextsOnly(_KeysOnce, _BASE_LOADER):  # type: ignore[misc]
    """Leaves every value the text that was written."""


def parse_yaml(text: str, where: str, *, texts_only: bool = False) -> Any:  # noqa: ANN401 - any YAML value
    """Parse a YAML document of plain values.

    Args:
        text: the document.
        where: the file, for the message.
        texts_only: whether every value stays the text that was written; otherwise numbers, dates and the like are
            converted.

    Raises:
        UsageError: text that is not YAML, has a key twice, or a value that there is not, such as a 45th day.
    """
    try:
        return yaml.load(text, Loader=_TextsOnly if texts_only else _WithValues)  # noqa: S506 - both build plain values
    except _KeyTwiceError as error:
        raise UsageError(f"{where}: {error}: leave one of them out") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())[:300]}") from error
    except _NO_VALUE as error:
        raise UsageError(
            f"{where} is not YAML: it has a date or a number that there is not. Put a name into 'quotes'"
        ) from error
