"""pipeline/class_embeddings/{embed,legacy_order}.py: cached class vectors, and the wrong order of published code."""

import csv
import random
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.base.errors import PipelineError, StorageError, UsageError
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import (
    chosen_spec,
    embed_classes,
    encode_phrases,
    load_encoder,
    read_spec,
    record_spec,
)
from pipeline.class_embeddings.legacy_order import in_legacy_order, legacy_phrases

PHRASES = {"Alto": ("tenor voice",), "Bass": ("double bass",), "Cello": ("cello",)}


@pytest.fixture
def vectors_file(tmp_path: Path) -> str:
    """Write unit vectors along the axes for every phrase, and for one more phrase that no class has."""
    names = [*(phrase for (phrase,) in PHRASES.values()), "a drum"]
    path = tmp_path / "vectors.npy"
    np.save(path, dict(zip(names, np.eye(4, dtype=np.float32), strict=True)))  # type: ignore[arg-type]  # a dict, as in the benchmark
    return str(path)


def test_embeddings_have_the_order_of_the_classes_and_are_cached(tmp_path: Path, vectors_file: str) -> None:
    """The second call reads the file and gives the same vectors."""
    workspace = Workspace(tmp_path / "workspace")

    first = embed_classes(workspace, PHRASES, vectors_file)
    stored = workspace.text_folder / "class_embeddings.h5"
    written = stored.stat().st_mtime_ns
    second = embed_classes(workspace, PHRASES, vectors_file)

    assert first.phrases == second.phrases == tuple(PHRASES.values())
    np.testing.assert_array_equal(first.vectors, np.eye(4)[:3])
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert stored.stat().st_mtime_ns == written


def test_a_damaged_cache_is_made_again(tmp_path: Path, vectors_file: str) -> None:
    """No flipped bit leads to an error: the vectors can always be made from the phrases."""
    workspace = Workspace(tmp_path / "workspace")
    embed_classes(workspace, PHRASES, vectors_file)
    stored = workspace.text_folder / "class_embeddings.h5"
    content, chance = stored.read_bytes(), random.Random(0)

    for _ in range(300):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        stored.write_bytes(damaged)
        assert embed_classes(workspace, PHRASES, vectors_file).vectors.shape == (3, 4)


@given(st.dictionaries(st.text(), st.tuples(st.text()), max_size=8))
def test_the_kth_sorted_class_gets_the_kth_sorted_phrase(phrases: dict[str, tuple[str]]) -> None:
    """The fault is that classes and phrases are sorted separately."""
    found = legacy_phrases(phrases)

    names, sorted_phrases = list(phrases), list(phrases.values())
    names.sort()
    sorted_phrases.sort()
    for index, name in enumerate(names):
        assert found[name] == sorted_phrases[index]


def test_the_legacy_order_moves_vectors_but_does_not_change_the_cache(tmp_path: Path, vectors_file: str) -> None:
    """`cello` is the first of the sorted phrases, so Alto gets it."""
    workspace = Workspace(tmp_path / "workspace")
    right = embed_classes(workspace, PHRASES, vectors_file)

    wrong = in_legacy_order(right, list(PHRASES), legacy_phrases(PHRASES))

    assert wrong.phrases == (("cello",), ("double bass",), ("tenor voice",))
    np.testing.assert_array_equal(wrong.vectors, np.eye(4)[[2, 1, 0]])
    with h5py.File(workspace.text_folder / "class_embeddings.h5", "r") as file:
        np.testing.assert_array_equal(file["vectors"][...], right.vectors)


def test_a_class_without_videos_shifts_the_legacy_order(vectors_file: str) -> None:
    """Its phrase has no vector yet and is embedded for the class that gets it."""
    embeddings = encode_phrases(read_spec(vectors_file), list(PHRASES.values()))
    listed = {**PHRASES, "Zither": ("a drum",)}

    wrong = in_legacy_order(embeddings, list(PHRASES), legacy_phrases(listed))

    assert wrong.phrases == (("a drum",), ("cello",), ("double bass",))
    np.testing.assert_array_equal(wrong.vectors, np.eye(4)[[3, 2, 1]])


def test_a_phrase_without_a_vector_is_refused(vectors_file: str) -> None:
    """The message names the phrase."""
    with pytest.raises(UsageError, match="has no vector for 'zither'"):
        encode_phrases(read_spec(vectors_file), [("cello",), ("zither",)])


