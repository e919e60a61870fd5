"""Claim: the tables in pipeline/prediction/README.md on names that resemble a class are what these names do.

It prints cosines of MiniLM vectors: the largest one between different classes of a list (the sample videos, and with
--benchmark DIR the lists of UCF, ActivityNet and VGGSound), those of pairs of names, and those of a class and the same
words in another form. With --workspace FOLDER, a workspace of sample_accuracy.py, each trained class is offered next to
the same name with other words, for its test clips, and it counts how often the new name wins, for each training seed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from extractors.text.encoder import TextEncoder
from pipeline.base.errors import UsageError
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import encode_classes, load_encoder, read_spec
from pipeline.datasets.official.class_lists import read_classes
from pipeline.datasets.phrases import Phrases, phrases_of_name, phrases_text
from pipeline.datasets.splits.splits import parse_splits
from pipeline.evaluation.seeds import seed_runs
from pipeline.features.feature_set import load_features
from pipeline.prediction.classes import name_classes
from pipeline.training.trained_model import load_model

CPU = torch.device("cpu")
SAMPLES = Path(__file__).resolve().parents[1] / "sample_videos"
DATASETS = ("UCF", "ActivityNet", "VGGSound")
PAIRS = (
    *(("puppy barking", "dog barking"), ("kitten meowing", "cat meowing"), ("turning left", "turning right")),
    *(("locking a door", "unlocking a door"), ("push ups", "pull ups"), ("sofa", "couch")),
    *(("a dog barks", "dog barking"), ("blue square slides", "blue square sliding"), ("a cat purrs", "cat purring")),
    *(("star", "staring"), ("car", "caring"), ("tap", "tape"), ("box", "boxing")),
    *(("taping", "tapping"), ("planing", "planning")),
)
FORMS = ("a {}", "the {}", "{}s")
OTHER_WORDS = ("that {}", "my {}", "it is a {}", "there is a {}", "{} video", "{} outside", "watching {}", "a shiny {}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", type=Path, help="folder of the official class splits")
    parser.add_argument("--workspace", type=Path, help="workspace of sample_accuracy.py")
    given = parser.parse_args()
    encoder = load_encoder(read_spec("minilm"))
    samples = [phrases_of_name(folder.name) for folder in sorted(SAMPLES.iterdir()) if folder.is_dir()]
    lists: dict[str, Sequence[Phrases]] = {"samples": samples}
    for dataset in DATASETS if given.benchmark else ():
        lists[dataset] = list(read_classes(given.benchmark / dataset / "class-split", "main_split").phrases.values())
    for name, phrases in lists.items():
        show_list(name, phrases, encoder)
    for first, second in PAIRS:
        vectors = encode_classes(encoder, [(first,), (second,)])
        print(f"{first} / {second}: {float(vectors[0] @ vectors[1]):.3f}")
    if given.workspace:
        show_winners(Workspace(given.workspace))


def show_list(name: str, phrases: Sequence[Phrases], encoder: TextEncoder) -> None:
    """Print the largest cosine of different classes, and those of a class and other forms of its words."""
    vectors = encode_classes(encoder, phrases)
    between = vectors @ vectors.T
    np.fill_diagonal(between, -1)
    row, column = np.unravel_index(int(between.argmax()), between.shape)
    nearest = f"{phrases_text(phrases[row])} / {phrases_text(phrases[column])}"
    print(f"{name}: {len(phrases)} classes, largest cosine {between.max():.3f} ({nearest})")
    for form in FORMS:
        others = encode_classes(encoder, [(form.format(several[0]),) for several in phrases])
        cosines = (vectors * others).sum(axis=1)
        print(f"  {form.format('class')}: median {np.median(cosines):.3f}, 5 % below {np.quantile(cosines, 0.05):.3f}")


def show_winners(workspace: Workspace) -> None:
    """Print how many test clips of trained classes the new name wins, for each training seed."""
    runs = seed_runs(workspace)
    for words in OTHER_WORDS:
        print(f"{words.format('class')}: {', '.join(winners(workspace, run, words) for run in runs)}")


def winners(workspace: Workspace, run: str, words: str) -> str:
    """Count the clips that the new name wins, and the names that are the trained class or are favoured like it."""
    folder = workspace.model_folder(run)
    model = load_model(folder, CPU)
    features = load_features(workspace.current_features(), [entry.name for entry in model.classes])
    videos = features.indices(parse_splits(folder / "splits.yaml").test_seen)
    wins = clips = same = favoured = 0
    for label, entry in enumerate(model.classes):
        of_class = videos[features.labels[videos] == label]
        if not (entry.seen and len(of_class)):
            continue
        name = phrases_text(entry.phrases)
        try:
            named = name_classes(model, {name: entry.phrases, words.format(name): (words.format(name),)}, None)
        except UsageError:  # both names are the trained class
            same += 1
            continue
        favoured += int(named.favoured[1])
        beta = model.calibration(int(named.favoured.sum()), int((~named.favoured).sum())).beta
        batch = features.batch(of_class, model.standardiser, CPU)
        with torch.inference_mode():
            classes = model.network.embed_classes(torch.from_numpy(named.vectors))
            found = model.network.distances(model.network.embed_videos(batch), classes)
            distances = found[model.score].numpy()
        calibrated = distances + beta * named.favoured
        wins, clips = wins + int((calibrated[:, 1] < calibrated[:, 0]).sum()), clips + len(of_class)
    return f"{wins} of {clips} ({same} the same class, {favoured} favoured)"


if __name__ == "__main__":
    main()
