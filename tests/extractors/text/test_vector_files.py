"""extractors/text/vector_files.py and word_vectors.py: vectors from files, whose content tells the format."""

import csv
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.errors import TextEncoderError
from extractors.text.loading import load_text_encoder
from extractors.text.phrases import phrase_of
from extractors.text.spec import parse_text_spec

VECTORS = {
    "dog": [3.0, 4.0, 0.0],
    "barking": [0.0, 0.0, 2.0],
    "ice_hockey": [1.0, 1.0, 1.0],
    "ice": [1.0, 0.0, 0.0],
    "hockey": [0.0, 1.0, 0.0],
    "New_York": [0.0, 2.0, 2.0],
    "TV": [2.0, 0.0, 0.0],
    "été": [0.0, 3.0, 0.0],
}


def content_of(form: str, vectors: dict[str, Any] = VECTORS) -> bytes:
    """Return the bytes of a file of vectors in one of the forms."""
    header = "" if form == "glove" else f"{len(vectors)} {len(next(iter(vectors.values())))}\n"
    if form == "binary":
        rows = (word.encode() + b" " + np.array(row, "<f4").tobytes() + b"\n" for word, row in vectors.items())
        return header.encode() + b"".join(rows)
    return (header + "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in vectors.items())).encode()


def unit(*rows: list[float]) -> np.ndarray:
    """Return the mean of some rows, scaled to length 1."""
    mean = np.mean(rows, axis=0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(params=["glove", "text", "binary", "glove gzipped", "text gzipped", "binary gzipped"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of the vectors in each form; its ending does not tell the format."""
    form, _, gzipped = request.param.partition(" ")
    path = tmp_path / ("vectors.gz" if gzipped else "vectors.data")
    path.write_bytes(gzip.compress(content_of(form)) if gzipped else content_of(form))
    return path


def test_phrases_are_the_mean_of_their_words(path: Path) -> None:
    """Words are looked up in the usual spellings, and their mean is scaled to length 1."""
    vectors = load_text_encoder(parse_text_spec(str(path))).encode(
        ["dog barking", "DogBarking", "tv", "dog, barking!", "été"]
    )
    both = unit(VECTORS["dog"], VECTORS["barking"])
    expected = [both, both, unit(VECTORS["TV"]), both, unit(VECTORS["été"])]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_the_entry_of_a_whole_phrase_is_used_before_its_words(path: Path) -> None:
    """The entry may be spelled with underscores or capitals."""
    vectors = load_text_encoder(parse_text_spec(str(path))).encode(["ice hockey", "IceHockey", "new york"])
    hockey = unit(VECTORS["ice_hockey"])
    np.testing.assert_allclose(vectors, [hockey, hockey, unit(VECTORS["New_York"])], atol=1e-6)


def test_function_words_that_the_file_lacks_are_left_out(path: Path) -> None:
    """A phrase may contain `of` and `the`, but is refused if it has no other word."""
    encoder = load_text_encoder(parse_text_spec(str(path)))
    np.testing.assert_allclose(encoder.encode(["the barking of a dog"]), encoder.encode(["barking dog"]), atol=1e-6)
    with pytest.raises(TextEncoderError, match="'of the'"):
        encoder.encode(["of the"])


def test_every_phrase_and_word_without_vector_is_named(path: Path) -> None:
    """The message contains the file, the phrases, the words and what to do."""
    message = rf"{path.name} has no vector for 'cat meowing' \(cat, meowing\); 'dog yodelling' \(yodelling\): give"
    with pytest.raises(TextEncoderError, match=message):
        load_text_encoder(parse_text_spec(str(path))).encode(["dog barking", "cat meowing", "dog yodelling"])


def test_entries_with_spaces_are_read(tmp_path: Path) -> None:
    """GloVe's largest file has entries such as `. . .`; an entry with spaces is found as a phrase."""
    path = tmp_path / "glove.txt"
    path.write_text("dog 1 2\n. . . 3 4\nat the vet 5 6\ncat 7 8\r\n")
    np.testing.assert_allclose(
        load_text_encoder(parse_text_spec(str(path))).encode(["at the vet", "cat"]),
        [unit([5, 6]), unit([7, 8])],
        atol=1e-6,
    )


@pytest.mark.parametrize("form", ["glove", "text"])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.replace(b"\n", b" \n"),  # as fastText prints the vectors of words
        lambda content: content.replace(b" ", b"  "),
        lambda content: content.replace(b" ", b"\t"),
        lambda content: b"\xef\xbb\xbf" + content,  # as editors on Windows save it
        lambda content: b" " + content.replace(b"\n", b"\n "),
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.replace(b"\n", b"\r"),
        lambda content: b"\r\r" + content.replace(b"\n", b"\r"),
        lambda content: b"\n \r\n\n" + content,
        lambda content: b"\xef\xbb\xbf\n" + content.replace(b"\n", b"\n\n"),
        lambda content: gzip.compress(b"\n" + content.replace(b"\n", b"\r")),
    ],
    ids=[
        *("blank at the end", "double blanks", "tabs", "byte order mark", "leading blank", "Windows"),
        *("first Macs", "blank lines of Macs", "blank lines first", "blank lines everywhere", "gzipped"),
    ],
)
def test_blanks_of_the_wild_change_nothing(tmp_path: Path, form: str, change: Callable[[bytes], bytes]) -> None:
    """Files of vectors are written by many programs."""
    path = tmp_path / "vectors.txt"
    path.write_bytes(change(content_of(form)))
    vectors = load_text_encoder(parse_text_spec(str(path))).encode(["dog barking", "ice hockey", "été"])
    expected = [unit(VECTORS["dog"], VECTORS["barking"]), unit(VECTORS["ice_hockey"]), unit(VECTORS["été"])]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.parametrize("form", ["glove", "text", "binary"])
def test_if_a_word_occurs_twice_the_first_vector_is_used(
    tmp_path: Path, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Repeated words are not an error, and no library prints anything."""
    content = content_of(form, {"dog": [1.0, 0.0], "cat": [0.0, 1.0], "dgg": [0.0, 1.0]}).replace(b"dgg", b"dog")
    (tmp_path / "vectors").write_bytes(content)
    np.testing.assert_allclose(load_text_encoder(parse_text_spec(str(tmp_path / "vectors"))).encode(["dog"]), [[1, 0]])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("form", ["glove", "text", "binary"])
@given(
    st.dictionaries(
        st.text("abcdeßéж日", min_size=1, max_size=5),
        st.lists(st.floats(-100, 100, width=16).filter(bool), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    )
)
def test_every_form_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, form: str, vectors: dict[str, Any]
) -> None:
    """Words and numbers come back from every form."""
    path = tmp_path_factory.mktemp("any") / "vectors"
    path.write_bytes(content_of(form, vectors))
    expected = [unit(row) for row in vectors.values()]
    np.testing.assert_allclose(load_text_encoder(parse_text_spec(str(path))).encode(list(vectors)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xef\xbb\xbf \n\r\n", "is empty"),
        (b"2 3\r", "contains no vectors"),
        (b"dog 1 2 3\rbarking 1 2\r", "line 2: 2 numbers but the first line has 3"),
        (b"\ndog 1 2 3\nbarking 1 2\n", "line 3: 2 numbers but the first line has 3"),
        (b"\n" + content_of("binary"), "is binary word2vec after a blank line"),
        (b"0 300\n", "contains no vectors"),
        (b"2 3\n", "contains no vectors"),
        (b"This is a letter.\nNot vectors.\n", "not a file of vectors"),
        (b"\x00\x01\x02\x03" * 50, "not a file of vectors"),
        (b"dog 1 2 3\nbarking 1 2\n", "line 2: 2 numbers but the first line has 3"),
        (b"cat 1 2 3\ndog 1 2 3 4\n", "line 2: 4 numbers but the first line has 3"),
        (b"cat 1 2 3\ndog 1 nan 3\n", "line 2: not all values are finite"),
        (b"cat 1 2 3\ndog 1 x 3\n", "line 2: not all values are finite"),
        (b"3 3\ncat 1 2 3\ndog 1 2 3\n", "cut short: it holds 2 of 3 words"),
        (b"dog 0 0 0\nbarking 0 0 0\n", "vector of 'dog barking' is zero"),
        (content_of("binary")[:-40], "cannot be read .unexpected end"),
        (content_of("binary")[:-100], "is cut short"),
        (content_of("binary", {"dog": [1, np.inf], "cat": [1, 2]}), "'dog' has numbers that are not finite"),
        (gzip.compress(content_of("glove"), mtime=0)[:-20], "cannot be read"),
        (gzip.compress(content_of("binary"), mtime=0), "rename it to vectors.data.gz"),
    ],
)
def test_files_that_cannot_be_used_fail_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    """Files that are empty, ragged, cut short, not finite or of another kind are refused."""
    path = tmp_path / "vectors.data"
    path.write_bytes(content)
    with pytest.raises(TextEncoderError, match=message) as caught:
        load_text_encoder(parse_text_spec(str(path))).encode(["dog barking"])
    assert str(path.name) in str(caught.value)
    assert "\n" not in str(caught.value)


def save_named(folder: Path, stored: Any) -> str:
    """Write a .npy file with a pickled object and return its path."""
    box = np.empty((), object)
    box[()] = stored
    np.save(folder / "named.npy", box, allow_pickle=True)
    return str(folder / "named.npy")


def test_names_are_found_in_every_spelling(tmp_path: Path) -> None:
    """In the benchmark itself, files and class lists differ in case, camel case and hyphens."""
    stored = {"Handstand Pushups": np.array([3.0, 4.0], "f4"), "Yo Yo": np.array([0.0, 2.0], "f8")}
    encoder = load_text_encoder(parse_text_spec(save_named(tmp_path, stored)))
    vectors = encoder.encode(["HandStandPushups", "handstand-pushups", "hand stand pushups", "YoYo", "yo yo"])
    np.testing.assert_allclose(vectors, [[0.6, 0.8]] * 3 + [[0, 1]] * 2, atol=1e-6)


def test_ambiguous_names_are_found_only_by_exact_spelling(tmp_path: Path) -> None:
    """If two names of the file could be meant, neither is chosen."""
    stored = {"to-day": np.array([1.0, 0.0]), "today": np.array([0.0, 1.0])}
    encoder = load_text_encoder(parse_text_spec(save_named(tmp_path, stored)))
    np.testing.assert_allclose(encoder.encode(["to-day", "to day", "today"]), [[1, 0], [1, 0], [0, 1]])
    with pytest.raises(TextEncoderError, match="no vector for 'ToDaY'"):
        encoder.encode(["ToDaY"])


class Hostile:
    """Runs a command when an ordinary unpickler reads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch run",)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"dog": Hostile()}, r"refused: it would load \w+\.system"),
        ({}, "contains no vectors"),
        ([1, 2], "contains no vectors"),
        ({1: np.ones(3)}, "the key 1 is not a class name"),
        ({"dog": np.ones((1, 3))}, "'dog' is not a vector"),
        ({"dog": "text"}, "'dog' is not a vector"),
        ({"dog": np.array(["a"])}, "'dog' is not a vector"),
        ({"dog": np.ones(3), "cat": np.ones(2)}, "'cat' has 2 numbers but the first has 3"),
        ({"dog": np.array([1.0, np.nan])}, "'dog' has numbers that are not finite"),
        ({"dog": np.zeros(3)}, "vector of 'dog' is zero"),
        ({"dog": np.array([1.0, 1e300])}, "'dog' has numbers that are not finite in float32"),
        ({"dog": [[1.0], [2.0, 3.0]], "cat": np.ones(2)}, "'dog' is not a vector"),
    ],
)
def test_npy_files_that_cannot_be_used_fail_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: Any, message: str
) -> None:
    """Files that are hostile, empty, ragged or not finite are refused, and no code in them is run."""
    monkeypatch.chdir(tmp_path)
    path = save_named(tmp_path, stored)
    with pytest.raises(TextEncoderError, match=message) as caught:
        load_text_encoder(parse_text_spec(path)).encode(["dog"])
    assert "named.npy" in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("dataset", "vectors", "names", "count"),
    [
        ("UCF", "ucf", "ucf", 101),
        ("ActivityNet", "activity", "activitynet", 200),
        ("VGGSound", "vggsound", "vggsound", 309),
    ],
)
def test_every_class_of_the_benchmark_finds_its_vector(
    shared: Path, dataset: str, vectors: str, names: str, count: int
) -> None:
    """The official vectors are found by the names that the benchmark's lists give to its classes."""
    benchmark = shared / "benchmark"
    file = benchmark / "w2v_features" / f"word_embeddings_{vectors}_normed.npy"
    with (benchmark / dataset / "class-split" / f"{names}_w2v_class_names.csv").open(newline="") as lines:
        manual = {row["original"].lower(): row["manual"] for row in csv.DictReader(lines)}
    listed = (benchmark / dataset / "class-split" / "all_class.txt").read_text().splitlines()
    classes = [line.strip() for line in listed if line.strip()]
    encoder = load_text_encoder(parse_text_spec(str(file)))
    given = [manual[name.lower()] for name in classes]
    expected = np.load(file, allow_pickle=True).item()
    assert len(classes) == count
    assert encoder.width == 300
    np.testing.assert_allclose(encoder.encode(given), [expected[name] for name in given], atol=1e-6)
    np.testing.assert_array_equal(encoder.encode([phrase_of(name) for name in given]), encoder.encode(given))
