"""Damaged files of every kind: each is refused in words or read as before, at once and in little memory.

For each kind of file, damaged versions are read one after the other in a process of their own, which has limits of
time and memory. What avzsl wrote itself must not change without a word. What strangers write may mean something else
after the damage, but must not lead to a traceback.

A longer run: AVZSL_FUZZ_CASES=2000 AVZSL_FUZZ_SEED=1 pytest tests/fuzz
"""

import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save

from daan.config import DaanConfig
from extractors.base import Windows
from extractors.decoding.interface import DecodingRequest, get_decoder
from extractors.decoding.tracks import describe_media
from extractors.errors import ExtractorError
from extractors.selavi.checkpoint import load_weights
from extractors.selavi.networks import build_audio_network, build_visual_network
from extractors.selavi.options import SelaviOptions, selavi_inputs
from extractors.text.loading import load_text_encoder
from extractors.text.spec import parse_text_spec
from pipeline.avgzsl_benchmark.exporting.export_features import export_features
from pipeline.avgzsl_benchmark.layouts import avca, tcaf
from pipeline.avgzsl_benchmark.layouts.notes import read_notes
from pipeline.base.errors import PipelineError
from pipeline.base.progress import SilentReporter
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import embed_classes
from pipeline.datasets.dataset import dataset_record, load_dataset, read_phrases
from pipeline.datasets.official.class_lists import read_classes
from pipeline.datasets.sources.activitynet import find_activitynet
from pipeline.datasets.splits.splits import Splits, parse_splits, write_splits
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.run_page import write_report
from pipeline.extraction.extract import extract
from pipeline.extraction.extractor_choice import recorded_extractor
from pipeline.features.feature_set import load_features
from pipeline.features.parts import FeatureParts
from pipeline.features.store import open_store
from pipeline.prediction.classes import parse_classes
from pipeline.settings.extraction import ExtractionSettings
from pipeline.settings.training import TrainingSettings
from pipeline.settings.tree import Settings, load_settings
from pipeline.training.checkpoint import load_checkpoint
from pipeline.training.records import read_balance, read_history
from pipeline.training.train import train
from pipeline.training.trained_model import load_model

CASES = int(os.environ.get("AVZSL_FUZZ_CASES", "400"))
SEED = int(os.environ.get("AVZSL_FUZZ_SEED", "0"))
SECONDS_PER_CASE = 20
SPARE_BYTES = 1 << 28
CPU = torch.device("cpu")
CLIP = Path(__file__).parents[2] / "sample_videos" / "red_star_blinking" / "000.mp4"

SPLITS = ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")
NAMES = [
    "features.h5",
    "part.h5",
    "class_embeddings.h5",
    "model.safetensors",
    "model.json",
    "checkpoint.pt",
    "stages.json",
    "source.json",
    "extractor.json",
    "splits.yaml",
    "manifest.csv",
    "classes.csv",
    "names.txt",
    "settings.yaml",
    "vectors.txt",
    "vectors.npy",
    "vectors.bin",
    "tcaf.pkl",
    "avca.h5",
    "weights.pth",
    "weights.safetensors",
    "history.csv",
    "balance.csv",
    "metrics.json",
    "avzsl.json",
    "class-split.csv",
    "annotations.json",
    "clip.mp4",
    "clip.mkv",
    "clip.ts",
    "clip.flv",
    "windows.mp4",
    "tracks.mp4",
]

