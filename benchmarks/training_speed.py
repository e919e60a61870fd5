"""Claim: on averaged features, an epoch of DAAN with validation takes at most as long as one of the AVCA code.

DAAN has its published widths (H 512, O 300) and the preset ucf. AVCA is the public code, which the user checks out:
python benchmarks/training_speed.py --avca FOLDER. It needs einops. Both train on 256 pairs of features in UCF's shape,
alternating in one run, with one thread. The figures are processor time. An epoch of the AVCA code loads a batch, trains
on it, embeds it, and loads and evaluates a validation batch. Its last step, the search for beta, is left out. An epoch
of DAAN chooses a batch and trains on it, and validates UCF's 1820 validation videos, with beta, once per 100 steps.
"""

import argparse
import importlib
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch

from daan.method import TrainingBatch
from daan.network import Daan
from daan.training_step import training_step
from pipeline.avgzsl_benchmark.synthetic.generate import SyntheticRecipe, synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES, Shape
from pipeline.features.feature_set import to_device
from pipeline.settings.tree import load_settings
from pipeline.training.epoch import PairSampler
from pipeline.training.validation import Validator

PAIRS = 256
STEPS_PER_VALIDATION = 100


def daan_batch(csgm: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a training step of DAAN and a validation of all validation videos."""
    usual = SHAPES["ucf"]
    shape = Shape(**{**vars(usual), "seconds": (1, 1)})
    benchmark = synthetic_benchmark(shape, SyntheticRecipe(dtype="float32"))
    features, splits, device = benchmark.features, benchmark.splits.by_name, torch.device("cpu")
    train = features.indices(splits["train"])
    held_out = features.indices([*splits["val_seen"], *splits["val_unseen"]])
    seen, allowed = (torch.zeros(len(features.classes), dtype=torch.bool) for _ in range(2))
    seen[features.labels[train]] = True
    allowed[features.labels[torch.cat((train, held_out))]] = True
    standardiser, vectors = features.statistics(train), torch.from_numpy(benchmark.class_vectors)
    settings = load_settings(preset="ucf", assignments=[f"daan.csgm={csgm}"])
    network = Daan(settings.daan).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5, fused=True)
    sampler, generator = PairSampler(features.labels, train), torch.Generator()
    validator = Validator(
        features,
        held_out,
        vectors,
        standardiser,
        seen=seen,
        allowed=allowed,
        score="sum",
        least_videos=20,
        device=device,
    )

    def step() -> None:
        indices = torch.cat(sampler.draw(PAIRS, generator))
        text = to_device(vectors[features.labels[indices]], device)
        pairs = TrainingBatch(
            features.batch(indices, standardiser, device), text, torch.zeros(PAIRS, dtype=torch.long), text[:1]
        )
        training_step(network, optimizer, pairs)

    return step, lambda: validator(network)


def avca_batch(folder: Path) -> Callable[[], object]:
    """Return what the AVCA code computes for one training batch and one validation batch."""
    sys.path.insert(0, str(folder))
    # The module model_improvements imports a helper whose own imports (sklearn, joblib) the network does not use.
    sys.modules["src.utils_improvements"] = types.ModuleType("src.utils_improvements")
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau
    # Its argument `verbose` is gone from torch.
    torch.optim.lr_scheduler.ReduceLROnPlateau = lambda *given, patience, **_: plateau(*given, patience=patience)  # type: ignore[assignment,misc]
    options = {
        "dim_out": 64,
        "lr": 1e-3,
        "first_additional_triplet": 1,
        "second_additional_triplet": 1,
        "additional_triplets_loss": True,
        "reg_loss": True,
        "encoder_hidden_size": 512,
        "decoder_hidden_size": 512,
        "depth_transformer": 1,
        "dropout_encoder": 0.2,
        "dropout_decoder": 0.3,
        "additional_dropout": 0.5,
        "momentum": 0.1,
    }
    network = importlib.import_module("src.model_improvements").AVCA(options, 512, 512)
    torch.optim.lr_scheduler.ReduceLROnPlateau = plateau  # type: ignore[misc]
    training, validation = (avca_loader(split) for split in ("train", "val"))

    def both() -> None:
        batch = training()
        network.train()
        network.optimize_params(*batch, optimize=True)
        network.get_embeddings(batch[0], batch[1], batch[3])
        batch = validation()
        network.eval()
        with torch.no_grad():
            network.optimize_params(*batch)
            network.get_embeddings(batch[0], batch[1], batch[3])

    return both


def avca_loader(split: str) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Return a function that loads a batch with the data set of the AVCA code, in this process."""
    for name, contents in {  # imported by its modules, not needed here
        "pandas": (),
        "tqdm": ("tqdm",),
        "src.utils": ("read_features", "get_class_names"),
    }.items():
        unused = types.ModuleType(name)
        vars(unused).update(dict.fromkeys(contents))
        sys.modules.setdefault(name, unused)
    code = importlib.import_module("src.dataset")
    classes, videos = 30, 3174
    targets = torch.arange(videos) % classes
    features = {name: torch.randn(videos, 512) for name in ("audio", "video")}
    texts = {"text": torch.randn(classes, 300), "url": [f"video{index}" for index in range(videos)]}
    videos_of_split = types.SimpleNamespace(
        dataset_split=split, classes=range(classes), targets=targets, all_data={**features, **texts}
    )
    pairs = code.ContrastiveDataset(videos_of_split)

    def load() -> tuple[torch.Tensor, ...]:
        indices = torch.randint(videos, (PAIRS,)).tolist()
        found, target = torch.utils.data.default_collate([pairs[index] for index in indices])
        first, second = found["positive"], found["negative"]
        inputs = (first["audio"], first["video"], target["positive"], first["text"])
        return *inputs, second["audio"], second["video"], second["text"]

    return load


def seconds_of(work: Callable[[], object]) -> float:
    """Time one call in seconds of processor time."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Time both in turns and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--avca", type=Path, help="checkout of the AVCA code; without it only DAAN is timed")
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    works: dict[str, Callable[[], object]] = {}
    for csgm in ("off", "full"):
        works[f"DAAN, csgm {csgm}: step"], works[f"DAAN, csgm {csgm}: validation"] = daan_batch(csgm)
    if given.avca:
        works["AVCA: batch with its validation batch"] = avca_batch(given.avca)
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(given.rounds):
        for name, work in works.items():
            times[name].append(seconds_of(work))
    medians = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name}: {1000 * median:.0f} ms")
    for csgm in ("off", "full"):
        step, validation = (medians[f"DAAN, csgm {csgm}: {part}"] for part in ("step", "validation"))
        per_step = step + validation / STEPS_PER_VALIDATION
        ratio = f", {per_step / medians['AVCA: batch with its validation batch']:.2f} of AVCA's" if given.avca else ""
        print(f"an epoch of DAAN, csgm {csgm}: {1000 * per_step:.0f} ms per step{ratio}")


if __name__ == "__main__":
    main()
