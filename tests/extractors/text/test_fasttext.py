"""extractors/text/fasttext.py: vectors of whole phrases from fastText's binary models."""

import gzip
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from extractors.errors import NoVectorError, TextEncoderError
from extractors.text.fasttext import subwords
from extractors.text.loading import load_text_encoder
from extractors.text.spec import parse_text_spec

WORDS = ["the", "dog", "barking", "café", "日本", "</s>", "a"]
PHRASES = ["dog", "dog barking", "apply eye makeup", "café", "naïve 日本 犬", "</s>", "Dog", "a"]
Write = Callable[..., Path]


def hash_of(text: str) -> int:
    """Compute FNV-1a with signed bytes, in numpy's 32-bit arithmetic."""
    value = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in np.frombuffer(text.encode(), np.int8):
            value = np.uint32(value ^ np.uint32(np.int32(byte).view(np.uint32))) * np.uint32(16777619)
    return int(value)


def subwords_of(phrase: str, least: int, most: int) -> list[str]:
    """Return the subwords of a phrase, computed with Python's own characters."""
    text = f"<{phrase}>"
    runs = [text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1) if least <= j - i <= most]
    marks = sum(run in {"<", ">"} for run in (text[0], text[-1])) if least <= 1 <= most else 0
    kept = list(runs)
    for mark in (text[0], text[-1])[:marks]:
        kept.remove(mark)
    return kept


def oracle(path: Path, phrase: str, *, least: int, most: int, buckets: int, width: int) -> NDArray[np.float64]:
    """Compute a phrase's vector as the mean of its rows, which are at the end of the file."""
    size = 4 * (len(WORDS) + buckets) * width
    content = path.read_bytes().removesuffix(b"what follows is not read")[-size:]
    rows = np.frombuffer(content, "<f4").reshape(-1, width).astype(float)
    chosen = [rows[WORDS.index(phrase)]] if phrase in WORDS else []
    if phrase != "</s>":
        chosen += [rows[len(WORDS) + hash_of(subword) % buckets] for subword in subwords_of(phrase, least, most)]
    mean = sum(chosen) / len(chosen)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize(("least", "most"), [(3, 6), (1, 3), (2, 2), (1, 1)])
def test_vectors_are_the_mean_of_the_subwords(fasttext_model: Write, tmp_path: Path, least: int, most: int) -> None:
    """A simple oracle gives the same for dictionary words, phrases with spaces and letters of several bytes."""
    path = fasttext_model(tmp_path / "model.bin", words=WORDS, least=least, most=most, buckets=97, width=5)
    phrases = [phrase for phrase in PHRASES if len(phrase) + 2 >= least]
    expected = [oracle(path, phrase, least=least, most=most, buckets=97, width=5) for phrase in phrases]
    np.testing.assert_allclose(load_text_encoder(parse_text_spec(str(path))).encode(phrases), expected, atol=1e-6)


@settings(max_examples=50)
@given(phrase=st.text(min_size=1).filter(str.strip), least=st.integers(0, 4), most=st.integers(0, 5))
def test_subwords_are_runs_of_whole_characters(phrase: str, least: int, most: int) -> None:
    """No subword cuts a letter, and none is only a mark of the start or end."""
    found = [subword.decode() for subword in subwords(phrase.encode("utf-8"), least=least, most=most)]
    assert sorted(found) == sorted(subwords_of(phrase, max(least, 1), most))


@pytest.mark.parametrize(("subword", "bucket"), [("<do", 494_342), ("fé>", 1_609_697), ("日本", 387_409)])
def test_the_hash_is_that_of_the_fasttext_library(subword: str, bucket: int) -> None:
    """The oracle gives the buckets that the library's `get_subword_id` gave, out of two million."""
    assert hash_of(subword) % 2_000_000 == bucket


def test_a_word_without_subwords_needs_the_dictionary(fasttext_model: Write, tmp_path: Path) -> None:
    """A model without subwords has no vector for other phrases; the message names all of them."""
    path = fasttext_model(tmp_path / "model.bin", words=WORDS, least=0, most=0, buckets=0)
    encoder = load_text_encoder(parse_text_spec(str(path)))
    assert encoder.encode(["dog"]).shape == (1, 6)
    with pytest.raises(NoVectorError, match="'dog barking', 'x'") as caught:
        encoder.encode(["dog", "dog barking", "x"])
    assert set(caught.value.missing) == {"dog barking", "x"}


