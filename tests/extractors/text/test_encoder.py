"""extractors/text/encoder.py, loading.py, spec.py and phrases.py: rules for every encoder, specs and phrases."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.errors import NoVectorError, TextEncoderError, TextSpecError
from extractors.text.encoder import TextEncoder
from extractors.text.loading import load_text_encoder
from extractors.text.phrases import phrase_of
from extractors.text.spec import TextSpec, parse_text_spec

WORDS = ["dog", "barking", "red", "ball", "bouncing", "playing", "drums"]
PHRASES = ["dog barking", "playing drums", "red ball bouncing", "dog"]


def rows() -> np.ndarray:
    """Return one vector per word, (7, 5)."""
    return np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)


def glove_file(folder: Path) -> str:
    """Write a GloVe file of the words and return its path."""
    lines = (f"{word} " + " ".join(map(str, row)) for word, row in zip(WORDS, rows(), strict=True))
    (folder / "glove.txt").write_text("\n".join(lines) + "\n")
    return str(folder / "glove.txt")


def binary_file(folder: Path) -> str:
    """Write a binary word2vec file of the words and return its path."""
    lines = (word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(WORDS, rows(), strict=True))
    (folder / "vectors.bin").write_bytes(b"7 5\n" + b"".join(lines))
    return str(folder / "vectors.bin")


def npy_file(folder: Path) -> str:
    """Write a dict of the phrases, as the benchmark stores it, and return its path."""
    stored = np.array(dict(zip(PHRASES, rows(), strict=False)))
    np.save(folder / "named.npy", stored, allow_pickle=True)
    return str(folder / "named.npy")


ENCODERS = ("minilm", "glove", "binary", "npy", "fasttext", "clip")
Makers = dict[str, Callable[[Path], str]]


@pytest.fixture(scope="module")
def makers(fasttext_model: Callable[..., Path], clip_model: Callable[..., Path]) -> Makers:
    """For each encoder, a function that writes its files into a folder and returns its spec."""
    return {
        "minilm": lambda _: "minilm",
        "glove": glove_file,
        "binary": binary_file,
        "npy": npy_file,
        "fasttext": lambda folder: f"fasttext:{fasttext_model(folder / 'model.bin', words=WORDS)}",
        "clip": lambda folder: f"clip:{clip_model(folder / 'clip', words=WORDS)}",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the files of vectors."""
    return tmp_path_factory.mktemp("vectors")


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request: pytest.FixtureRequest, makers: Makers, folder: Path) -> TextEncoder:
    """Each text encoder in turn; all of them have the same tests."""
    return load_text_encoder(parse_text_spec(makers[request.param](folder)))


def test_every_encoder_gives_unit_vectors_in_order(encoder: TextEncoder) -> None:
    """There is one row per phrase, float32, of length 1; the rows have the order of the phrases."""
    vectors = encoder.encode(PHRASES)
    assert vectors.shape == (len(PHRASES), encoder.width)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(PHRASES[::-1]), vectors[::-1], atol=1e-6)
    assert len({row.tobytes() for row in vectors}) == len(PHRASES)


def test_every_encoder_gives_a_phrase_the_same_vector_in_any_list(encoder: TextEncoder) -> None:
    """A phrase has the same vector alone, repeated or among others."""
    vectors = encoder.encode([*PHRASES, PHRASES[0]])
    np.testing.assert_allclose(vectors[-1], vectors[0], atol=1e-6)
    np.testing.assert_allclose(encoder.encode([PHRASES[2]])[0], vectors[2], atol=1e-6)


def test_every_encoder_takes_an_empty_list(encoder: TextEncoder) -> None:
    """An empty list gives no rows."""
    assert encoder.encode([]).shape == (0, encoder.width)


def test_every_encoder_has_an_identity_of_strings(encoder: TextEncoder, folder: Path) -> None:
    """The identity contains the checksum of the files that the vectors come from."""
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in encoder.identity.items())
    assert re.fullmatch("[0-9a-f]{64}", encoder.identity["sha256"])


@pytest.mark.parametrize("name", ENCODERS)
def test_the_identity_of_every_encoder_depends_on_content_and_not_on_the_path(
    name: str, makers: Makers, folder: Path, tmp_path: Path
) -> None:
    """An encoder loaded from a copy has the same identity; two encoders never share one."""
    spec = makers[name](folder)
    kind, _, place = spec.rpartition(":")
    moved = spec
    if place != "minilm":
        (shutil.copytree if Path(place).is_dir() else shutil.copy)(place, tmp_path / "moved")
        moved = f"{kind}:{tmp_path / 'moved'}" if kind else str(tmp_path / "moved")
    assert load_text_encoder(parse_text_spec(moved)).identity == load_text_encoder(parse_text_spec(spec)).identity
    others = [load_text_encoder(parse_text_spec(makers[other](tmp_path))) for other in ENCODERS if other != name]
    assert all(other.identity != load_text_encoder(parse_text_spec(spec)).identity for other in others)


