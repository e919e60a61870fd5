"""pipeline/class_embeddings/kept.py: a long list of names is encoded once, with progress."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.base.progress import SilentReporter, Tracker
from pipeline.base.workspace import cache_folder
from pipeline.class_embeddings.embed import encode_classes
from pipeline.class_embeddings.kept import encode_kept

CLASSES = [(f"thing {number}", f"a thing {number}") for number in range(1100)]


class Encoder:
    """Draws a vector from each phrase, and counts the phrases."""

    width = 5

    def __init__(self, name: str = "drawn") -> None:
        self.identity, self.encoded = {"encoder": name, "sha256": "0"}, 0

    def encode(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors."""
        self.encoded += len(phrases)
        rows = np.array([np.random.default_rng(list(phrase.encode())).normal(size=5) for phrase in phrases])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Progress(SilentReporter):
    """Counts the finished steps."""

    def __init__(self) -> None:
        self.steps = self.total = 0

    @contextlib.contextmanager
    def track(self, title: str, total: int) -> Iterator[Tracker]:  # noqa: ARG002 - part of the interface
        """Return itself as the tracker."""
        self.total = total
        yield self

    def advance(self, steps: int = 1) -> None:
        """Count steps."""
        self.steps += steps

    def note(self, text: str) -> None:
        """Ignore it."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache."""
    monkeypatch.setenv("AVZSL_CACHE", str(tmp_path / "cache"))
    return cache_folder()


def test_a_long_list_is_encoded_once_and_shows_progress() -> None:
    """The second time nothing is encoded, and the vectors are the same."""
    encoder, progress = Encoder(), Progress()
    vectors = encode_kept(encoder, CLASSES, progress)
    assert np.array_equal(vectors, encode_classes(Encoder(), CLASSES))
    assert progress.steps == progress.total == len(CLASSES)
    encoded = encoder.encoded
    assert np.array_equal(encode_kept(encoder, CLASSES, progress), vectors)
    assert encoder.encoded == encoded


def test_other_names_or_encoders_get_their_own_vectors() -> None:
    """Nothing is mixed up."""
    encode_kept(Encoder(), CLASSES, SilentReporter())
    for encoder, classes in ((Encoder("other"), CLASSES), (Encoder(), CLASSES[::-1])):
        assert np.array_equal(encode_kept(encoder, classes, SilentReporter()), encode_classes(Encoder(), classes))
        assert encoder.encoded > 0


@pytest.mark.parametrize("damage", ["cut", "bit", "nothing"])
def test_damaged_vectors_are_encoded_again(cache: Path, damage: str) -> None:
    """A cache never changes a result."""
    vectors = encode_kept(Encoder(), CLASSES, SilentReporter())
    (file,) = cache.glob("text/classes-*.safetensors")
    content = file.read_bytes()
    file.write_bytes(
        {"cut": content[:-9], "bit": content[:-50] + bytes([content[-50] ^ 1]) + content[-49:], "nothing": b""}[damage]
    )
    again = Encoder()
    assert np.array_equal(encode_kept(again, CLASSES, SilentReporter()), vectors)
    assert again.encoded > 0


def test_a_short_list_and_a_cache_that_cannot_be_written_keep_nothing(cache: Path) -> None:
    """Both are encoded as ever."""
    encode_kept(Encoder(), CLASSES[:10], SilentReporter())
    assert not cache.exists()
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("a file where the cache should be")
    assert encode_kept(Encoder(), CLASSES, SilentReporter()).shape == (len(CLASSES), 5)