def test_models_of_the_format_before_the_magic_number_are_read(fasttext_model: Write, tmp_path: Path) -> None:
    """The vectors are those of the same model in today's format."""
    old = fasttext_model(tmp_path / "old.bin", words=WORDS, old=True)
    new = fasttext_model(tmp_path / "new.bin", words=WORDS)
    phrases = ["dog", "dog barking", "xyz"]
    found = load_text_encoder(parse_text_spec(str(old))).encode(phrases)
    assert np.array_equal(found, load_text_encoder(parse_text_spec(str(new))).encode(phrases))
    assert np.array_equal(found, load_text_encoder(parse_text_spec(f"fasttext:{old}")).encode(phrases))
    old.write_bytes(old.read_bytes()[:300])
    with pytest.raises(TextEncoderError, match="cut short"):
        load_text_encoder(parse_text_spec(str(old))).encode(phrases)


def test_classifiers_are_read_too(fasttext_model: Write, tmp_path: Path) -> None:
    """Labels have no rows; classifiers of the first version have no subwords, even if the header gives a length."""
    path = fasttext_model(tmp_path / "a.bin", words=WORDS, labels=["__label__dog"], model=3)
    assert load_text_encoder(parse_text_spec(str(path))).encode(["__label__dog", "dog barking"]).shape == (2, 6)
    old = fasttext_model(tmp_path / "b.bin", words=WORDS, labels=["__label__dog"], model=3, version=11)
    with pytest.raises(NoVectorError, match="'dog barking'"):
        load_text_encoder(parse_text_spec(str(old))).encode(["dog", "dog barking"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantised": True}, r"quantised fastText model \(\.ftz\), which cannot be read: give the original \.bin"),
        ({"pruned_rows": 3}, "quantised"),
        ({"version": 13}, "version 13, but only 11 and 12 can be read"),
        ({"width": 0}, "its header is inconsistent"),
        ({"words": []}, "its header is inconsistent"),
    ],
)
def test_other_models_are_refused(
    fasttext_model: Write, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    """The message is one line that says what is wrong and what to do."""
    path = fasttext_model(tmp_path / "model.bin", **({"words": WORDS} | options))
    with pytest.raises(TextEncoderError, match=message) as caught:
        load_text_encoder(parse_text_spec(str(path))).encode(["dog"])
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_anywhere_is_refused(fasttext_model: Write, tmp_path: Path) -> None:
    """The cut may be in the header, in the dictionary, before the rows or in them."""
    path = fasttext_model(tmp_path / "model.bin", words=WORDS)
    whole = path.read_bytes().removesuffix(b"what follows is not read")
    for length in [*range(4, len(whole), 13), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(TextEncoderError, match="cut short"):
            load_text_encoder(parse_text_spec(str(path))).encode(["dog"])


def test_rows_that_do_not_fit_the_header_are_refused(fasttext_model: Write, tmp_path: Path) -> None:
    """The number of rows must be that of words and buckets, and every value must be finite."""
    path = fasttext_model(tmp_path / "model.bin", words=WORDS)
    content = path.read_bytes()
    start = content.index(struct.pack("<?qq", False, len(WORDS) + 50, 6))
    path.write_bytes(content[: start + 1] + struct.pack("<qq", 3, 6) + content[start + 17 :])
    with pytest.raises(TextEncoderError, match="3 rows of 6, but its header gives 57 of 6"):
        load_text_encoder(parse_text_spec(str(path))).encode(["dog"])
    path.write_bytes(content[: start + 17] + struct.pack("<f", float("nan")) * (57 * 6))
    with pytest.raises(TextEncoderError, match="holds numbers that are not finite"):
        load_text_encoder(parse_text_spec(str(path))).encode(["dog"])


def test_a_gzipped_model_is_refused_with_the_command_to_unpack_it(fasttext_model: Write, tmp_path: Path) -> None:
    """Models are published gzipped, but a gzipped file cannot be mapped into memory."""
    path = fasttext_model(tmp_path / "model.bin", words=WORDS)
    gzipped = tmp_path / "model.bin.gz"
    gzipped.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(TextEncoderError, match=re.escape("is gzipped: unpack it first (gunzip model.bin.gz)")):
        load_text_encoder(parse_text_spec(str(gzipped)))