Reader = Callable[[Path], Any]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        path: a whole file of it.
        read: reads the file and returns what it means, in plain values.
        ours: whether avzsl wrote it, so that no damage may go unnoticed.
        slower: by what the number of cases is divided.
    """

    path: Path
    read: Reader
    ours: bool = False
    slower: int = 1


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    """Make a whole file of each kind."""
    root = tmp_path_factory.mktemp("fuzz")
    workspace = make_workspace(root / "workspace")
    model = workspace.current_model()
    checkpoint = next(model.glob("stage1/*.pt"), None) or next(model.rglob("*.pt"))
    part = next(workspace.root.glob("features/*/parts/*.h5"))
    features, dataset = workspace.current_features(), workspace.dataset_folder
    classes = load_dataset(dataset).classes
    strangers = make_strangers_files(root / "strangers")
    exported = root / "exported"
    export_features(workspace, "tcaf", exported, reporter=SilentReporter(), benchmark="ucf")
    return {
        "features.h5": Kind(features, lambda path: features_of(path, classes), ours=True, slower=3),
        "part.h5": Kind(part, part_of, ours=True, slower=3),
        "class_embeddings.h5": Kind(
            workspace.text_folder / "class_embeddings.h5", lambda _: embedded(workspace), ours=True, slower=3
        ),
        "model.safetensors": Kind(model / "model.safetensors", lambda path: model_of(path.parent), ours=True),
        "model.json": Kind(model / "model.json", lambda path: model_of(path.parent), ours=True),
        "checkpoint.pt": Kind(checkpoint, lambda path: plain(load_checkpoint(path)), ours=True),
        "stages.json": Kind(workspace.root / "stages.json", lambda _: repr(workspace.stages()), ours=True),
        "source.json": Kind(dataset / "source.json", lambda _: record_of(dataset), ours=True),
        "extractor.json": Kind(workspace.extractor_file, lambda _: repr(recorded_extractor(workspace)), ours=True),
        "splits.yaml": Kind(strangers["splits.yaml"], lambda path: repr(parse_splits(path))),
        "manifest.csv": Kind(dataset / "manifest.csv", lambda _: repr(load_dataset(dataset))),
        "classes.csv": Kind(dataset / "classes.csv", read_phrases),
        "names.txt": Kind(strangers["names.txt"], lambda path: parse_classes(str(path))),
        "settings.yaml": Kind(strangers["settings.yaml"], lambda path: repr(load_settings(config_file=path))),
        "vectors.txt": Kind(strangers["vectors.txt"], encoded),
        "vectors.npy": Kind(strangers["vectors.npy"], encoded),
        "vectors.bin": Kind(strangers["vectors.bin"], encoded),
        "tcaf.pkl": Kind(strangers["tcaf.pkl"], lambda path: class_file(tcaf.read_class_file(path))),
        "avca.h5": Kind(strangers["avca.h5"], lambda path: class_file(avca.read_class_file(path)), slower=3),
        "weights.pth": Kind(strangers["weights.pth"], weights),
        "weights.safetensors": Kind(strangers["weights.safetensors"], weights),
        "history.csv": Kind(model / "stage1" / "history.csv", read_history),
        "balance.csv": Kind(model / "stage1" / "balance.csv", lambda path: repr(read_balance(path))),
        "metrics.json": Kind(evaluated(workspace), lambda _: write_report(workspace).page.name, slower=50),
        "avzsl.json": Kind(exported / "avzsl.json", lambda path: repr(read_notes(path.parent))),
        "class-split.csv": Kind(
            exported / "class-split" / "ucf_w2v_class_names.csv",
            lambda path: repr(read_classes(path.parent, "main_split")),
        ),
        "annotations.json": Kind(
            strangers["annotations.json"], lambda path: repr(find_activitynet(path.parent / "videos", path))
        ),
        "clip.mp4": Kind(strangers["clip.mp4"], decoded, slower=4),
        "clip.mkv": Kind(strangers["clip.mkv"], decoded, slower=4),
        "clip.ts": Kind(strangers["clip.ts"], decoded, slower=4),
        "clip.flv": Kind(strangers["clip.flv"], decoded, slower=4),
        "windows.mp4": Kind(strangers["windows.mp4"], lambda path: decoded(path, windows="tcaf"), slower=4),
        "tracks.mp4": Kind(strangers["tracks.mp4"], lambda path: repr(describe_media(path)), slower=2),
    }


def make_workspace(root: Path) -> Workspace:
    """Extract sample videos with the smallest networks, and train for an epoch."""
    videos = root.parent / "videos"
    for folder in sorted(CLIP.parents[1].iterdir()):
        if (folder / "000.mp4").is_file() and len(list(videos.glob("*"))) < 6:
            (videos / folder.name).mkdir(parents=True)
            for name in ("000.mp4", "001.mp4"):
                shutil.copy(folder / name, videos / folder.name / name)
    workspace = Workspace(root)
    options = SelaviOptions(weights="untrained", width=1)
    extract(workspace, videos, ExtractionSettings(extractor=options), device=CPU, reporter=SilentReporter())
    settings = Settings(
        daan=DaanConfig(hidden_width=8, output_width=8, heads=1),
        training=TrainingSettings(epochs=1, batch_pairs=4, steps_per_epoch=1),
    )
    train(workspace, settings, device=CPU, reporter=SilentReporter(), on_epoch=lambda *_: None)
    return workspace


def make_strangers_files(folder: Path) -> dict[str, Path]:
    """Write small files of the kinds that other programs and users write."""
    folder.mkdir()
    random = np.random.default_rng(0)
    vectors = {word: random.normal(size=6).astype(np.float32) for word in ("dog", "cat", "barking", "a")}
    (folder / "vectors.txt").write_text("\n".join(f"{word} {' '.join(map(str, row))}" for word, row in vectors.items()))
    np.save(folder / "vectors.npy", np.array({"dog": vectors["dog"], "cat": vectors["cat"]}, dtype=object))
    words = b"".join(word.encode() + b" " + row.tobytes() + b"\n" for word, row in vectors.items())
    (folder / "vectors.bin").write_bytes(b"4 6\n" + words)
    (folder / "names.txt").write_text('dog\n"red, yellow"\ncat|a cat meows\n')
    (folder / "settings.yaml").write_text("daan:\n  csgm: full\ntraining:\n  epochs: 3\n  learning_rate: 0.001\n")
    write_splits(Splits(**{name: (f"{name}/1.mp4",) for name in SPLITS}, origin={"seed": 7}), folder / "splits.yaml")
    rows = [random.normal(size=(3, 4)).astype(np.float32) for _ in range(3)]
    tcaf.write_class_file(folder / "tcaf.pkl", ["a", "b", "c"], rows)
    avca.write_class_file(folder / "avca.h5", ["a", "b", "c"], [row[:1] for row in rows])
    networks = {"video_network": build_visual_network(1), "audio_network": build_audio_network(1)}
    state = {
        f"{name}.base.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()
    }
    torch.save({"model": state}, folder / "weights.pth")
    (folder / "weights.safetensors").write_bytes(save({key: value.contiguous() for key, value in state.items()}))
    (folder / "videos").mkdir()
    shutil.copy(CLIP, folder / "videos" / "v_clip.mp4")
    segment = {"label": "Tai chi", "segment": [0.0, 2.0]}
    listed = {"clip": {"duration": 4.0, "subset": "training", "annotations": [segment], "url": ""}}
    (folder / "annotations.json").write_text(json.dumps({"database": listed}))
    for name in ("clip.mp4", "windows.mp4", "tracks.mp4"):
        shutil.copy(CLIP, folder / name)
    for name in ("clip.mkv", "clip.ts", "clip.flv"):
        remuxed(folder / name)
    return {path.name: path for path in folder.iterdir()}


def record_of(dataset: Path) -> Any:
    """Read the entries of source.json that avzsl uses; others mean nothing."""
    used = ("source", "prepared_from", "relative_source", "splits", "made_splits", "lists", "generated", "written")
    return {name: value for name, value in dataset_record(dataset).items() if name in used}


def features_of(path: Path, classes: tuple[str, ...]) -> Any:
    """Read all features."""
    features = load_features(path, classes)
    numbers = [features.labels.tolist(), features.audio.tolist(), features.visual.tolist()]
    return [features.keys, *numbers, repr(sorted(features.attributes.items()))]


def part_of(path: Path) -> Any:
    """Read a part file to its last byte; None if it is recognised as damaged."""
    parts = FeatureParts(path.parent, read_fully="all")
    if path in parts.damaged:
        raise PipelineError("damaged")
    with open_store(path) as store:
        return repr((store.videos(), sorted(store.attributes.items())))


def embedded(workspace: Workspace) -> Any:
    """Embed the classes of a workspace, from the cache if it is whole."""
    return embed_classes(workspace, load_dataset(workspace.dataset_folder).phrases, "auto").vectors.tolist()


def model_of(folder: Path) -> Any:
    """Load a model."""
    model = load_model(folder, CPU)
    state = {key: value.tolist() for key, value in model.network.state_dict().items()}
    return [state, model.class_vectors.tolist(), repr(model.classes), repr(model.training), repr(model.betas)]


def plain(value: Any) -> Any:
    """Turn tensors into lists."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else repr(value)


