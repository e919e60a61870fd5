"""pipeline/base/yaml_text.py: what is no YAML, or names a value that there is not, is refused in one line."""

import pytest

from pipeline.base.errors import UsageError
from pipeline.base.yaml_text import parse_yaml


@pytest.mark.parametrize(
    "text",
    [
        "train: [2020-13-45]",
        "train: [2020-01-01T99:00:00Z]",
        "train: [0b_]",
        "train: [!!int abc]",
        "train: [!!float x]",
        "train: !!timestamp x",
        "train: [" + "9" * 5000 + "]",
        "train: [",
        "a: !!python/object/apply:os.system [exit]",
        "? [a]\n: b\n? {a: b}\n: c",
        "a: *b",
        "train: " + "[" * 100_000,
    ],
)
def test_a_value_that_there_is_not_is_refused_in_one_line(text: str) -> None:
    """Dates, numbers and tags that cannot be built raise many kinds of errors."""
    with pytest.raises(UsageError, match=r"^splits\.yaml is not YAML: ") as caught:
        parse_yaml(text, "splits.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("texts_only", [True, False])
@pytest.mark.parametrize("text", ["train: [a]\nval_seen: []\ntrain: [b]", "a: {train: 1, train: 1}"])
def test_a_key_that_appears_twice_is_refused(text: str, texts_only: bool) -> None:
    """PyYAML keeps the last value, so that the videos of the first one would be lost without a word."""
    with pytest.raises(UsageError, match=r"^splits\.yaml: 'train' appears twice in one mapping"):
        parse_yaml(text, "splits.yaml", texts_only=texts_only)


def test_values_are_converted_or_stay_texts() -> None:
    """Settings stay texts, because YAML reads `off` as False and `1e-3` as a text."""
    text = "a: off\nb: 1e-3\nc: [2020-13-45]"
    assert parse_yaml(text, "settings", texts_only=True) == {"a": "off", "b": "1e-3", "c": ["2020-13-45"]}
    assert parse_yaml("a: off\nb: 3", "splits") == {"a": False, "b": 3}
