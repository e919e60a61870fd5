"""cli/commands/reproduce.py: official folders of each kind of features, with the methods that were published for it."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from cli.main import run_command
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import embed_classes
from pipeline.datasets.dataset import load_dataset
from pipeline.features.feature_set import load_features

STAGES = {
    "stage_1_train": ("Archery", "BabyCrawling", "Drumming"),
    "stage_1_val_seen": ("Archery", "BabyCrawling", "Drumming"),
    "stage_1_val_unseen": ("CliffDiving", "HandstandPushups"),
    "stage_2_test_seen": ("Archery", "CliffDiving"),
    "stage_2_test_unseen": ("YoYo", "ApplyEyeMakeup"),
}
# Class -> its name in the list of the AVCA code, and in that of the ClipClap code.
NAMES = {
    "ApplyEyeMakeup": ("applying eye makeup", "Apply Eye Makeup"),
    "Archery": ("archery", "Archery"),
    "BabyCrawling": ("a baby crawls", "Baby Crawling"),
    "CliffDiving": ("diving", "Cliff Diving"),
    "Drumming": ("beating drums", "Drumming"),
    "HandstandPushups": ("pushups", "Hand Stand Pushups"),
    "YoYo": ("toy", "Yo Yo"),
}
WIDTHS = {"cls": (4096, 128), "clip": (512, 1024)}
TINY = [
    *("--set", "training.epochs=1", "--set", "training.steps_per_epoch=2", "--set", "training.batch_pairs=8"),
    *("--set", "training.least_validation_videos=2", "--seeds", "0", "--device", "cpu"),
]


def vectors(column: int, width: int, seed: int) -> dict[str, np.ndarray]:
    """Make class vectors of length 1, as the published files have them: name -> (W,)."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(len(NAMES), width)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {names[column]: row for names, row in zip(NAMES.values(), rows, strict=True)}