def encoded(path: Path) -> Any:
    """Encode a name with a file of vectors."""
    vectors = load_text_encoder(parse_text_spec(str(path))).encode(["dog"])
    assert np.isfinite(vectors).all()


def class_file(found: Any) -> Any:
    """Check that what was read can be used."""
    assert all(np.isfinite(rows).all() for rows in found.rows)
    assert all(isinstance(name, str) for name in found.names)


def weights(path: Path) -> Any:
    """Load weights of an extractor."""
    load_weights(path, {"video_network": build_visual_network(1), "audio_network": build_audio_network(1)})


def decoded(path: Path, windows: Windows = "seconds") -> Any:
    """Decode a clip with PyAV. decord may hang for ever on a damaged one, which the pool of decoders ends."""
    return len(list(get_decoder("pyav").decode(DecodingRequest(path=path, inputs=selavi_inputs(24_000, windows)))))


def evaluated(workspace: Workspace) -> Path:
    """Evaluate the model and return the file of its metrics."""
    return evaluate(workspace, device=CPU, reporter=SilentReporter(), figures=False).metrics_file


def remuxed(path: Path) -> Path:
    """Write the packets of the clip into another container."""
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    return path


def results_of(kind: Kind, versions: list[tuple[str, bytes]]) -> list[str]:
    """Read each version in the place of the file; return for each: same, refused, or what is wrong.

    The versions are read in another process. If one of them stops it, the others are read in a further process.
    """
    results: list[str] = []
    whole = kind.path.read_bytes()
    try:
        while len(results) < len(versions):
            received, code = _read_in_a_fork(kind, versions[len(results) :])
            results += received
            if len(results) < len(versions):
                results.append(f"the process that read it ended with {code}")
    finally:
        kind.path.write_bytes(whole)
    return results


