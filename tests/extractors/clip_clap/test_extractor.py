"""extractors/clip_clap: features equal those of the models' own processors and networks."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from extractors.base import Runtime
from extractors.clip_clap.extractor import ClipClap, ClipClapExtractor
from extractors.clip_clap.options import ClipClapOptions
from extractors.decoding.pictures.convert import resize_and_crop
from extractors.errors import WeightsError, WeightsSpecError

CPU = torch.device("cpu")
FAMILY = ClipClap()


@pytest.fixture(scope="module")
def models(clip_clap_models: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both models."""
    return clip_clap_models(tmp_path_factory.mktemp("models"))


def options_of(models: Path, **options: object) -> ClipClapOptions:
    """Return options that name a folder of models."""
    return ClipClapOptions(weights=str(models), **options)  # type: ignore[arg-type]


def loaded(models: Path, runtime: Runtime = "eager", **options: object) -> ClipClapExtractor:
    """Load an extractor."""
    chosen = FAMILY.complete(options_of(models, **options), frozenset({"weights"}))
    weights = FAMILY.find_weights(chosen, cache_dir=models / "cache")
    return FAMILY.load(chosen, weights, device=CPU, runtime=runtime)


def pictures(count: int, size: tuple[int, int] = (48, 70)) -> list[np.ndarray]:
    """Return random pictures (H, W, 3)."""
    return list(np.random.default_rng(count).integers(0, 256, (count, *size, 3), dtype=np.uint8))


def seconds_of(extractor: ClipClapExtractor, shown: list[np.ndarray]) -> torch.Tensor:
    """Resize pictures as decoding does, (N, F, 3, S, S)."""
    wanted = extractor.inputs.picture
    assert wanted is not None
    out = np.zeros((len(shown), 3, wanted.side_pixels, wanted.side_pixels), np.uint8)
    for picture, target in zip(shown, out, strict=True):
        resize_and_crop(picture, target, wanted)
    return torch.from_numpy(out).unflatten(0, (-1, wanted.frames_per_second))


def sounds(count: int, length: int) -> np.ndarray:
    """Return random sounds (N, L)."""
    return np.random.default_rng(length).integers(-9000, 9000, (count, length)).astype(np.int16)


def by_clip(models: Path, shown: list[np.ndarray]) -> torch.Tensor:
    """Compute unit vectors with CLIP's own processor and network."""
    from transformers import CLIPImageProcessor, CLIPModel  # noqa: PLC0415 - takes seconds

    network = CLIPModel.from_pretrained(models / "clip").eval()
    inputs = CLIPImageProcessor.from_pretrained(models / "clip")(images=shown, return_tensors="pt")
    with torch.inference_mode():
        return normalize(network.get_image_features(**inputs).pooler_output, dim=-1)


def by_clap(models: Path, heard: np.ndarray) -> torch.Tensor:
    """Compute unit vectors with CLAP's own processor and network."""
    from transformers import ClapFeatureExtractor, ClapModel  # noqa: PLC0415 - takes seconds

    network = ClapModel.from_pretrained(models / "clap").eval()
    processor = ClapFeatureExtractor.from_pretrained(models / "clap")
    inputs = processor([row / 32768 for row in heard], sampling_rate=8000, return_tensors="pt")
    with torch.inference_mode():
        return network.get_audio_features(input_features=inputs["input_features"].float()).pooler_output


@pytest.mark.parametrize("runtime", ["eager", "traced"])
@pytest.mark.parametrize("size", [(48, 70), (90, 33), (32, 32), (20, 24)])
def test_pictures_equal_those_of_the_models_own_processor(
    models: Path, size: tuple[int, int], runtime: Runtime
) -> None:
    """A vector is the mean of the unit vectors of the pictures of a second."""
    extractor, shown = loaded(models, runtime), pictures(6, size)
    expected = by_clip(models, shown).unflatten(0, (3, 2)).mean(1)
    torch.testing.assert_close(extractor.visual(seconds_of(extractor, shown)), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("runtime", ["eager", "traced"])
@pytest.mark.parametrize("length", [24_000, 16_000, 11_111, 32_000, 8_000])
def test_sounds_equal_those_of_the_models_own_processor(models: Path, length: int, runtime: Runtime) -> None:
    """Shorter sound is repeated in the same way; nothing is chosen at random."""
    heard = sounds(3, length)
    vectors = loaded(models, runtime).audio(torch.from_numpy(heard))
    torch.testing.assert_close(vectors, by_clap(models, heard), atol=1e-4, rtol=0)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)


