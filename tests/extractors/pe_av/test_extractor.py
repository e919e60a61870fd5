"""extractors/pe_av: features and texts equal those of the model's own processor and network."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from extractors.base import Runtime
from extractors.decoding.pictures.convert import resize_and_crop
from extractors.errors import UnavailableError, WeightsError, WeightsSpecError
from extractors.pe_av.extractor import PeAv, PeAvExtractor
from extractors.pe_av.options import PeAvOptions
from extractors.registry import extractor_family
from extractors.text.loading import load_text_encoder
from extractors.text.spec import parse_text_spec
from extractors.text.templates import Templates

CPU = torch.device("cpu")
FAMILY = PeAv()
PHRASES = ["dog barking", "red ball", "playing drums"]


@pytest.fixture(scope="module")
def folder(pe_av_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that sees four pictures in a window."""
    return pe_av_model(tmp_path_factory.mktemp("models") / "pe-av")


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    """The model of transformers."""
    from transformers import PeAudioVideoModel  # noqa: PLC0415 - takes seconds

    return PeAudioVideoModel.from_pretrained(folder).eval()


def loaded(folder: Path, runtime: Runtime = "eager", **options: Any) -> PeAvExtractor:
    """Load an extractor."""
    chosen = FAMILY.complete(PeAvOptions(weights=str(folder), **options), frozenset({"weights"}))
    return FAMILY.load(chosen, FAMILY.find_weights(chosen, cache_dir=folder), device=CPU, runtime=runtime)


def squashed(extractor: PeAvExtractor, frames: np.ndarray) -> torch.Tensor:
    """Resize pictures (K, H, W, 3) as decoding does, (K, 3, S, S)."""
    wanted = extractor.inputs.picture
    assert wanted is not None
    out = np.zeros((len(frames), 3, wanted.side_pixels, wanted.side_pixels), np.uint8)
    for frame, target in zip(frames, out, strict=True):
        resize_and_crop(frame, target, wanted)
    return torch.from_numpy(out)


def forward(model: Any, folder: Path, *, frames: np.ndarray, sound: np.ndarray, num_frames: int | None) -> Any:
    """Run the model's own processor and network on one clip, with three texts."""
    from transformers import (  # noqa: PLC0415 - takes seconds
        PeAudioFeatureExtractor,
        PeVideoVideoProcessor,
        PreTrainedTokenizerFast,
    )

    seen = PeVideoVideoProcessor.from_pretrained(folder)(
        [torch.from_numpy(frames).permute(0, 3, 1, 2)],
        num_frames=num_frames,
        do_sample_frames=num_frames is not None,
        return_tensors="pt",
    )
    heard = PeAudioFeatureExtractor.from_pretrained(folder)(sound / 32768, sampling_rate=8000, return_tensors="pt")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    tokens = torch.tensor([tokenizer(f"a video of {phrase}")["input_ids"] for phrase in ["red ball", "red drum"]])
    with torch.inference_mode():
        return model(
            pixel_values_videos=seen["pixel_values_videos"].repeat(2, 1, 1, 1, 1),
            input_values=heard["input_values"].float().repeat(2, 1, 1),
            padding_mask=heard["padding_mask"].repeat(2, 1),
            input_ids=tokens,
        )


@pytest.mark.parametrize("runtime", ["eager", "traced"])
@pytest.mark.parametrize(("count", "samples"), [(4, 8000), (16, 32_000), (10, 20_011), (3, 9_999)])
def test_windows_equal_those_of_the_models_own_processor(
    folder: Path, model: Any, count: int, samples: int, runtime: Runtime
) -> None:
    """Of the pictures of a window, the model sees four at equal distances; sound is filled up by its reflection."""
    generator = np.random.default_rng(count)
    frames = generator.integers(0, 256, (count, 40, 60, 3), dtype=np.uint8)
    sound = generator.integers(-9000, 9000, samples).astype(np.int16)
    extractor = loaded(folder, runtime)
    expected = forward(model, folder, frames=frames, sound=sound, num_frames=4)
    rows = extractor.visual(squashed(extractor, frames)[None])
    assert rows.shape[:2] == (1, count)
    visual = extractor.visual_of_windows(rows)
    audio = extractor.audio(torch.from_numpy(sound)[None])
    torch.testing.assert_close(visual[0], normalize(expected.video_embeds[0], dim=-1), atol=1e-4, rtol=0)
    torch.testing.assert_close(audio[0], normalize(expected.audio_embeds[0], dim=-1), atol=1e-4, rtol=0)