def test_every_encoder_names_each_phrase_without_a_vector(encoder: TextEncoder) -> None:
    """No encoder has a vector for a phrase without a word; one line names all such phrases."""
    with pytest.raises(NoVectorError, match=r"'  '.*'\\t'") as caught:
        encoder.encode(["dog barking", "  ", "\t"])
    assert "\n" not in str(caught.value)
    assert set(caught.value.missing) == {"  ", "\t"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("minilmm", "did you mean minilm"),
        (
            "missing.txt",
            r"neither a text encoder \(clap, clip, .*, word2vec\) nor a file",
        ),
        (".", "folder"),
        ("glove", "'glove' does not say what to read: give glove:FILE"),
        ("clip:", "does not say what to read: give clip:FOLDER, or the name of a model"),
        ("fasttext:missing.bin", "there is no file missing.bin"),
        ("clip:./missing", "there is no folder missing"),
        ("C:\\vectors.txt", "neither a text encoder"),
    ],
)
def test_an_unknown_encoder_fails_with_the_choices(spec: str, message: str) -> None:
    """The message is one line that says what was given, what exists and what to do."""
    with pytest.raises(TextSpecError, match=message) as caught:
        load_text_encoder(parse_text_spec(spec))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("playing_guitar", "playing guitar"),
        ("dog-barking", "dog barking"),
        ("CPRTraining", "cpr training"),
        ("TaiChi2", "tai chi 2"),
        ("mp3", "mp3"),
        ("MP3Player", "mp3 player"),
        ("100mRun", "100m run"),
        ("Blow-drying hair", "blow drying hair"),
        ("  red   ball ", "red ball"),
        ("iPhone ringing", "iphone ringing"),
        ("people eating, drinking", "people eating, drinking"),
        ("ÉcoleÀParis", "école à paris"),
        ("犬が吠える", "犬が吠える"),
        ("e\N{COMBINING ACUTE ACCENT}cole", "école"),
        ("-_-", ""),
    ],
)
def test_class_names_become_phrases(name: str, phrase: str) -> None:
    """Camel case, underscores and hyphens become words, in lower case."""
    assert phrase_of(name) == phrase


@given(st.text())
def test_a_phrase_stays_as_it_is(name: str) -> None:
    """Names that are phrases already do not change, in any alphabet."""
    assert phrase_of(phrase_of(name)) == phrase_of(name)


@given(st.lists(st.text("abcdefgh", min_size=2, max_size=6), min_size=1, max_size=5))
def test_every_way_to_join_words_gives_the_same_phrase(words: list[str]) -> None:
    """The four common spellings of a class name give the same phrase."""
    spellings = ["_".join(words), "-".join(words), " ".join(words), "".join(word.capitalize() for word in words)]
    assert {phrase_of(spelling) for spelling in spellings} == {" ".join(words)}


def test_a_name_takes_precedence_over_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file called minilm in the current folder does not change what minilm means."""
    monkeypatch.chdir(tmp_path)
    os.rename(glove_file(tmp_path), "minilm")  # noqa: PTH104 - two plain texts
    assert load_text_encoder(parse_text_spec("minilm")).identity["encoder"] == "minilm"
    assert load_text_encoder(parse_text_spec("./minilm")).identity["encoder"] == "vectors"


def test_a_named_format_is_the_only_one_accepted(makers: Makers, tmp_path: Path) -> None:
    """`glove:` and the others accept only that format, `file:` any; the message says what to give instead."""
    glove = glove_file(tmp_path)
    assert (
        load_text_encoder(parse_text_spec(f"glove:{glove}")).identity
        == load_text_encoder(parse_text_spec(f"file:{glove}")).identity
    )
    for wrong in (f"word2vec:{glove}", f"fasttext:{glove}"):
        with pytest.raises(
            TextEncoderError, match=re.escape(f"is a glove file, not {wrong.split(':')[0]}: give glove:")
        ):
            load_text_encoder(parse_text_spec(wrong))
    with pytest.raises(TextEncoderError, match=r"model.bin is a fasttext file, not word2vec"):
        load_text_encoder(parse_text_spec(makers["fasttext"](tmp_path).replace("fasttext", "word2vec", 1)))


@given(
    kind=st.sampled_from(["file", "glove", "fasttext", "word2vec", "clip"]),
    names=st.lists(
        st.text("ab:. é", min_size=1, max_size=4).filter(lambda name: name.strip(". ")), min_size=1, max_size=3
    ),
    inside=st.booleans(),
)
def test_a_stored_spec_moves_with_its_folder(kind: str, names: list[str], inside: bool) -> None:
    """A file inside the folder is found at its new path, a file outside at its old one; names may be unusual."""
    old, new = Path("/workspaces/old"), Path("/elsewhere/new")
    path = Path(old if inside else "/vectors", *names)
    stored = TextSpec(kind, str(path)).to_text(old)
    moved = new.joinpath(*names) if inside else path
    if kind == "clip" and inside:  # without an existing folder, this could be a name on the hub
        assert stored == f"clip:{Path(*names)}"
    else:
        assert TextSpec.from_text(stored, new) == TextSpec(kind, str(moved))


def test_names_are_stored_as_they_are(tmp_path: Path) -> None:
    """The bundled encoder and models on the hub have no path that could change."""
    for spec in ("minilm", "clip:openai/clip-vit-large-patch14"):
        assert str(TextSpec.from_text(parse_text_spec(spec).to_text(tmp_path), tmp_path / "moved")) == spec


def test_a_clip_folder_is_stored_by_its_path(tmp_path: Path) -> None:
    """A moved folder is found again, although its relative path looks like a name on the hub."""
    (tmp_path / "old" / "text" / "clip").mkdir(parents=True)
    stored = parse_text_spec(f"clip:{tmp_path / 'old' / 'text' / 'clip'}").to_text(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    assert str(TextSpec.from_text(stored, tmp_path / "new")) == f"clip:{tmp_path / 'new' / 'text' / 'clip'}"
