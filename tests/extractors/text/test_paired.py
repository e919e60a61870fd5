"""extractors/text: the text towers of CLIP, SigLIP and CLAP, and class vectors paired with an extractor."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.errors import NoVectorError, TextEncoderError, TextSpecError
from extractors.text.loading import load_text_encoder
from extractors.text.paired import PairedText
from extractors.text.spec import TextSpec, parse_text_spec
from extractors.text.templates import Templates

PHRASES = ["dog barking", "red ball", "playing drums", "a cat"]


@pytest.fixture(scope="module")
def models(clip_clap_models: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a CLIP and of a CLAP model."""
    return clip_clap_models(tmp_path_factory.mktemp("models"))


def paired(models: Path, templates: Templates | None = None) -> PairedText:
    """Load the paired encoder."""
    spec = parse_text_spec(f"clip-clap:{models / 'clip'}+{models / 'clap'}")
    encoder = load_text_encoder(spec, templates=templates)
    assert isinstance(encoder, PairedText)
    return encoder


def test_claps_vectors_are_those_of_transformers(models: Path) -> None:
    """The library gives the same vectors, one phrase at a time."""
    from transformers import ClapModel, PreTrainedTokenizerFast  # noqa: PLC0415 - takes seconds

    network = ClapModel.from_pretrained(models / "clap").eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(models / "clap" / "tokenizer.json"))
    expected = []
    for phrase in PHRASES:
        tokens = tokenizer(phrase, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            expected.append(network.get_text_features(input_ids=tokens).pooler_output[0].numpy())
    vectors = load_text_encoder(parse_text_spec(f"clap:{models / 'clap'}")).encode(PHRASES)
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_siglips_vectors_are_those_of_transformers(models: Path, tmp_path: Path) -> None:
    """Texts are filled up to the length that it learned with."""
    from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel  # noqa: PLC0415 - takes seconds

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": 60,
        "projection_size": 16,
        "max_position_embeddings": 12,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = SiglipConfig(text_config={**sizes, **text}, vision_config={**sizes, "image_size": 32, "patch_size": 8})
    network = SiglipModel(config).eval()
    network.save_pretrained(tmp_path)
    shutil.copy(models / "clip" / "tokenizer.json", tmp_path / "tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    expected = []
    for phrase in PHRASES:
        tokens = tokenizer(phrase)["input_ids"]
        filled = torch.tensor([[*tokens, *[1] * (12 - len(tokens))]])
        with torch.inference_mode():
            vector = network.get_text_features(input_ids=filled).pooler_output[0].numpy()
        expected.append(vector / np.linalg.norm(vector))
    vectors = load_text_encoder(parse_text_spec(f"clip:{tmp_path}")).encode(PHRASES)
    np.testing.assert_allclose(vectors, expected, atol=1e-4)


def test_a_paired_vector_has_a_part_for_sight_and_one_for_sound(models: Path) -> None:
    """Each part is the mean of the unit vectors of its templates, and has the same length."""
    templates = Templates(sight=("a video of {}", "{}"), sound=("the sound of {}",))
    encoder = paired(models, templates)
    assert (encoder.visual_width, encoder.width) == (12, 22)
    clip = load_text_encoder(parse_text_spec(f"clip:{models / 'clip'}"))
    clap = load_text_encoder(parse_text_spec(f"clap:{models / 'clap'}"))
    for phrase, vector in zip(PHRASES, encoder.encode(PHRASES), strict=True):
        sight = (clip.encode([f"a video of {phrase}"]) + clip.encode([phrase]))[0]
        sound = clap.encode([f"the sound of {phrase}"])[0]
        expected = np.concatenate([sight / np.linalg.norm(sight), sound]) / np.sqrt(2)
        np.testing.assert_allclose(vector, expected, atol=1e-6)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_the_identity_contains_both_models_and_the_templates(models: Path) -> None:
    """A model that was trained with other templates has other class vectors."""
    plain, other = paired(models), paired(models, Templates(sight=("{}",)))
    assert plain.identity != other.identity
    assert Templates.from_identity(other.identity) == Templates(sight=("{}",))
    assert Templates.from_identity({"encoder": "minilm"}) == Templates()
    assert plain.identity["sha256"].count(":") == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sight": ("a video",)}, r"sight_templates: 'a video' has no \{\}, which stands for"),
        ({"sound": ()}, r"sound_templates is empty: give at least one text with \{\}"),
    ],
)
def test_wrong_templates_are_refused(values: dict[str, tuple[str, ...]], message: str) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=message):
        Templates(**values)


def test_a_text_that_is_too_long_for_one_of_the_towers_is_refused(models: Path) -> None:
    """CLIP takes 20 tokens here, CLAP 22."""
    with pytest.raises(NoVectorError, match=r"'a video of dog .*: 25 tokens, but a CLIP model takes at most 20"):
        paired(models).encode(["dog " * 20])
    templates = Templates(sight=("{}",), sound=("the the sound of {}",))
    with pytest.raises(NoVectorError, match=r"'the the sound .*: 23 tokens, but a CLAP model takes at most 22"):
        paired(models, templates).encode(["dog " * 17])


def test_blank_phrases_are_refused_behind_a_template_too(models: Path) -> None:
    """`a video of ` alone would be a text, but it says nothing of the class."""
    with pytest.raises(NoVectorError, match="a class needs a phrase with at least one word"):
        paired(models).encode(["dog", " "])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("clip-clap:", "does not say what to read: give clip-clap:CLIP\\+CLAP"),
        ("clip-clap:/nowhere", "names one model: give clip-clap:CLIP\\+CLAP, each a FOLDER"),
        ("clip-clap:/nowhere+/else", "there is no folder /nowhere: give clip:FOLDER"),
        ("clap:", "does not say what to read: give clap:FOLDER, or the name of a model on the hub, such as clap:laion"),
        ("clap:/nowhere", "there is no folder /nowhere: give clap:FOLDER"),
    ],
)
def test_wrong_specs_are_refused(spec: str, message: str) -> None:
    """The message says what to give."""
    with pytest.raises(TextSpecError, match=message):
        parse_text_spec(spec)


def test_a_model_of_another_kind_is_refused(models: Path) -> None:
    """CLAP's texts are not CLIP's."""
    with pytest.raises(TextEncoderError, match=r"contains no CLAP model \(clip\): give the folder of one"):
        load_text_encoder(parse_text_spec(f"clap:{models / 'clip'}"))


def test_a_pair_survives_a_file_and_a_plus_in_a_folder(models: Path, tmp_path: Path) -> None:
    """Both paths become absolute."""
    odd = tmp_path / "c++"
    shutil.copytree(models / "clip", odd)
    spec = parse_text_spec(f"clip-clap:{odd}+{models / 'clap'}")
    assert spec.locations == (str(odd), str(models / "clap"))
    assert TextSpec.from_text(spec.to_text(tmp_path), tmp_path) == spec
    by_name = parse_text_spec("clip-clap:openai/clip-vit-base-patch32+laion/clap-htsat-unfused")
    assert by_name.locations == ("openai/clip-vit-base-patch32", "laion/clap-htsat-unfused")
    assert TextSpec.from_text(by_name.to_text(tmp_path), tmp_path) == by_name