@pytest.fixture(params=["cls", "clip"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of features that is not SeLaVi's."""
    return str(request.param)


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> Path:
    """A folder UCF as the TCaF code (cls) or the ClipClap code (clip) writes it; commands run next to it.

    The features of `clip` are single vectors near the vector of their class, so that they can be told apart.
    """
    monkeypatch.chdir(tmp_path)
    folder = Path("UCF/features/cls_features_non_averaged")
    text = folder / "text"
    text.mkdir(parents=True)
    of_classes: dict[str, dict[str, np.ndarray]] = {}
    if kind == "cls":
        np.save(text / "word_embeddings_ucf_normed.npy", vectors(0, 300, 0))  # type: ignore[arg-type]  # a dict
    else:
        for modality, name, width in (("video", "", 512), ("audio", "wavcaps_", 1024)):
            of_classes[modality] = vectors(1, width, width)
            np.save(text / f"{name}word_embeddings_ucf_normed.npy", of_classes[modality])  # type: ignore[arg-type]
    for modality, width in zip(("video", "audio"), WIDTHS[kind], strict=True):
        for stage, classes in (*STAGES.items(), ("stage_2_train", tuple(NAMES)[:0])):
            target = folder / modality / stage
            target.mkdir(parents=True)
            for name in classes:
                random = np.random.default_rng([*f"{modality}{stage}{name}".encode()])
                rows = random.normal(size=(4, width)).astype(np.float32)
                if kind == "clip":
                    rows = list(of_classes[modality][NAMES[name][1]] + rows / (10 * np.sqrt(width)))
                else:
                    rows = [row[None].repeat(2, axis=0) for row in rows]
                keys = [f"v_{name}_{stage[6:]}_{number}".encode() for number in range(4)]
                content = {"features": rows, "video_names": keys, "fps": [25] * 4}
                (target / f"{name}.pkl").write_bytes(pickle.dumps(content, 4))
    lists = Path("UCF/class-split")
    (lists / "cls_split").mkdir(parents=True)
    (lists / "all_class.txt").write_text("\n".join(NAMES))
    for stage, classes in STAGES.items():
        (lists / "cls_split" / f"{stage}.txt").write_text("\n".join(classes))
    rows_of = [f"{name},{manual}" for name, (manual, _) in NAMES.items()]
    (lists / "ucf_w2v_class_names.csv").write_text("\n".join(["original,manual", *rows_of]))
    if kind == "clip":
        rows_of = [f"{name},{manual},{own}" for name, (manual, own) in NAMES.items()]
        (lists / "ucf_clip_class_names.csv").write_text("\n".join(["original,manual,clip_class_name", *rows_of]))
    return Path("UCF")


def unwrapped(text: str) -> str:
    """Join lines that were wrapped."""
    return " ".join(text.split())


@pytest.mark.parametrize("kind", ["clip"], indirect=True)
def test_clip_features_are_imported_with_the_vectors_of_both_text_encoders(official: Path) -> None:
    """Each video has one row, and each class the vector of CLIP, then that of CLAP, by ClipClap's own names."""
    assert run_command(["import", "tcaf", str(official), "-w", "work"]) == 0
    workspace = Workspace(Path("work"))
    dataset = load_dataset(workspace.dataset_folder)
    features = load_features(workspace.current_features(), dataset.classes)
    assert (features.visual.shape[1], features.audio.shape[1]) == (512, 1024)
    assert set(features.seconds.tolist()) == {1}
    assert dataset.phrases["HandstandPushups"] == ("Hand Stand Pushups",)
    found = embed_classes(workspace, dataset.phrases, "auto").vectors
    for row, name in zip(found, dataset.classes, strict=True):
        both = [vectors(1, width, width)[NAMES[name][1]] for width in (512, 1024)]
        np.testing.assert_allclose(row * np.sqrt(2), np.concatenate(both), atol=1e-6)


def test_methods_are_reproduced_next_to_the_published_rows_of_their_features(
    official: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows of other kinds are not shown, and zero-shot recognises features that are near their class's texts."""
    methods = {"cls": "devise,avca", "clip": "zero-shot,clipclap,avca"}[kind]
    command = ["reproduce", "ucf", "--features", f"{kind}:{official}", "--methods", methods, *TINY]
    assert run_command(command) == 0
    shown = capsys.readouterr().out
    text = unwrapped(shown)
    title = {"cls": "C3D and VGGish", "clip": "CLIP and CLAP"}[kind]
    assert f"Published rows: ucf, features {kind} ({title}), cls_split." in text
    assert ("SGTG" in text) == (kind == "clip")
    assert f"AVCA by preset avca-ucf-{kind}" in text
    assert ("zero-shot by defaults, ClipClap by preset clipclap-ucf" in text) == (kind == "clip")
    assert ("KDA" in text) == (kind == "cls")
    assert "MDFT" not in text
    assert max(len(line) for line in shown.splitlines() if re.search(r"\d\.\d\d .*\d\.\d\d", line)) <= 80
    assert run_command([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["methods"]) == methods.split(",")
    assert document["published"]["features"] == kind
    assert document["ablations"] == {}
    if kind == "clip":
        assert document["methods"]["zero-shot"]["mean"]["sum"]["ZSL"] == 100
        assert "text_layer_width: 512" in document["settings"]["avca"]
        assert "text_layer_width: 0" not in document["settings"]["avca"]
    assert run_command(["reproduce", "ucf", "--features", "avzsl-ucf", "--methods", methods, *TINY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document  # the kind of a workspace is found from its features


def test_faithful_repeats_every_fault(official: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The options faithful are on, and the classes have the order of the code that the first method comes from."""
    methods = {"cls": "cjme,apn", "clip": "clipclap"}[kind]
    command = ["reproduce", "ucf", "--features", f"{kind}:{official}", "--methods", methods, "--faithful", *TINY]
    assert run_command([*command, "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    if kind == "cls":
        assert all("faithful: true" in document["settings"][name] for name in ("cjme", "apn"))
        assert "7 of 7 classes get another class's vector, as in the AVCA and TCaF code" not in captured.err
        assert re.search(r"[1-6] of 7 classes get another class's vector, as in the AVCA and TCaF code", captured.err)
    else:
        assert "0 of 7 classes get another class's vector, as in the ClipClap code" in captured.err


@pytest.mark.parametrize("kind", ["clip"], indirect=True)
@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            "cls:UCF",
            "--features cls:UCF: C3D and VGGish give visual features of width 4096 and audio",
        ),
        (
            "main:UCF",
            "UCF has no features of the kind main: expected a folder features/main_features*; it has",
        ),
        ("clop:UCF", "--features clop:UCF: 'clop' is not a kind of features (main, cls, clip). Did you mean clip?"),
        ("clip:", "--features clip: names no folder: give clip:DIR"),
        ("clip:UFC", "UFC does not exist. Did you mean UCF?"),
    ],
)
def test_another_kind_of_features_is_refused(
    official: Path, features: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says which features are there."""
    assert official.is_dir()
    assert run_command(["reproduce", "ucf", "--features", features, "--methods", "clipclap", *TINY]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("avzsl: ") == 1


@pytest.mark.parametrize("kind", ["clip"], indirect=True)
def test_the_ablation_of_mft_stands_next_to_the_published_one(
    official: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six variants are trained, one of them our other reading; the full method is not trained twice."""
    narrow = [word for name in ("hidden_width=16", "depth=1") for word in ("--set", f"mft.{name}")]
    command = ["reproduce", "ucf", "--features", f"clip:{official}", "--methods", "mft", "--ablation", *narrow, *TINY]
    assert run_command(command) == 0
    shown = capsys.readouterr().out
    assert re.search(r"without attention .*\n +published +74\.36 +43\.89 +55\.20 +45\.28", shown)
    assert shown.count("  published ") == 6
    assert run_command([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("trained already") == 7
    ablation = json.loads(captured.out)["ablations"]["mft"]
    assert set(ablation["variants"]) == {*ablation["published"], "fused"}
    assert run_command([*command, "--set", "mft.kl=off"]) == 2
    assert "mft.kl is off, which is a row of the ablation: leave the setting out" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["cls"], indirect=True)
def test_an_ablation_that_was_published_for_other_features_is_not_shown(
    official: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DAAN's is for SeLaVi's features. The runs of all variants are shown all the same."""
    narrow = [word for name in ("hidden_width=16", "heads=2", "output_width=8") for word in ("--set", f"daan.{name}")]
    assert run_command(["reproduce", "ucf", "--features", f"cls:{official}", *narrow, *TINY]) == 0
    shown = capsys.readouterr().out
    assert "ablation of DAAN" in shown
    assert "  published" not in shown
    assert "52.38" not in shown