def test_several_phrases_of_a_class_are_averaged(tmp_path: Path) -> None:
    """The mean of the unit vectors is scaled to length 1; the vector of a single phrase is not changed."""
    path = tmp_path / "vectors.txt"
    path.write_text("dog 3 0 0\nwoof 0 5 0\ncat 1 2 2\n")

    vectors = encode_phrases(read_spec(str(path)), [("dog", "woof"), ("cat",), ("cat", "dog", "woof")]).vectors

    np.testing.assert_allclose(vectors[0], [0.5**0.5, 0.5**0.5, 0], atol=1e-6)
    np.testing.assert_allclose(vectors[1], [1 / 3, 2 / 3, 2 / 3], atol=1e-6)
    mean = np.array([4, 5, 2]) / 9
    np.testing.assert_allclose(vectors[2], mean / np.linalg.norm(mean), atol=1e-6)
    assert vectors.dtype == np.float32


def test_phrases_that_cancel_each_other_are_refused(tmp_path: Path) -> None:
    """Their mean has no direction."""
    (tmp_path / "vectors.txt").write_text("hot 1 0 2\ncold -2 0 -4\n")
    with pytest.raises(UsageError, match=r"'hot \| cold' have opposite vectors"):
        encode_phrases(read_spec(str(tmp_path / "vectors.txt")), [("hot", "cold")])


def test_the_legacy_order_moves_all_phrases_of_a_class_together(vectors_file: str) -> None:
    """The phrases of a class are sorted as one text."""
    phrases = {"Alto": ("tenor voice",), "Bass": ("double bass", "a drum"), "Cello": ("cello",)}
    embeddings = encode_phrases(read_spec(vectors_file), list(phrases.values()))

    wrong = in_legacy_order(embeddings, list(phrases), legacy_phrases(phrases))

    assert wrong.phrases == (("cello",), ("double bass", "a drum"), ("tenor voice",))
    np.testing.assert_allclose(wrong.vectors[1], np.array([0, 1, 0, 1]) / 2**0.5, atol=1e-6)


def test_auto_is_the_recorded_encoder_of_the_workspace(tmp_path: Path, vectors_file: str) -> None:
    """In a new workspace `auto` is minilm; a given name or file always wins."""
    workspace = Workspace(tmp_path / "workspace")
    assert str(chosen_spec(workspace, "auto")) == "minilm"

    record_spec(workspace, read_spec(f"file:{vectors_file}"))

    assert str(chosen_spec(workspace, "auto")) == vectors_file
    assert str(chosen_spec(workspace, "minilm")) == "minilm"
    by_auto = embed_classes(workspace, PHRASES, "auto")
    assert (str(by_auto.spec), by_auto.encoder["encoder"]) == (vectors_file, "vectors")
    record_spec(workspace, read_spec("minilm"))
    assert str(chosen_spec(workspace, "auto")) == "minilm"


def test_a_moved_workspace_finds_its_file_of_vectors(tmp_path: Path, vectors_file: str) -> None:
    """A file inside the workspace is recorded with a relative path, one outside with an absolute path."""
    workspace = Workspace(tmp_path / "workspace")
    workspace.text_folder.mkdir(parents=True)
    inside = workspace.text_folder / "vectors.npy"
    inside.write_bytes(Path(vectors_file).read_bytes())
    record_spec(workspace, read_spec(str(inside)))
    assert str(tmp_path) not in (workspace.text_folder / "source.json").read_text()

    moved = Workspace(workspace.root.rename(tmp_path / "moved"))

    assert str(chosen_spec(moved, "auto")) == str(moved.text_folder / "vectors.npy")
    record_spec(moved, read_spec(vectors_file))
    assert str(chosen_spec(Workspace(moved.root.rename(tmp_path / "again")), "auto")) == vectors_file


