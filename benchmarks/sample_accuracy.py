"""Claim: on the sample videos, zero-shot accuracy on unseen classes is at least twice chance, over three seeds.

It runs the demo, trains with its settings and three training seeds, and prints the mean and standard deviation of each
metric over the seeds, the 95 % interval of a bootstrap over the classes, and chance. Ridge regression and plain MLPs
from the same features stand below. The last lines say how often a clip of an unseen class fits the name of its class,
the name of another unseen class, and names of things that no sample video shows, if `predict` gets that name alone. A
folder given as argument is the workspace and may already contain the features.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import encode_classes, load_encoder, read_spec
from pipeline.datasets.phrases import phrases_of_name
from pipeline.features.feature_set import load_features
from pipeline.scoring.score_videos import score_videos
from pipeline.training.trained_model import load_model

SEEDS = "0,1,2"
FOREIGN_NAMES = ("dog", "a dog barks", "yoga", "playing guitar", "fireworks", "cat meowing")
METRICS = ("S", "U", "HM", "ZSL")


def main() -> None:
    """Train with each seed in one workspace and print the metrics."""
    avzsl = str(Path(sys.executable).parent / "avzsl")
    with contextlib.ExitStack() as stack:
        folder = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(tempfile.TemporaryDirectory())

        def result(*command: str) -> Any:  # noqa: ANN401 - a JSON document
            done = subprocess.run(
                [avzsl, *command, "--workspace", folder, "--json"], check=True, stdout=subprocess.PIPE, text=True
            )
            return json.loads(done.stdout)

        result("demo")
        result("train", "--preset", "sample", "--seeds", SEEDS)
        seeds = result("evaluate", "--no-figures")
        unseen = next(iter(seeds["runs"].values()))["classes"]["unseen"]
        print(f"mean +- standard deviation over seeds {SEEDS} (95 % interval over classes), percent")
        for score, mean in seeds["mean"].items():
            cells = []
            for name in METRICS:
                low, high = seeds["intervals"][score][name]
                spread = f"{mean[name]:.1f} +- {seeds['deviation'][score][name]:.1f}"
                cells.append(f"{name} {spread} ({low:.0f} to {high:.0f})")
            print(f"{score:6s}  {'  '.join(cells)}")
        chance, found = 100 / unseen, seeds["mean"]["sum"]["ZSL"]
        print(f"chance  ZSL {chance:.1f}; the sum has {found / chance:.2f} x chance\n", flush=True)
        subprocess.run([sys.executable, str(Path(__file__).with_name("baselines.py")), folder], check=True)
        fits = [single_names(Path(folder), run) for run in seeds["runs"]]
        shares = [f"{100 * min(each):.0f} to {100 * max(each):.0f} %" for each in zip(*fits, strict=True)]
        names = ("the right one", "another unseen class", *FOREIGN_NAMES)
        print("\none name: share of the clips that fit it, over the seeds")
        for name, share in zip(names, shares, strict=True):
            print(f"{name:22s}{share}")


def single_names(folder: Path, run: str) -> tuple[float, ...]:
    """Compute how often a clip of an unseen class fits a name.

    Returns:
        The shares for the name of its class, for those of other unseen classes, and for each foreign name.
    """
    model = load_model(folder / "models" / run, torch.device("cpu"))
    features = load_features(Workspace(folder).current_features(), [entry.name for entry in model.classes])
    unseen = np.array([index for index, entry in enumerate(model.classes) if not entry.seen])
    videos = torch.nonzero(torch.isin(features.labels, torch.from_numpy(unseen))).flatten()
    foreign = encode_classes(load_encoder(read_spec("minilm")), [phrases_of_name(name) for name in FOREIGN_NAMES])
    vectors = torch.from_numpy(np.concatenate([model.class_vectors[unseen], foreign]))
    scored = score_videos(
        model.network,
        features,
        videos,
        vectors,
        np.zeros(len(vectors), np.bool_),
        model.standardiser,
        torch.device("cpu"),
        sample=np.arange(len(videos)),
    )
    fit = scored.sample_distances[model.score] <= model.calibration(0, 1).farthest
    of_unseen, of_foreign = fit[:, : len(unseen)], fit[:, len(unseen) :]
    own = features.labels[videos].numpy()[:, None] == unseen
    return float(of_unseen[own].mean()), float(of_unseen[~own].mean()), *of_foreign.mean(0).tolist()


if __name__ == "__main__":
    main()