def test_a_model_without_a_number_of_pictures_sees_all_of_them(
    pe_av_model: Callable[..., Path], model: Any, tmp_path: Path
) -> None:
    """The published models without -16-frame take windows of any length."""
    folder = pe_av_model(tmp_path / "any", num_frames=None)
    frames = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    sound = np.zeros(8000, np.int16)
    extractor = loaded(folder)
    expected = forward(model, folder, frames=frames, sound=sound, num_frames=None)
    visual = extractor.visual_of_windows(extractor.visual(squashed(extractor, frames)[None]))
    torch.testing.assert_close(visual[0], normalize(expected.video_embeds[0], dim=-1), atol=1e-4, rtol=0)


def test_texts_equal_those_of_the_model(folder: Path, model: Any) -> None:
    """The vector for sight comes first, then that for sound; both heads see the same templates here."""
    templates = Templates(sight=("a video of {}",), sound=("a video of {}",))
    encoder = load_text_encoder(parse_text_spec(f"pe-av:{folder}"), templates=templates)
    frames, sound = np.zeros((4, 32, 32, 3), np.uint8), np.ones(8000, np.int16)
    expected = forward(model, folder, frames=frames, sound=sound, num_frames=4)
    vectors = torch.from_numpy(encoder.encode(["red ball", "red drum"])) * 2**0.5
    torch.testing.assert_close(vectors[:, :16], normalize(expected.text_video_embeds, dim=-1), atol=1e-4, rtol=0)
    torch.testing.assert_close(vectors[:, 16:], normalize(expected.text_audio_embeds, dim=-1), atol=1e-4, rtol=0)


def test_a_window_of_one_second_needs_no_rows(folder: Path) -> None:
    """Then a second has its vector at once."""
    extractor = loaded(folder, visual_window_seconds=1.0)
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 4, 3, 32, 32), dtype=np.uint8))
    whole = loaded(folder)
    torch.testing.assert_close(extractor.visual(frames), whole.visual_of_windows(whole.visual(frames)))


def test_the_scale_of_cosines_is_about_that_of_the_models_logits(folder: Path, model: Any) -> None:
    """The model multiplies products of vectors whose lengths are nearly constant."""
    with torch.no_grad():
        model.video_model.text_video_logit_scale.fill_(2.0)
    weights = FAMILY.find_weights(PeAvOptions(weights=str(folder)), cache_dir=folder)
    copy = folder.parent / "scaled"
    model.save_pretrained(copy)
    for name in ("tokenizer.json", "preprocessor_config.json", "video_preprocessor_config.json"):
        shutil.copy(folder / name, copy / name)
    scaled = FAMILY.find_weights(PeAvOptions(weights=str(copy)), cache_dir=folder)
    assert FAMILY.describe(PeAvOptions(), weights)["visual_logit_scale"] == 0
    found = float(FAMILY.describe(PeAvOptions(), scaled)["visual_logit_scale"])
    frames, sound = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8), np.ones(8000, np.int16)
    outputs = forward(model, folder, frames=frames, sound=sound, num_frames=4)
    lengths = outputs.video_embeds.norm(dim=-1) * outputs.text_video_embeds.norm(dim=-1)
    assert found == pytest.approx(2.0 * float(lengths.mean()), rel=0.5)


def test_without_timm_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    import importlib.util  # noqa: PLC0415 - to change what is found

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "timm" else find(name))
    with pytest.raises(
        UnavailableError, match=r'pe-av needs timm, which is not installed: pip install "avzsl\[pe-av\]"'
    ):
        extractor_family("pe-av")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", '{"model_type": "clip"}', r"contains no PE-AV model \(clip\)"),
        ("video_preprocessor_config.json", '{"size": 3}', "its preprocessing makes no sense"),
        ("preprocessor_config.json", None, "has no preprocessor_config.json"),
        ("model.safetensors", "junk", "cannot be loaded"),
    ],
)
def test_a_wrong_folder_is_refused(folder: Path, tmp_path: Path, name: str, content: str | None, message: str) -> None:
    """The message is one line."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    with pytest.raises(WeightsError, match=message) as caught:
        loaded(copy)
    assert "\n" not in str(caught.value)


def test_a_name_that_cannot_be_one_is_a_usage_error() -> None:
    """Names on the hub have one slash."""
    with pytest.raises(WeightsSpecError, match="Give the folder of a PE-AV model, its name on the hub, such as"):
        FAMILY.complete(PeAvOptions(weights="pe-av-large"), frozenset({"weights"}))