def test_a_relative_path_is_recorded_as_an_absolute_path(
    tmp_path: Path, vectors_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is relative to the current folder at the time of the record."""
    monkeypatch.chdir(tmp_path)
    record_spec(Workspace(Path("workspace")), read_spec("vectors.npy"))
    monkeypatch.chdir("/")
    assert str(chosen_spec(Workspace(tmp_path / "workspace"), "auto")) == vectors_file


def test_a_missing_recorded_file_or_a_damaged_record_is_refused(tmp_path: Path, vectors_file: str) -> None:
    """The exit code is 1, as the input was not wrong; the message says what to do."""
    workspace = Workspace(tmp_path / "workspace")
    record_spec(workspace, read_spec(vectors_file))
    Path(vectors_file).unlink()
    with pytest.raises(PipelineError, match=r"is missing .*put it back, name another with --text") as caught:
        chosen_spec(workspace, "auto")
    assert caught.value.exit_code == 1
    for damage in ("[]", "{}", '{"spec": 3}', "{"):
        (workspace.text_folder / "source.json").write_text(damage)
        with pytest.raises(StorageError, match="damaged"):
            chosen_spec(workspace, "auto")


def test_an_unknown_text_encoder_is_wrong_usage_and_not_recorded(tmp_path: Path) -> None:
    """The text is neither the name of an encoder nor a file."""
    workspace = Workspace(tmp_path / "workspace")
    with pytest.raises(UsageError, match="neither a text encoder"):
        record_spec(workspace, read_spec("nonsense"))
    assert not workspace.text_folder.exists()
    with pytest.raises(UsageError, match="neither a text encoder"):
        embed_classes(workspace, PHRASES, "nonsense")


def test_the_fingerprint_depends_on_the_content_of_the_vectors(tmp_path: Path, vectors_file: str) -> None:
    """Equal files with two names have equal fingerprints; another file has another one."""
    other = tmp_path / "other.npy"
    np.save(
        other, dict(zip((phrase for (phrase,) in PHRASES.values()), np.eye(3, dtype=np.float32)[::-1], strict=True))
    )  # type: ignore[arg-type]  # a dict
    copy = tmp_path / "copy.npy"
    copy.write_bytes(Path(vectors_file).read_bytes())
    fingerprints = []
    for number, spec in enumerate((vectors_file, str(copy), str(other))):
        workspace = Workspace(tmp_path / str(number))
        record_spec(workspace, read_spec(spec))
        embed_classes(workspace, PHRASES, "auto")
        fingerprints.append(workspace.stages()["text"].fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("folder", "file", "wrong", "classes"),
    [
        ("UCF", "ucf", 79, 101),
        ("ActivityNet", "activitynet", 8, 200),
        ("VGGSound", "vggsound", 205, 309),
    ],
)
def test_the_legacy_order_gives_many_benchmark_classes_a_wrong_vector(
    shared: Path, folder: str, file: str, wrong: int, classes: int
) -> None:
    """The counts for the benchmark's own lists of names are those of pipeline/avgzsl_benchmark/README.md."""
    path = shared / "benchmark" / folder / "class-split" / f"{file}_w2v_class_names.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        phrases = {row["original"]: (row["manual"],) for row in csv.DictReader(lines)}

    of_avca, of_clipclap = legacy_phrases(phrases), legacy_phrases(phrases, "clipclap")

    assert len(phrases) == classes
    assert sum(of_avca[name] != phrase for name, phrase in phrases.items()) == wrong
    in_clipclap = 0 if folder == "UCF" else wrong
    assert sum(of_clipclap[name] != phrase for name, phrase in phrases.items()) == in_clipclap


def test_clipclap_names_the_classes_of_ucf_in_their_own_order() -> None:
    """Its names are the words of the class names; elsewhere it repeats the order of the AVCA code."""
    ucf = {"YoYo": ("playing with a yo-yo",), "ApplyEyeMakeup": ("eye makeup",), "HandstandPushups": ("a handstand",)}
    others = {"Zither": ("a zither",), "Alto": ("the alto",)}

    assert legacy_phrases(ucf, "clipclap") == ucf
    assert legacy_phrases(ucf, "avca") != ucf
    assert legacy_phrases(others, "clipclap") == legacy_phrases(others, "avca") != others


@pytest.mark.parametrize(
    ("named", "content", "message"),
    [
        ("word2vec:vectors.txt", b"dog 1 2\ncat 3 4\n", r"vectors\.txt is a glove file, not word2vec: give glove:"),
        ("vectors.npy", b"\x93NUMPYnothing", r"vectors\.npy is refused: it is damaged"),
    ],
)
def test_a_file_of_another_format_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, content: bytes, message: str
) -> None:
    """The message names the file and the fault."""
    monkeypatch.chdir(tmp_path)
    Path(named.rpartition(":")[2]).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_encoder(read_spec(named))
