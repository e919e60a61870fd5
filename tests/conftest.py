"""Fixtures and rules of all tests: skips with a reason, no network, the same random state for every test."""

import os
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch

from pipeline.base.workspace import StageRecord, Workspace
from pipeline.datasets.dataset import Dataset, Video, save_dataset
from pipeline.features.index import SourceFile, StoredVideo, content_fingerprint
from pipeline.features.store import FeatureRows, write_part

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
os.environ.setdefault("AVZSL_OFFLINE", "1")
# No deadline: a test must not fail because the machine is busy.
hypothesis.settings.register_profile("avzsl", deadline=None)
hypothesis.settings.load_profile("avzsl")
torch.set_num_threads(1)  # small tensors are not faster with more threads, and slower on busy cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that this machine cannot run; with FAIL_WITHOUT_GPU=1, tests that need a GPU fail instead."""
    for item in items:
        if item.get_closest_marker("needs_shared") and not SHARED.is_dir():
            item.add_marker(
                pytest.mark.skip(reason="no folder ../shared next to the checkout (real clips and official splits)")
            )
        if (
            item.get_closest_marker("needs_gpu")
            and not torch.cuda.is_available()
            and not os.environ.get("FAIL_WITHOUT_GPU")
        ):
            item.add_marker(pytest.mark.skip(reason="torch sees no CUDA device"))


