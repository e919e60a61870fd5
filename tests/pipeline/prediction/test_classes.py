"""pipeline/prediction/classes.py: the classes of a prediction, and the only text encoder that a model accepts."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import encode_phrases, read_spec
from pipeline.datasets.phrases import Phrases, phrases_of_name
from pipeline.prediction.classes import class_vectors, parse_classes
from pipeline.settings.training import TextSettings, TrainingSettings
from pipeline.settings.tree import Settings
from pipeline.training.train import train
from pipeline.training.trained_model import Model, load_model

CPU = torch.device("cpu")
WORDS = ["red", "green", "blue", "black", "ball", "dog", "drum", "car", "cat"]
Makers = dict[str, Callable[[Path], Path]]


@pytest.fixture(scope="module")
def makers(fasttext_model: Callable[..., Path], clip_model: Callable[..., Path]) -> Makers:
    """Functions by kind of encoder, each of which writes an encoder of width 6 into a folder."""

    def glove(path: Path) -> Path:
        rows = np.random.default_rng(0).normal(size=(len(WORDS), 6))
        path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(WORDS, rows, strict=True)))
        return path

    return {
        "glove": lambda folder: glove(folder / "glove.txt"),
        "fasttext": lambda folder: fasttext_model(folder / "model.bin", words=WORDS),
        "clip": lambda folder: clip_model(folder / "clip", words=WORDS),
    }


def named(*names: str) -> dict[str, Phrases]:
    """Map class names to their phrases."""
    return {name: phrases_of_name(name) for name in names}


def trained(workspace: Workspace, spec: str) -> Model:
    """Train a model for one epoch."""
    settings = Settings(
        text=TextSettings(encoder=spec),
        daan=DaanConfig(hidden_width=8, output_width=4, heads=2),
        training=TrainingSettings(epochs=1, batch_pairs=8, steps_per_epoch=1),
    )
    report = train(
        workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda _stage, _record, _seconds: None
    )
    return load_model(report.folder, CPU)


@pytest.mark.parametrize("kind", ["glove", "fasttext", "clip"])
def test_a_model_accepts_only_its_own_encoder(
    extracted: Callable[..., Workspace], makers: Makers, tmp_path: Path, kind: str
) -> None:
    """Its content counts, not its path. Other encoders are refused, even of the same kind and width."""
    files = makers[kind](tmp_path)
    model = trained(extracted(), f"{kind}:{files}")
    moved = files.rename(tmp_path / "moved")
    with pytest.raises(PipelineError, match=r"no longer at .*give their path with --text FILE .*sha256"):
        class_vectors(model, named(*["cat"]), None)

    _, vectors, seen = class_vectors(model, named(*["cat", "red_ball"]), f"{kind}:{moved}")

    np.testing.assert_allclose(vectors[0], encode_phrases(read_spec(f"{kind}:{moved}"), [("cat",)]).vectors[0])
    assert not seen[0]
    index = [entry.name for entry in model.classes].index("red_ball")
    np.testing.assert_array_equal(vectors[1], model.class_vectors[index])
    others = [f"{other}:{make(tmp_path)}" for other, make in makers.items() if other != kind]
    for wrong in (*others, "minilm", f"{kind}:{_changed(moved, tmp_path / 'changed')}"):
        # Known names need no encoder, but a wrong one is refused anyway.
        for names in (named("cat"), named("red_ball"), None):
            with pytest.raises(PipelineError, match="is another text encoder than the model was trained with"):
                class_vectors(model, names, wrong)


def _changed(path: Path, copy: Path) -> Path:
    """Copy an encoder with one number changed."""
    if path.is_dir():
        shutil.copytree(path, copy)
        path = copy = copy / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-30] = ord("1") if content[-30] != ord("1") else ord("2")
    copy.write_bytes(content)
    return copy.parent if copy.suffix == ".safetensors" else copy


def test_a_text_option_that_is_not_an_encoder_is_a_usage_error(
    extracted: Callable[..., Workspace], makers: Makers, tmp_path: Path
) -> None:
    """An encoder that no longer exists is another error."""
    model = trained(extracted(), str(makers["glove"](tmp_path)))
    with pytest.raises(UsageError, match="neither a text encoder"):
        class_vectors(model, named(*["cat"]), "nonsense")


def test_a_model_in_a_moved_workspace_finds_its_vectors(extracted: Callable[..., Workspace], makers: Makers) -> None:
    """The path of a file inside the workspace is relative to the workspace."""
    workspace = extracted()
    workspace.text_folder.mkdir()
    model = trained(workspace, str(makers["glove"](workspace.text_folder)))
    (folder,) = workspace.root.glob("models/daan-*")
    before = class_vectors(model, named(*["cat"]), None)[1]

    moved = workspace.root.rename(workspace.root.with_name("moved"))

    after = class_vectors(load_model(moved / "models" / folder.name, CPU), named(*["cat"]), None)[1]
    np.testing.assert_array_equal(after, before)


def test_the_configuration_of_a_run_names_the_encoder_that_was_used(
    extracted: Callable[..., Workspace], makers: Makers, tmp_path: Path
) -> None:
    """config.yaml contains the path of the encoder, not `auto`."""
    workspace = extracted()
    trained(workspace, str(makers["glove"](tmp_path)))
    (config,) = workspace.root.glob("models/daan-*/config.yaml")
    assert f"encoder: {tmp_path / 'glove.txt'}" in config.read_text()


def test_several_phrases_of_a_new_class_are_averaged(
    extracted: Callable[..., Workspace], makers: Makers, tmp_path: Path
) -> None:
    """The model's own classes are found by name, or by their phrases in any order."""
    spec = str(makers["glove"](tmp_path))
    model = trained(extracted(), spec)
    entry = dataclasses.replace(model.classes[0], phrases=("black cat", "Green dog"))
    model = dataclasses.replace(model, classes=(entry, *model.classes[1:]))

    asked = ["cat|black-dog", "green dog|black cat", entry.name]
    names, vectors, _ = class_vectors(model, named(*asked), None)

    assert names == asked
    np.testing.assert_array_equal(vectors[0], encode_phrases(read_spec(spec), [("cat", "black dog")]).vectors[0])
    np.testing.assert_array_equal(vectors[1], model.class_vectors[0])
    np.testing.assert_array_equal(vectors[2], model.class_vectors[0])


def test_names_are_separated_by_commas_and_phrases_by_bars() -> None:
    """Two names with the same set of phrases are refused."""
    assert parse_classes("dog barking|a dog barks, yoga") == {
        "dog barking|a dog barks": ("dog barking", "a dog barks"),
        "yoga": ("yoga",),
    }
    with pytest.raises(UsageError, match="read the same"):
        parse_classes("a|b, B | a")
    with pytest.raises(UsageError, match="a class name is empty"):
        parse_classes("yoga, |")