def test_siglip_is_as_good_as_clip(models: Path, tmp_path: Path) -> None:
    """Any folder of a SigLIP model takes the place of CLIP's."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel  # noqa: PLC0415 - takes seconds

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config={**sizes, "vocab_size": 50, "projection_size": 16, "bos_token_id": 1, "eos_token_id": 2},
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
    )
    network = SiglipModel(config).eval()
    folder = tmp_path / "siglip"
    network.save_pretrained(folder)
    processor = SiglipImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(folder)
    chosen = ClipClapOptions(clip=str(folder), clap=str(models / "clap"))
    weights = FAMILY.find_weights(chosen, cache_dir=tmp_path)
    extractor = FAMILY.load(chosen, weights, device=CPU, runtime="traced")
    shown = pictures(4)
    with torch.inference_mode():
        inputs = processor(images=shown, return_tensors="pt")
        expected = normalize(network.get_image_features(**inputs).pooler_output, dim=-1).unflatten(0, (2, 2)).mean(1)
    torch.testing.assert_close(extractor.visual(seconds_of(extractor, shown)), expected, atol=1e-4, rtol=0)
    assert FAMILY.widths(chosen, weights) == (16, 10)


def test_a_longer_window_is_the_mean_of_its_pictures(models: Path) -> None:
    """Each picture is encoded once, and the windows are cut from the rows."""
    extractor = loaded(models, visual_window_seconds=3.0)
    shown = seconds_of(extractor, pictures(4))
    rows = extractor.visual(shown)
    assert rows.shape == (2, 2, 12)
    torch.testing.assert_close(extractor.visual_of_windows(rows), rows.mean(1))
    torch.testing.assert_close(rows.mean(1), loaded(models).visual(shown))


def test_the_recipe_of_clipclap_shows_negative_pictures_with_exchanged_colours(models: Path) -> None:
    """One picture in the middle of a second; x becomes 256 - x, and 0 stays 0."""
    extractor = loaded(models, recipe="clipclap")
    assert extractor.inputs.picture is not None
    assert (extractor.inputs.picture.frames_per_second, extractor.inputs.picture.first_frame) == (1, 0.5)
    shown = seconds_of(extractor, pictures(2))
    changed = ((256 - shown.int()) % 256).to(torch.uint8).flip(2)
    plain = loaded(models, frames_per_second=1)
    torch.testing.assert_close(extractor.visual(shown), plain.visual(changed))
    assert not torch.allclose(extractor.visual(shown), plain.visual(shown), atol=1e-2)


def test_the_identity_changes_with_every_option_and_every_file(models: Path, tmp_path: Path) -> None:
    """Nothing that can change a feature is left out; where the folder is does not matter."""
    copy = shutil.copytree(models, tmp_path / models.name)

    def identity(folder: Path, **options: object) -> dict[str, object]:
        chosen = options_of(folder, **options)
        return dict(FAMILY.describe(chosen, FAMILY.find_weights(chosen, cache_dir=tmp_path)))

    plain = identity(models)
    assert identity(copy) == plain
    changes = [
        {"frames_per_second": 3},
        {"visual_window_seconds": 2.0},
        {"audio_window_seconds": 2.0},
        {"recipe": "clipclap"},
        {"precision": "bfloat16"},
    ]
    assert all(identity(models, **change) != plain for change in changes)
    for part in ("clip", "clap"):
        weights = load_file(copy / part / "model.safetensors")
        save_file({name: value * 1.5 for name, value in weights.items()}, copy / part / "model.safetensors")
        changed = identity(copy)
        assert changed != plain
        plain = changed


def change_config(folder: Path, **values: object) -> None:
    """Change entries of config.json."""
    document = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(document | values))


@pytest.mark.parametrize(
    ("part", "name", "content", "message"),
    [
        ("clip", "config.json", None, "no folders of a CLIP or SigLIP model: it must contain one folder of"),
        ("clap", "model.safetensors", None, "has no model.safetensors: give the folder of a model, as transformers"),
        ("clip", "preprocessor_config.json", None, "has no preprocessor_config.json: give the folder of"),
        ("clip", "model.safetensors", b"junk", "the model in .*clip cannot be loaded"),
        ("clip", "config.json", b"{", r"clip cannot be loaded \(config.json: "),
        ("clip", "config.json", b"[1]", r"config.json is no JSON object"),
        ("clip", "preprocessor_config.json", b'{"size": "wide"}', "its preprocessing makes no sense"),
        ("clip", "preprocessor_config.json", b'{"do_normalize": false}', "its preprocessing is not the usual one"),
        ("clap", "preprocessor_config.json", b'{"hop_length": "x"}', "its preprocessing makes no sense"),
        ("clap", "preprocessor_config.json", b'{"truncation": "fusion"}', "give one without fusion"),
        ("clap", "preprocessor_config.json", b'{"max_length_s": 100000}', "make no sense"),
    ],
)
def test_a_wrong_folder_is_refused_in_one_line(
    models: Path, tmp_path: Path, part: str, name: str, content: bytes | None, message: str
) -> None:
    """The line says which file is wrong and what to do."""
    copy = shutil.copytree(models, tmp_path / "copy")
    if content is None:
        (copy / part / name).unlink()
    else:
        (copy / part / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        loaded(copy)
    assert "\n" not in str(caught.value)


def test_weights_of_another_architecture_are_refused(models: Path, tmp_path: Path) -> None:
    """Sizes in config.json are compared with the file before memory is taken."""
    copy = shutil.copytree(models, tmp_path / "copy")
    config = json.loads((copy / "clip" / "config.json").read_text())
    change_config(copy / "clip", vision_config=config["vision_config"] | {"hidden_size": 1 << 20})
    with pytest.raises(WeightsError, match=r"does not fit its config.json: .* is \(16,\), expected \(1048576,\)"):
        loaded(copy)
    change_config(copy / "clip", vision_config=config["vision_config"] | {"num_hidden_layers": 3})
    with pytest.raises(WeightsError, match=r"of this architecture: .* weights are missing"):
        loaded(copy)


@pytest.mark.parametrize("part", ["clip", "clap"])
def test_a_pickle_is_not_read(models: Path, tmp_path: Path, part: str) -> None:
    """Even one of tensors alone is refused, unless it is a published one."""
    copy = shutil.copytree(models, tmp_path / "copy")
    torch.save(load_file(copy / part / "model.safetensors"), copy / part / "pytorch_model.bin")
    (copy / part / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=re.escape("pytorch_model.bin is a pickle, which can run code")):
        loaded(copy)


def test_a_known_pickle_is_read_as_tensors_only(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CLAP is published as a pickle only."""
    from extractors.files import model_folder  # noqa: PLC0415 - to change what is known

    copy = shutil.copytree(models, tmp_path / "copy")
    torch.save(load_file(copy / "clap" / "model.safetensors"), copy / "clap" / "pytorch_model.bin")
    (copy / "clap" / "model.safetensors").unlink()
    monkeypatch.setattr(
        model_folder,
        "_KNOWN_PICKLES",
        {model_folder.cached_sha256(copy / "clap" / "pytorch_model.bin", None): "published"},
    )
    heard = torch.from_numpy(sounds(2, 24_000))
    torch.testing.assert_close(loaded(copy).audio(heard), loaded(models).audio(heard))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "vgg_sound"}, "Give a folder that contains the folder of a CLIP model"),
        ({"audio_window_seconds": 5.0}, "audio_window_seconds is 5, but this CLAP model takes at most 4 s"),
    ],
)
def test_wrong_options_are_usage_errors(models: Path, options: dict[str, object], message: str) -> None:
    """They are told apart from damaged files."""
    chosen = replace(options_of(models), **options)  # type: ignore[arg-type]
    with pytest.raises(WeightsSpecError, match=message):
        _complete_and_load(chosen, models)


def _complete_and_load(options: ClipClapOptions, cache_dir: Path) -> None:
    chosen = FAMILY.complete(options, frozenset({"weights"}))
    FAMILY.load(chosen, FAMILY.find_weights(chosen, cache_dir=cache_dir), device=CPU)


def test_exchanged_models_are_refused(models: Path, tmp_path: Path) -> None:
    """A CLAP model sees nothing."""
    chosen = ClipClapOptions(clip=str(models / "clap"), clap=str(models / "clap"))
    with pytest.raises(WeightsError, match=r"contains no CLIP or SigLIP model \(clap\): give the folder of one"):
        FAMILY.find_weights(chosen, cache_dir=tmp_path)
    chosen = ClipClapOptions(clip=str(models / "clip"), clap=str(models / "clip"))
    with pytest.raises(WeightsError, match=r"contains no CLAP model \(clip\): give the folder of one"):
        FAMILY.find_weights(chosen, cache_dir=tmp_path)