WORDS = (
    *("a", "the", "of", "sound", "video", "dog", "cat", "barking", "playing", "drums", "guitar", "red", "blue"),
    *("green", "black", "purple", "yellow", "ball", "drum", "car", "heart", "square", "star", "triangle"),
    *("blinking", "bouncing", "shaking", "sliding", "spinning", "swinging"),
)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real clips and official splits."""
    return SHARED


@pytest.fixture(autouse=True)
def _same_random_state() -> Iterator[None]:
    """Start every test with the same random state, and restore the former state afterwards."""
    states = torch.random.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 - the global state
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global state
    random.seed(0)
    yield
    torch.random.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002 - the global state
    random.setstate(states[2])


@pytest.fixture
def extracted(tmp_path: Path) -> Callable[..., Workspace]:
    """Return a function that makes a workspace with random features per class; no video is decoded."""

    def make(
        *, classes: int = 8, videos: int = 5, width: int = 16, silent: Sequence[str] = (), extractor: str = "synthetic"
    ) -> Workspace:
        return _workspace_with_features(tmp_path / "workspace", classes, videos, width, silent, extractor)

    return make


def _workspace_with_features(
    root: Path, classes: int, videos: int, width: int, silent: Sequence[str], extractor: str
) -> Workspace:
    colours, things = ("red", "green", "blue", "black"), ("ball", "dog", "drum", "car")
    names = [f"{colour}_{thing}" for colour in colours for thing in things][:classes]
    generator = np.random.default_rng(0)
    entries: list[tuple[StoredVideo, FeatureRows]] = []
    dataset: list[Video] = []
    for name in names:
        centres = generator.normal(size=(2, width))
        for number in range(videos):
            key, seconds = f"{name}/{number}.mp4", int(generator.integers(1, 5))
            rows = centres[:, None] + 0.3 * generator.normal(size=(2, seconds, width))
            has_audio = key not in silent
            stored = StoredVideo(
                video=key,
                source=SourceFile(f"hash of {key}", 1, 1),
                class_name=name,
                seconds=seconds,
                has_audio=has_audio,
                has_visual=True,
                duration_seconds=float(seconds),
            )
            entries.append(
                (stored, FeatureRows(rows[0].astype(np.float32), rows[1].astype(np.float32) if has_audio else None))
            )
            dataset.append(Video(key=key, location=str(root / "videos" / key), class_name=name))
    workspace = Workspace(root)
    folder = workspace.feature_folder("synthetic")
    attributes = {
        "extractor": extractor,
        "feature_width": width,
        "dtype": "float32",
        "decoder": "pyav",
        "weights": "untrained" if extractor == "synthetic" else "trained",
    }
    content = content_fingerprint([video for video, _ in entries], "synthetic")
    write_part(
        folder / "features.h5",
        entries,
        [],
        widths=(width, width),
        dtype="float32",
        attributes={**attributes, "content": content},
    )
    phrases = {name: (name.replace("_", " "),) for name in names}
    save_dataset(Dataset(source=root / "videos", videos=tuple(dataset), phrases=phrases), workspace.dataset_folder)
    workspace.record("features", StageRecord(fingerprint=content, output="features/synthetic/features.h5"))
    return workspace


@pytest.fixture(scope="session")
def fasttext_model() -> Callable[..., Path]:
    """Return a function that writes a fastText .bin file with random rows."""

    def write(
        path: Path,
        *,
        words: Sequence[str],
        labels: Sequence[str] = (),
        width: int = 6,
        buckets: int = 50,
        least: int = 2,
        most: int = 4,
        version: int = 12,
        model: int = 2,
        pruned_rows: int = -1,
        quantised: bool = False,
        old: bool = False,
    ) -> Path:
        rows = np.random.default_rng(0).normal(size=(len(words) + buckets, width)).astype("<f4")
        arguments = [width, 5, 5, 1, 5, 1, 2, model, buckets, least, most, 100]
        entries = [(word, 0) for word in words] + [(label, 1) for label in labels]
        counts = struct.pack("<iiiq", len(entries), len(words), len(labels), 1000)
        content = struct.pack("<12id", *arguments, 1e-4) + counts
        if not old:
            content = struct.pack("<ii", 793712314, version) + content + struct.pack("<q", pruned_rows)
        for word, kind in entries:
            content += word.encode() + b"\0" + struct.pack("<qb", 7, kind)
        content += (b"" if old else struct.pack("<?", quantised)) + struct.pack("<qq", len(rows), width)
        content += rows.tobytes()
        path.write_bytes(content + b"what follows is not read")
        return path

    return write


@pytest.fixture(scope="session")
def clip_model() -> Callable[..., Path]:
    """Return a function that saves a tiny CLIP text network with random weights and a tokenizer of whole words."""
    from safetensors.torch import save_file  # noqa: PLC0415 - few tests need transformers; the import takes seconds
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: PLC0415 - as above
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection  # noqa: PLC0415 - as above

    def save(folder: Path, *, words: Sequence[str], width: int = 6, seed: int = 0) -> Path:
        folder.mkdir(exist_ok=True)
        vocabulary = {word: index for index, word in enumerate(["<unk>", *words, "<begin>", "<end>"])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 - not a password
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        ends = [("<begin>", vocabulary["<begin>"]), ("<end>", vocabulary["<end>"])]
        tokenizer.post_processor = processors.TemplateProcessing("<begin> $A <end>", special_tokens=ends)
        tokenizer.save(str(folder / "tokenizer.json"))
        config = CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=10,
            projection_dim=width,
            bos_token_id=ends[0][1],
            eos_token_id=ends[1][1],
            pad_token_id=0,
        )
        torch.manual_seed(seed)
        network = CLIPTextModelWithProjection(config)
        for value in network.parameters():  # with the default initialisation, all phrases would be nearly equal
            torch.nn.init.normal_(value, std=0.5)
        save_file(network.state_dict(), folder / "model.safetensors")
        config.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def clip_clap_models() -> Callable[..., Path]:
    """Return a function that saves a tiny CLIP and a tiny CLAP model with random weights, in the published layout."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, CLIPConfig, CLIPImageProcessor, CLIPModel  # noqa: PLC0415 - as above  # noqa: PLC0415 - as above

    def save(folder: Path, *, words: Sequence[str] = WORDS, seed: int = 0) -> Path:
        clip = ["<unk>", *words, "<begin>", "<end>"]
        text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        ids = {"bos_token_id": len(clip) - 2, "eos_token_id": len(clip) - 1, "pad_token_id": 0}
        config = CLIPConfig(
            text_config={**text, **ids, "vocab_size": len(clip), "max_position_embeddings": 20},
            vision_config={**text, "image_size": 32, "patch_size": 8},
            projection_dim=12,
        )
        _save_random(CLIPModel, config, folder / "clip", seed)
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder / "clip")
        _save_tokenizer(folder / "clip", clip, begin="<begin>", end="<end>")
        clap = ["<s>", "<pad>", "</s>", "<unk>", *words]
        config = ClapConfig(
            text_config={**text, "vocab_size": len(clap), "max_position_embeddings": 24, "projection_dim": 10},
            audio_config={
                "patch_embeds_hidden_size": 8,
                "hidden_size": 32,
                "depths": [1, 1, 1],
                "num_attention_heads": [1, 2, 2],
                "num_hidden_layers": 3,
                "window_size": 4,
                "spec_size": 64,
                "num_mel_bins": 16,
                "projection_dim": 10,
            },
            projection_dim=10,
        )
        _save_random(ClapModel, config, folder / "clap", seed + 1)
        ClapFeatureExtractor(
            feature_size=16,
            max_length_s=4,
            sampling_rate=8000,
            hop_length=160,
            fft_window_size=256,
            frequency_max=4000,
            truncation="rand_trunc",
        ).save_pretrained(folder / "clap")
        _save_tokenizer(folder / "clap", clap, begin="<s>", end="</s>")
        return folder

    return save


