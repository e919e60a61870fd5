"""pipeline/prediction/classes.py: the classes of a prediction, and the only text encoder that a model accepts."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from daan.config import DaanConfig
from pipeline.base.csv_tables import write_rows
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import encode_phrases, read_spec
from pipeline.datasets.phrases import Phrases, phrases_of_name
from pipeline.prediction.classes import name_classes, parse_classes
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
        name_classes(model, named(*["cat"]), None)

    found = name_classes(model, named(*["cat", "red_ball"]), f"{kind}:{moved}")

    np.testing.assert_allclose(found.vectors[0], encode_phrases(read_spec(f"{kind}:{moved}"), [("cat",)]).vectors[0])
    assert not found.seen[0]
    index = [entry.name for entry in model.classes].index("red_ball")
    np.testing.assert_array_equal(found.vectors[1], model.class_vectors[index])
    others = [f"{other}:{make(tmp_path)}" for other, make in makers.items() if other != kind]
    for wrong in (*others, "minilm", f"{kind}:{_changed(moved, tmp_path / 'changed')}"):
        # Known names need no encoder, but a wrong one is refused anyway.
        for names in (named("cat"), named("red_ball"), None):
            with pytest.raises(PipelineError, match="is another text encoder than the model was trained with"):
                name_classes(model, names, wrong)


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
        name_classes(model, named(*["cat"]), "nonsense")


def test_a_model_in_a_moved_workspace_finds_its_vectors(extracted: Callable[..., Workspace], makers: Makers) -> None:
    """The path of a file inside the workspace is relative to the workspace."""
    workspace = extracted()
    workspace.text_folder.mkdir()
    model = trained(workspace, str(makers["glove"](workspace.text_folder)))
    (folder,) = workspace.root.glob("models/daan-*")
    before = name_classes(model, named(*["cat"]), None).vectors

    moved = workspace.root.rename(workspace.root.with_name("moved"))

    after = name_classes(load_model(moved / "models" / folder.name, CPU), named(*["cat"]), None).vectors
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

    for way in ("green dog|black cat", entry.name):
        asked = ("cat|black-dog", way)
        found = name_classes(model, named(*asked), None)

        assert found.names == asked
        expected = encode_phrases(read_spec(spec), [("cat", "black dog")]).vectors[0]
        np.testing.assert_array_equal(found.vectors[0], expected)
        np.testing.assert_array_equal(found.vectors[1], model.class_vectors[0])


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


def test_a_new_name_that_means_a_trained_class_gets_its_vector(
    extracted: Callable[..., Workspace], makers: Makers, tmp_path: Path
) -> None:
    """It counts as seen, and a note says so. A plural of an unseen class stays new."""
    model = trained(extracted(), str(makers["fasttext"](tmp_path)))
    index = next(index for index, entry in enumerate(model.classes) if entry.seen)
    trained_phrase = model.classes[index].phrases[0]
    unseen_phrase = next(entry.phrases[0] for entry in model.classes if not entry.seen)

    found = name_classes(model, named(f"{trained_phrase}s", f"{unseen_phrase}s", "cat"), None)

    assert found.seen.tolist() == [True, False, False]
    np.testing.assert_array_equal(found.vectors[0], model.class_vectors[index])
    assert any(
        f"'{trained_phrase}s' is taken as {trained_phrase!r}, a class in training" in note for note in found.notes
    )
    assert not any("taken" in note for note in found.notes[1:])


def test_two_names_of_one_trained_class_are_refused(extracted: Callable[..., Workspace]) -> None:
    """Both would share its probability. The message names both and the class."""
    model = trained(extracted(), "minilm")

    with pytest.raises(UsageError, match="'a red ball' and 'red ball' are the same class in training"):
        name_classes(model, named("a red ball", "red ball", "a dog"), None)


@pytest.mark.parametrize("names", [("é", "è"), ("dog 狗", "dog 猫")])
def test_names_that_the_encoder_cannot_tell_apart_are_refused(
    extracted: Callable[..., Workspace], names: tuple[str, str]
) -> None:
    """Their order would be chance, although the percentages look like knowledge."""
    model = trained(extracted(), "minilm")

    with pytest.raises(UsageError, match=rf"gives the same vector to '{names[0]}' and '{names[1]}'"):
        name_classes(model, named(*names, "yoga"), None)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('yoga, "purple, star"', ["yoga", "purple, star"]),
        (' "a, b" , c', ["a, b", "c"]),
        ('12" record, "c"', ['12" record', "c"]),
    ],
)
def test_quotes_keep_a_comma_inside_a_name(text: str, names: list[str]) -> None:
    """Quotes inside a name are part of it."""
    assert list(parse_classes(text) or {}) == names


def test_a_quote_that_is_not_closed_is_refused() -> None:
    """The message shows how to write it."""
    with pytest.raises(UsageError, match=r"cannot be split.*put quotes around a whole name"):
        parse_classes('yoga, "purple, star')


def test_a_table_of_classes_and_phrases_is_read_by_column(tmp_path: Path) -> None:
    """It is a classes.csv of avzsl, whose header is not a class. A class without a phrase gets one from its name."""
    path = tmp_path / "classes.csv"
    write_rows(path, [("class", "phrase"), ("RedBall", "a red ball | red ball"), ("a, b", "a and b"), ("TaiChi", "")])
    assert parse_classes(str(path)) == {
        "RedBall": ("a red ball", "red ball"),
        "a, b": ("a and b",),
        "TaiChi": ("tai chi",),
    }
    path.write_text("phrase,number,class\nplaying yoga,3,yoga\n")
    assert parse_classes(str(path)) == {"yoga": ("playing yoga",)}
    path.write_text("class,phrase\ndog,a dog barks\ndog,woof\n")
    assert parse_classes(str(path)) == {"dog": ("a dog barks", "woof")}
    path.write_text("class\nyoga\n")
    assert parse_classes(str(path)) == {"yoga": ("yoga",)}
    path.write_text("class,phrase\n")
    with pytest.raises(UsageError, match="contains no class names"):
        parse_classes(str(path))


@pytest.mark.parametrize(
    "text",
    [
        '"class","phrase"\n"dog","a dog, barking"\n',
        'class, phrase\ndog, "a dog, barking"\n',
        'Class,PHRASE\ndog,"a dog, barking"\n',
        ' "Class",number, "Phrase"\n"dog",3,"a dog, barking"\n',
        '\ufeffclass,phrase\r\ndog,"a dog, barking"\r\n',
    ],
)
@pytest.mark.parametrize("ending", ["csv", "txt"])
def test_the_header_of_a_table_may_have_quotes_spaces_and_capitals(tmp_path: Path, ending: str, text: str) -> None:
    """The phrase is never lost."""
    path = tmp_path / f"names.{ending}"
    path.write_text(text, encoding="utf-8", newline="")

    assert parse_classes(str(path)) == {"dog": ("a dog, barking",)}


@pytest.mark.parametrize("ending", ["csv", "txt"])
def test_a_comma_in_quotes_may_be_in_the_first_line(tmp_path: Path, ending: str) -> None:
    """The first line has the same rules as the others."""
    path = tmp_path / f"names.{ending}"
    path.write_text('"red, yellow ball"\n"a; b"\nyoga\n')
    assert list(parse_classes(str(path)) or {}) == ["red, yellow ball", "a; b", "yoga"]
    path.write_text('"a; b"\nyoga\n')
    assert list(parse_classes(str(path)) or {}) == ["a; b", "yoga"]


@pytest.mark.parametrize("ending", ["csv", "txt"])
def test_another_file_has_one_name_per_line(tmp_path: Path, ending: str) -> None:
    """A comma is part of the name, with quotes or without."""
    path = tmp_path / f"names.{ending}"
    path.write_text('# a comment\nyoga\n\npurple, star\n"red, ball"\n')
    assert list(parse_classes(str(path)) or {}) == ["yoga", "purple, star", "red, ball"]


@pytest.mark.parametrize(
    "text",
    [
        "class;phrase\ndog;a dog barks\n",
        "class\tphrase\ndog\ta dog barks\n",
        '"Class"; "Phrase"\n"dog"; "a dog barks"\n',
        "dog\ta dog barks\n",
        "video,path,class\na.mp4,/a.mp4,dog\n",
    ],
)
@pytest.mark.parametrize("ending", ["csv", "txt", "tsv"])
def test_another_table_is_not_read_as_names(tmp_path: Path, ending: str, text: str) -> None:
    """The message shows its first line."""
    path = tmp_path / f"names.{ending}"
    path.write_text(text)

    with pytest.raises(UsageError, match="is not a list of class names: its first line is"):
        parse_classes(str(path))


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ("1 ApplyEyeMakeup\n2 Archery\n", ["ApplyEyeMakeup", "Archery"]),  # UCF101's classInd.txt
        ('playing harp,1046\n"people coughing, sneezing",12\n', ["playing harp", "people coughing, sneezing"]),
        ("playing harp\t1046\nyoga\t3\n", ["playing harp", "yoga"]),
        ("0,dog\n1,cat\n", ["dog", "cat"]),
        ("100 metres\n200 metres\n", ["100 metres", "200 metres"]),  # names, not numbered from 0 or 1
        ("1 dog\ncat\n", ["1 dog", "cat"]),
        ("yoga,855,95\nharp,20,3\n", ["yoga", "harp"]),
        ('"bird chirping, tweeting",400,50\nyoga,3,1\n', ["bird chirping, tweeting", "yoga"]),
        ("1. yoga\n2. harp\n", ["yoga", "harp"]),
        ("1) yoga\n2) harp\n", ["yoga", "harp"]),
        ("0: yoga\n1: harp\n3: drums\n", ["yoga", "harp", "drums"]),
        ("1,yoga,855\n2,harp,3\n", ["yoga", "harp"]),
        ("0 yoga 120\n1 playing harp 3\n", ["yoga", "playing harp"]),
        ("yoga 0\nplaying harp 1\n", ["yoga", "playing harp"]),
        ("- yoga\n- harp\n", ["yoga", "harp"]),
        ("n01440764 tench\nn01443537 goldfish\n", ["tench", "goldfish"]),
        ("area 51\nroute 66\n", ["area 51", "route 66"]),
    ],
)
def test_lists_with_numbers_are_read_by_their_columns(tmp_path: Path, lines: str, names: list[str]) -> None:
    """The number of a class or of its videos is no part of its name."""
    (tmp_path / "names.txt").write_text(lines)
    assert list(parse_classes(str(tmp_path / "names.txt")) or {}) == names


def test_an_empty_value_is_refused() -> None:
    """An unset variable of a script gives an empty value, which does not mean all classes."""
    for text in ("", "  "):
        with pytest.raises(UsageError, match="--classes is empty: give names"):
            parse_classes(text)
    assert parse_classes(None) is None


def test_a_link_that_leads_nowhere_is_no_name(tmp_path: Path) -> None:
    """The message says where it leads."""
    (tmp_path / "names").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match=r"names is a link to .*gone, which does not exist"):
        parse_classes(str(tmp_path / "names"))


def test_numbers_after_blanks_are_counts_if_a_name_without_its_number_is_known(tmp_path: Path) -> None:
    """Otherwise they are parts of the names."""
    path = tmp_path / "names.txt"
    path.write_text("yoga 134\nrain 120\n")
    assert list(parse_classes(str(path), ["Rain"]) or {}) == ["yoga", "rain"]
    assert list(parse_classes(str(path), ["dog"]) or {}) == ["yoga 134", "rain 120"]