def _read_in_a_fork(kind: Kind, versions: list[tuple[str, bytes]]) -> tuple[list[str], int]:
    expected = json.dumps(kind.read(kind.path), default=repr)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            _limit_memory()
            for _, content in versions:
                signal.alarm(SECONDS_PER_CASE)  # its signal ends the process
                kind.path.write_bytes(content)
                os.write(writing, (_result(kind, expected) + "\n").encode("ascii", "backslashreplace"))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, encoding="ascii") as lines:
        received = [line.rstrip("\n") for line in lines]
    return received, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _limit_memory() -> None:
    with Path("/proc/self/statm").open() as status:
        used = int(status.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + SPARE_BYTES, resource.RLIM_INFINITY))


def _result(kind: Kind, expected: str) -> str:
    try:
        found = json.dumps(kind.read(kind.path), default=repr)
    except (PipelineError, ExtractorError) as error:
        return f"several lines: {str(error)!r}" if "\n" in str(error) else "refused"
    except BaseException:  # noqa: BLE001 - whatever it is, a user would see its traceback
        return "traceback: " + " | ".join(traceback.format_exc().strip().splitlines()[-4:])
    return "same" if not kind.ours or found == expected else "changed without a word"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and forks as on Linux")
@pytest.mark.parametrize("name", NAMES)
def test_damage_is_refused_in_words_or_changes_nothing(
    kinds: dict[str, Kind], damaged: Callable[..., Iterator[tuple[str, bytes]]], name: str
) -> None:
    """No traceback, no hang, no more than 256 MiB of memory, and no changed number of ours without a word."""
    kind = kinds[name]
    seed = SEED * 1000 + NAMES.index(name)
    versions = list(damaged(kind.path.read_bytes(), count=max(4, CASES // kind.slower), seed=seed))
    wrong = [
        f"{what}: {result}"
        for (what, _), result in zip(versions, results_of(kind, versions), strict=True)
        if result not in {"same", "refused"}
    ]
    assert not wrong, "\n".join(wrong[:20])
