"""extractors/text/clip.py: the text towers of CLIP models, from folders and from the hub's cache."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from extractors.errors import NoVectorError, TextEncoderError
from extractors.text.loading import load_text_encoder
from extractors.text.spec import parse_text_spec

WORDS = ["dog", "barking", "red", "ball", "playing", "drums"]
PHRASES = ["dog barking", "a red ball", "Playing drums", "dog", "dog " * 8, "ball red", "unheard of"]
Save = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(clip_model: Save, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model."""
    return clip_model(tmp_path_factory.mktemp("clip") / "model", words=WORDS)


def test_vectors_are_the_text_embeddings_of_transformers(folder: Path) -> None:
    """The library gives the same vectors, one phrase at a time."""
    from transformers import CLIPTextModelWithProjection, PreTrainedTokenizerFast  # noqa: PLC0415 - takes seconds

    network = CLIPTextModelWithProjection.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    expected = []
    for phrase in PHRASES:
        tokens = tokenizer(phrase, truncation=True, max_length=10, return_tensors="pt")
        with torch.inference_mode():
            expected.append(network(input_ids=tokens["input_ids"]).text_embeds[0].numpy())
    unit = [vector / np.linalg.norm(vector) for vector in expected]
    np.testing.assert_allclose(load_text_encoder(parse_text_spec(f"clip:{folder}")).encode(PHRASES), unit, atol=1e-6)


def test_a_model_with_pictures_gives_the_same_as_its_text_tower(folder: Path, tmp_path: Path) -> None:
    """The usual files contain both towers, and `text_config` with the text tower's settings; weights may be float16."""
    both = shutil.copytree(folder, tmp_path / "both")
    config = json.loads((folder / "config.json").read_text())
    (both / "config.json").write_text(json.dumps({"model_type": "clip", "text_config": config}))
    weights = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(
        {**weights, "vision_model.weight": torch.zeros(3), "logit_scale": torch.ones(())}, both / "model.safetensors"
    )
    np.testing.assert_allclose(
        load_text_encoder(parse_text_spec(f"clip:{both}")).encode(PHRASES),
        load_text_encoder(parse_text_spec(f"clip:{folder}")).encode(PHRASES),
        atol=2e-2,
    )


def test_nothing_is_printed_and_no_random_number_is_used(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Loading draws no progress bar and does not change the random state of a training."""
    state = torch.get_rng_state()
    load_text_encoder(parse_text_spec(f"clip:{folder}")).encode(["dog"])
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_the_identity_depends_on_every_file_and_none_may_be_missing(folder: Path, tmp_path: Path, name: str) -> None:
    """A changed file gives another identity, and the message names a missing file."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    before = load_text_encoder(parse_text_spec(f"clip:{copy}")).identity
    if name.endswith(".json"):
        (copy / name).write_text((copy / name).read_text() + "\n")
    else:
        save_file({key: value + 1 for key, value in load_file(copy / name).items()}, copy / name)
    assert load_text_encoder(parse_text_spec(f"clip:{copy}")).identity != before
    (copy / name).unlink()
    with pytest.raises(TextEncoderError, match=re.escape(f"has no {name}")):
        load_text_encoder(parse_text_spec(f"clip:{copy}"))


def test_a_pickle_is_never_read(folder: Path, tmp_path: Path) -> None:
    """A model with only pytorch_model.bin is refused; the message says why."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(TextEncoderError, match=r"pytorch_model\.bin is a pickle, which can run code"):
        load_text_encoder(parse_text_spec(f"clip:{copy}"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "cannot be loaded"),
        ("config.json", '{"model_type": "bert"}', r"contains no CLIP model \(bert\)"),
        ("config.json", "[]", "config.json is no JSON object"),
        ("config.json", '{"model_type": "clip", "hidden_size": 9}', "cannot be loaded"),
        ("config.json", '{"model_type": "clip", "hidden_size": "wide"}', "cannot be loaded"),
        ("config.json", '{"model_type": "clip", "text_config": 3}', "cannot be loaded"),
        ("tokenizer.json", "{}", "cannot be loaded"),
        ("model.safetensors", "junk that is no safetensors file", "cannot be loaded"),
    ],
)
def test_damaged_files_fail_in_one_line(folder: Path, tmp_path: Path, name: str, content: str, message: str) -> None:
    """The message is one line for the errors of every library."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / name).write_text(content)
    with pytest.raises(TextEncoderError, match=message) as caught:
        load_text_encoder(parse_text_spec(f"clip:{copy}")).encode(["dog"])
    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_does_not_mark_the_end_is_refused(folder: Path, tmp_path: Path) -> None:
    """A phrase's vector is the state of its last token, so the tokenizer must add an end token."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    document = json.loads((copy / "tokenizer.json").read_text())
    (copy / "tokenizer.json").write_text(json.dumps(document | {"post_processor": None}))
    with pytest.raises(TextEncoderError, match="does not mark the end of a phrase"):
        load_text_encoder(parse_text_spec(f"clip:{copy}")).encode(["dog"])


def test_the_message_for_a_model_that_is_not_in_the_cache_says_what_to_do(tmp_path: Path) -> None:
    """With AVZSL_OFFLINE, nothing is requested from the hub."""
    with pytest.raises(TextEncoderError, match=r"AVZSL_OFFLINE is set: save its config\.json.* give clip:FOLDER"):
        load_text_encoder(parse_text_spec("clip:openai/clip-vit-large-patch14"), cache_dir=tmp_path)


def test_a_model_in_the_cache_needs_no_network(folder: Path, tmp_path: Path) -> None:
    """The cache has the layout of the hub's own library."""
    model = tmp_path / "models--some--clip"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("1f")
    shutil.copytree(folder, model / "snapshots" / "1f")
    cached = load_text_encoder(parse_text_spec("clip:some/clip"), cache_dir=tmp_path)
    assert cached.identity == load_text_encoder(parse_text_spec(f"clip:{folder}")).identity


def test_a_phrase_that_is_longer_than_the_tower_takes_is_refused(folder: Path) -> None:
    """It is not cut silently; the message says how long it is."""
    with pytest.raises(
        NoVectorError, match=r"'dog dog .*\.\.\.': 32 tokens, but a CLIP model takes at most 10"
    ) as caught:
        load_text_encoder(parse_text_spec(f"clip:{folder}")).encode(["dog", "dog " * 30])
    assert list(caught.value.missing) == ["dog " * 30]