def _save_random(model: type, config: Any, folder: Path, seed: int) -> None:
    """Save a model with random weights that differ enough for its outputs to differ."""
    torch.manual_seed(seed)
    network = model(config)
    for name, value in network.named_parameters():
        if value.ndim > 1:  # with the default initialisation, all outputs would be nearly equal
            torch.nn.init.normal_(value, std=0.3)
        elif "logit_scale" not in name and name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.1)
    network.save_pretrained(folder)


def _save_tokenizer(folder: Path, vocabulary: Sequence[str], *, begin: str, end: str) -> None:
    """Save a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: PLC0415 - as above

    ids = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))  # noqa: S106 - not a password
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(begin, ids[begin]), (end, ids[end])]
    tokenizer.post_processor = processors.TemplateProcessing(f"{begin} $A {end}", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="session")
def pe_av_model() -> Callable[..., Path]:
    """Return a function that saves a tiny PE-AV model with random weights, in the published layout."""
    pytest.importorskip("timm", reason="timm is not installed")
    from transformers import PeAudioFeatureExtractor, PeAudioVideoConfig, PeAudioVideoModel, PeVideoVideoProcessor  # noqa: PLC0415 - as above  # noqa: PLC0415 - as above

    def save(folder: Path, *, words: Sequence[str] = WORDS, seed: int = 0, num_frames: int | None = 4) -> Path:
        vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *words]
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
        encoder = {**sizes, "head_dim": 8}
        vision = {
            "model_type": "timm_wrapper",
            "architecture": "vit_pe_core_tiny_patch16_384",
            "num_classes": 12,
            "global_pool": "map",
            "do_pooling": True,
            "model_args": {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8},
        }
        dac = {"encoder_hidden_size": 4, "downsampling_ratios": [2, 4, 5], "codebook_dim": 8, "model_type": "dac"}
        config = PeAudioVideoConfig(
            text_config={
                **sizes,
                "model_type": "modernbert",
                **ids,
                "vocab_size": len(vocabulary),
                "max_position_embeddings": 24,
            },
            audio_video_config={
                **encoder,
                "audio_config": {**encoder, "model_type": "pe_audio_encoder", "dac_config": dac},
                "video_config": {**encoder, "model_type": "pe_video_encoder", "vision_config": vision},
            },
        )
        _save_random(PeAudioVideoModel, config, folder, seed)
        PeAudioFeatureExtractor(sampling_rate=8000, hop_length=40).save_pretrained(folder)
        PeVideoVideoProcessor(
            size={"height": 32, "width": 32},
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            do_resize=True,
            do_rescale=True,
            do_normalize=True,
            num_frames=num_frames,
        ).save_pretrained(folder)
        _save_tokenizer(folder, vocabulary, begin="<s>", end="</s>")
        return folder

    return save
